import Kernels
import Model
import Testing

@testable import Operators

/// A wrong model gets a sentence, not a trap.
@Suite struct WrongLayerTests {
    struct Wrong: CustomStringConvertible, Sendable {
        let description: String
        let code: BuiltinOperator
        var options: [Int64]
        var inputs: [TensorInfo?]
        var output = TensorInfo(type: .float32, shape: [])
        /// Part of the message.
        let says: String
    }

    @Test(arguments: all)
    func fails(wrong: Wrong) throws {
        let tables: [BuiltinOperator: OptionTable] = [
            .conv2D: .conv2D, .depthwiseConv2D: .depthwiseConv2D, .transposeConv: .transposeConv,
            .fullyConnected: .fullyConnected, .batchMatmul: .batchMatMul, .averagePool2D: .pool2D,
        ]
        let definition = try #require(OperatorRegistry.definition(OperatorCode(wrong.code)))
        for arithmetic in [Arithmetic.fast, .reference] {
            var evaluation = Evaluation(
                definition, options: Options(tables[wrong.code] ?? .none, wrong.options.map { .int($0) }),
                pool: try ThreadPool(threads: 1), weights: try PackedWeightCache())
            evaluation.arithmetic = arithmetic
            let failure = #expect(throws: Failure.self, "\(wrong)") {
                try evaluation.evaluate(wrong.inputs, outputs: [wrong.output])
            }
            let message = failure?.message ?? ""
            #expect(message.hasPrefix(wrong.code.name) && message.contains(wrong.says), "\(message)")
        }
    }

    /// Zeros of a type and shape.
    static func zeros(
        _ type: TensorType, _ shape: [Int], _ scales: [Float] = [], zeroPoint: Int = 0, dimension: Int = 0
    ) -> TensorInfo {
        var info = TensorInfo(name: "zeros", type: type, shape: shape)
        if let storage = try? Storage.allocate(type.byteCount(max(0, shape.reduce(1, *))) ?? 0) {
            info.constant = Bytes(storage)
        }
        if !scales.isEmpty {
            var quantization = Quantization(scales: scales, dimension: dimension)
            quantization.zeroPoints = scales.map { _ in zeroPoint }
            info.quantization = quantization
        }
        return info
    }

    static let image = zeros(.float32, [1, 4, 4, 6])
    static let filter = zeros(.float32, [2, 3, 3, 6])
    static let int8Image = zeros(.int8, [1, 4, 4, 6], [0.1])
    static let int8Filter = zeros(.int8, [2, 3, 3, 6], [0.1])
    static let int8Output = zeros(.int8, [], [0.1])
    /// SAME, strides 1, no activation, no dilation.
    static let plain: [Int64] = [0, 1, 1, 0, 1, 1]

    static let all: [Wrong] = geometry + quantization + others

    static var geometry: [Wrong] {
        func conv(_ what: String, _ options: [Int64], _ inputs: [TensorInfo?], _ says: String) -> Wrong {
            Wrong(description: what, code: .conv2D, options: options, inputs: inputs, says: says)
        }
        return [
            conv("unknown padding", [2, 1, 1, 0, 1, 1], [image, filter], "padding has code 2"),
            conv("stride 0", [0, 1, 0, 0, 1, 1], [image, filter], "stride 0"),
            conv("negative stride", [0, -1, 1, 0, 1, 1], [image, filter], "stride -1"),
            conv("dilation 0", [0, 1, 1, 0, 0, 1], [image, filter], "dilation 0"),
            conv("huge dilation", [1, 1, 1, 0, 2_147_483_647, 1], [image, filter], "does not fit"),
            conv("unknown activation", [0, 1, 1, 17, 1, 1], [image, filter], "code 17"),
            conv("window too large", [1, 1, 1, 0, 3, 3], [image, filter], "does not fit"),
            conv("flat input", plain, [zeros(.float32, [16, 6]), filter], "rank 2"),
            conv("flat filter", plain, [image, zeros(.float32, [2, 6])], "rank 2"),
            conv("channels", plain, [image, zeros(.float32, [2, 3, 3, 4])], "6 channels"),
            conv("groups", plain, [image, zeros(.float32, [2, 3, 3, 2])], "6 channels"),
            conv("no filters", plain, [image, zeros(.float32, [0, 3, 3, 6])], "6 channels"),
            conv("no filter", plain, [image], "input 1 is missing"),
            conv("filter left out", plain, [image, nil], "input 1 is missing"),
            conv("short bias", plain, [image, filter, zeros(.float32, [3])], "one element for each of 2"),
            conv("integer bias", plain, [image, filter, zeros(.int32, [2])], "does not go with"),
            conv("types", plain, [image, zeros(.int16, [2, 3, 3, 6])], "(FLOAT32, INT16)"),
            conv("short data", plain, [image, shortened(filter)], "only 7 bytes"),
        ]
    }

    private static func shortened(_ tensor: TensorInfo) -> TensorInfo {
        var tensor = tensor
        tensor.constant = tensor.constant?.slice(offset: 0, count: 7)
        return tensor
    }

    static var quantization: [Wrong] {
        func conv(
            _ what: String, _ input: TensorInfo, _ filter: TensorInfo, _ output: TensorInfo, _ says: String,
            activation: Int64 = 0
        ) -> Wrong {
            Wrong(
                description: what, code: .conv2D, options: [0, 1, 1, activation, 1, 1], inputs: [input, filter],
                output: output, says: says)
        }
        let shape = [2, 3, 3, 6]
        return [
            conv("no weight scale", int8Image, zeros(.int8, shape), int8Output, "no quantization"),
            conv("no input scale", zeros(.int8, [1, 4, 4, 6]), int8Filter, int8Output, "one scale"),
            conv("no output scale", int8Image, int8Filter, zeros(.int8, []), "one scale"),
            conv("zero scale", int8Image, int8Filter, zeros(.int8, [], [0]), "scale 0.0"),
            conv("NaN scale", int8Image, zeros(.int8, shape, [.nan]), int8Output, "positive number"),
            conv("infinite scale", zeros(.int8, [1, 4, 4, 6], [.infinity]), int8Filter, int8Output, "scale inf"),
            conv("negative scale", int8Image, zeros(.int8, shape, [-1]), int8Output, "positive number"),
            conv("scale count", int8Image, zeros(.int8, shape, [1, 1, 1]), int8Output, "3 scales"),
            conv("scale dimension", int8Image, zeros(.int8, shape, [1, 1], dimension: 3), int8Output, "dimension 3"),
            conv("per-channel zero point", int8Image, zeros(.int8, shape, [1, 1], zeroPoint: 3), int8Output, "not 0"),
            conv("zero point", zeros(.int8, [1, 4, 4, 6], [1], zeroPoint: 200), int8Filter, int8Output, "200"),
            conv("weight zero point", int8Image, zeros(.int8, shape, [1], zeroPoint: -200), int8Output, "-200"),
            conv("scales apart", zeros(.int8, [1, 4, 4, 6], [3e38]), zeros(.int8, shape, [3e38]), int8Output, "apart"),
            conv("tanh of integers", int8Image, int8Filter, int8Output, "activation", activation: 4),
            conv("tiny scale", int8Image, int8Filter, zeros(.int8, [], [1e-30]), "activation", activation: 3),
            conv(
                "16 bits", zeros(.int16, [1, 4, 4, 6], [1], zeroPoint: 1), int8Filter, zeros(.int16, [], [1]), "point 1"
            ),
            conv("hybrid zero point", image, zeros(.int8, shape, [1], zeroPoint: 3), zeros(.float32, []), "zero point"),
        ]
    }

    static var others: [Wrong] {
        let shape = TensorInfo(type: .int32, shape: [4], constant: try? Bytes(copying: [1, 4, 4, -2] as [Int32]))
        let wide = TensorInfo(type: .int32, shape: [3], constant: try? Bytes(copying: [1, 4, 4] as [Int32]))
        var runtimeWeights = zeros(.int4, [3, 6], [1])
        runtimeWeights.constant = nil
        return [
            Wrong(
                description: "depthwise channels", code: .depthwiseConv2D, options: [0, 1, 1, 1, 0, 1, 1],
                inputs: [image, zeros(.float32, [1, 3, 3, 7])], says: "6 channels"),
            Wrong(
                description: "depthwise batch", code: .depthwiseConv2D, options: [0, 1, 1, 1, 0, 1, 1],
                inputs: [image, zeros(.float32, [2, 3, 3, 6])], says: "6 channels"),
            Wrong(
                description: "negative output", code: .transposeConv, options: [0, 1, 1, 0],
                inputs: [shape, filter, image],
                says: "do not go together"),
            Wrong(
                description: "output rank", code: .transposeConv, options: [0, 1, 1, 0], inputs: [wide, filter, image],
                says: "do not go together"),
            Wrong(
                description: "rows", code: .fullyConnected, options: [0, 0, 0],
                inputs: [image, zeros(.float32, [3, 7])],
                says: "a multiple of 7"),
            Wrong(
                description: "kept rows", code: .fullyConnected, options: [0, 0, 1],
                inputs: [image, zeros(.float32, [3, 12])], says: "rows of 12"),
            Wrong(
                description: "shuffled weights", code: .fullyConnected, options: [0, 1],
                inputs: [image, zeros(.float32, [3, 6])], says: "shuffled"),
            Wrong(
                description: "int4 weights at run time", code: .fullyConnected, options: [0, 0],
                inputs: [image, runtimeWeights], says: "must be constant"),
            Wrong(
                description: "depth", code: .batchMatmul, options: [0, 0],
                inputs: [zeros(.float32, [2, 3]), zeros(.float32, [4, 5])], says: "do not go together"),
            Wrong(
                description: "batches", code: .batchMatmul, options: [0, 0],
                inputs: [zeros(.float32, [2, 2, 3]), zeros(.float32, [3, 3, 5])], says: "do not go together"),
            Wrong(
                description: "vector", code: .batchMatmul, options: [0, 0],
                inputs: [zeros(.float32, [3]), zeros(.float32, [3, 5])], says: "2 to 5"),
            Wrong(
                description: "pool without window", code: .averagePool2D, options: [0, 1, 1, 0, 2, 0], inputs: [image],
                says: "filter 0"),
            Wrong(
                description: "pool that requantizes", code: .averagePool2D, options: [0, 1, 1, 2, 2, 0],
                inputs: [int8Image], output: zeros(.int8, [], [0.3]), says: "same scale"),
        ]
    }

    /// Empty tensors give empty results.
    @Test func emptyBatch() throws {
        let x = Self.zeros(.float32, [0, 4, 4, 6])
        let evaluation = Evaluation(
            Conv2D.definition, options: Options(.conv2D, Self.plain.map { .int($0) }),
            pool: try ThreadPool(threads: 1), weights: try PackedWeightCache())
        let y = try #require(
            try evaluation.evaluate([x, Self.filter], outputs: [TensorInfo(type: .float32, shape: [])]))
        #expect(y[0].shape == [0, 4, 4, 2])
    }

    /// Values that are not numbers come out as such, also where they are quantized on the fly.
    @Test func notANumber() throws {
        let x = TensorInfo(
            type: .float32, shape: [2, 2], constant: try Bytes(copying: [1, .nan, 1, .infinity] as [Float]))
        let evaluation = Evaluation(
            FullyConnected.definition, options: Options(.fullyConnected), pool: try ThreadPool(threads: 1),
            weights: try PackedWeightCache())
        let w = Self.zeros(.int8, [1, 2], [1])
        let y = try #require(try evaluation.evaluate([x, w], outputs: [TensorInfo(type: .float32, shape: [])]))
        #expect(y[0].numbers.allSatisfy { $0.isNaN })
    }
}
