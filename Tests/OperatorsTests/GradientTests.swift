import Kernels
import Model
import Testing

@testable import Operators

/// Which operators can be trained through, and those gradients that no other table compares with differences.
@Suite struct GradientTests {
    /// What converters write for convolutional, fully connected, recurrent and transformer networks.
    private static let trained: [BuiltinOperator] = [
        .add, .sub, .mul, .div, .maximum, .minimum, .squaredDifference, .pow, .addN, .conv2D, .depthwiseConv2D,
        .transposeConv, .fullyConnected, .batchMatmul, .averagePool2D, .maxPool2D, .l2Pool2D, .mean, .sum, .reduceMax,
        .reduceMin, .reduceProd, .cumsum, .softmax, .logSoftmax, .l2Normalization, .relu, .relu6, .reluN1To1, .relu0To1,
        .leakyRelu, .prelu, .elu, .gelu, .hardSwish, .logistic, .tanh, .exp, .log, .sqrt, .rsqrt, .square, .neg, .abs,
        .sin, .cos, .reshape, .squeeze, .expandDims, .transpose, .pad, .padv2, .mirrorPad, .concatenation, .split,
        .splitV, .pack, .unpack, .slice, .stridedSlice, .gather, .gatherNd, .scatterNd, .embeddingLookup, .select,
        .selectV2, .tile, .broadcastTo, .reverseV2, .dynamicUpdateSlice, .resizeBilinear, .resizeNearestNeighbor,
        .spaceToDepth, .depthToSpace, .spaceToBatchNd, .batchToSpaceNd, .topkV2, .fill, .zerosLike, .cast, .dequantize,
    ]

    @Test func operatorsOfNetworksHaveGradients() {
        for code in Self.trained {
            #expect(OperatorRegistry.definition(OperatorCode(code))?.gradient != nil, "\(code.name)")
        }
    }

    private func check(
        _ definition: OperatorDefinition, _ inputs: [TensorInfo], outputs: [TensorInfo], _ options: Options = .none
    ) throws {
        let evaluation = Evaluation(
            definition, options: options, pool: try ThreadPool(threads: 1), weights: try PackedWeightCache())
        #expect(try evaluation.checked(inputs, outputs: outputs) != nil)
    }

    private let float = TensorInfo(type: .float32, shape: [])

    @Test func bestElementsOfRows() throws {
        let x = try tensor([3, -1, 7, 2.5, 4, 0.5, 9, -2, 1, 6, 5, -4] as [Float], [2, 1, 6], .float32)
        for k in [1, 3, 6] {
            try check(TopK.definition, [x, indices([k])], outputs: [float, TensorInfo(type: .int32, shape: [])])
        }
    }

    @Test func updatesByTuples() throws {
        let twice = try tensor([1, 3, 1] as [Int32], [3, 1], .int32)
        let updates = try tensor([1, 2, 10, 20, 100, 200] as [Float], [3, 2], .float32)
        try check(ScatterND.definition, [twice, updates, indices([4, 2])], outputs: [float])
    }

    @Test(arguments: [[0, 1], [1, 2], [9, 9], [-3, 0]]) func boxesThatAreReplaced(_ start: [Int]) throws {
        let x = try tensor((0..<12).map { Float($0) }, [3, 4], .float32)
        let update = try tensor([-1, -2, -3, -4] as [Float], [2, 2], .float32)
        try check(DynamicUpdateSlice.definition, [x, update, indices(start)], outputs: [float])
        let long = try tensor(start.map { Int64($0) }, [2], .int64)
        try check(DynamicUpdateSlice.definition, [x, update, long], outputs: [float])
    }

    @Test func oneValueEverywhere() throws {
        try check(Fill.definition, [indices([2, 3]), tensor([4] as [Float], [], .float32)], outputs: [float])
        try check(Fill.zerosLike, [tensor([4, 5] as [Float], [2], .float32)], outputs: [float])
    }
}
