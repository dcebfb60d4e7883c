import Model
import Testing

@testable import Quantization

@Suite struct FoldBatchNormalizationTests {
    static let channels = 3

    /// A linear operator on noise; its weights are [3, 2, 2, 4], [1, 2, 2, 3] or [3, 4].
    static func linear(_ code: BuiltinOperator, hasBias: Bool, _ builder: inout GraphBuilder) throws -> (Int, [Int]) {
        let bias = hasBias ? [try builder.constant("bias", [channels], [0.5, -1, 2])] : []
        switch code {
        case .conv2D:
            let x = builder.input("x", [1, 4, 4, 4])
            let weights = try builder.constant("w", [3, 2, 2, 4], noise(48))
            let shape = [1, 3, 3, 3]
            let options = GraphBuilder.convolution()
            return (builder.op(code, [x, weights] + bias, "y", shape, options: options), shape)
        case .depthwiseConv2D:
            let x = builder.input("x", [1, 4, 4, 3])
            let weights = try builder.constant("w", [1, 2, 2, 3], noise(12))
            let shape = [1, 3, 3, 3]
            return (builder.op(code, [x, weights] + bias, "y", shape, options: GraphBuilder.depthwise()), shape)
        case .transposeConv:
            let x = builder.input("x", [1, 4, 4, 4])
            let weights = try builder.constant("w", [3, 2, 2, 4], noise(48))
            let shape = [1, 5, 5, 3]
            let size = try builder.integers("shape", [1, 5, 5, 3])
            let options = GraphBuilder.transposeConvolution
            return (
                builder.op(
                    code, [size, weights, x] + bias, "y", shape, options: options, version: hasBias ? 3 : 1), shape
            )
        default:
            let x = builder.input("x", [2, 4])
            let weights = try builder.constant("w", [3, 4], noise(12))
            return (builder.op(code, [x, weights] + bias, "y", [2, 3], options: Options(.fullyConnected)), [2, 3])
        }
    }

    static let constants: [Float] = [0.25, -3, 1.5]

    @Test(
        arguments: [BuiltinOperator.conv2D, .depthwiseConv2D, .transposeConv, .fullyConnected],
        [BuiltinOperator.mul, .div, .add, .sub])
    func foldsEachKind(_ code: BuiltinOperator, _ step: BuiltinOperator) throws {
        for hasBias in [true, false] {
            for comesFirst in [true, false] where comesFirst || step != .div {
                for isScalar in [true, false] {
                    var builder = GraphBuilder()
                    let (y, shape) = try Self.linear(code, hasBias: hasBias, &builder)
                    let k = try builder.constant("k", isScalar ? [] : [3], isScalar ? [0.75] : Self.constants)
                    let z = builder.op(step, comesFirst ? [y, k] : [k, y], "z", shape)
                    builder.output(z)
                    var folded = builder.model
                    try folded.foldBatchNormalization()
                    let place = "\(code.name) \(step.name) bias \(hasBias) first \(comesFirst) scalar \(isScalar)"
                    #expect(folded.names() == [code.name], "\(place)")
                    try expectSame(builder.model, folded, place)
                }
            }
        }
    }

    private func expectSame(_ before: Model, _ after: Model, _ place: String) throws {
        let input = noise(before.subgraphs[0].tensors[before.subgraphs[0].inputs[0]].shape.reduce(1, *), seed: 7)
        let x = try before.evaluate(input)
        let y = try after.evaluate(input)
        #expect(x.count == y.count && !x.isEmpty, "\(place)")
        for (a, b) in zip(x, y) { #expect(abs(a - b) < 1e-5 * max(1, abs(a)), "\(place): \(a) became \(b)") }
    }

    @Test func foldsAWholeChain() throws {
        // (conv - mean) * gamma / deviation + beta, then RELU6 as the activation of the last ADD.
        var builder = GraphBuilder()
        let (y, shape) = try Self.linear(.conv2D, hasBias: true, &builder)
        let mean = try builder.constant("mean", [3], [0.1, 0.2, -0.3])
        let gamma = try builder.constant("gamma", [1, 1, 1, 3], [1.5, 0.5, -2])
        let deviation = try builder.constant("deviation", [3], [0.5, 2, 4])
        let beta = try builder.constant("beta", [3], [0.3, -0.1, 0.9])
        let a = builder.op(.sub, [y, mean], "a", shape)
        let b = builder.op(.mul, [a, gamma], "b", shape)
        let c = builder.op(.div, [b, deviation], "c", shape)
        let d = builder.op(.add, [beta, c], "d", shape, options: Options(.add, [.int(3)]))
        builder.output(d)
        var folded = builder.model
        try folded.foldBatchNormalization()
        #expect(folded.names() == ["CONV_2D"])
        #expect(folded.subgraphs[0].operators[0].activation(.conv2D) == .relu6)
        #expect(folded.subgraphs[0].operators[0].outputs == [d])
        let scale: [Float] = [3, 0.25, -0.5]
        let weights = noise(48)
        let stored: [Float] = folded.elements(folded.tensor(0, input: 1))
        for (index, value) in stored.enumerated() {
            #expect(abs(value - weights[index] * scale[index / 16]) <= 1e-6 * abs(value))
        }
        let bias: [Float] = folded.elements(folded.tensor(0, input: 2))
        let expected: [Float] = [(0.5 - 0.1) * 3 + 0.3, (-1 - 0.2) * 0.25 - 0.1, (2 + 0.3) * -0.5 + 0.9]
        for (a, b) in zip(bias, expected) { #expect(abs(a - b) < 1e-6) }
    }

    @Test func transposeConvolutionGetsTheVersionThatHasABias() throws {
        var builder = GraphBuilder()
        let (y, shape) = try Self.linear(.transposeConv, hasBias: false, &builder)
        let k = try builder.constant("k", [3], Self.constants)
        builder.output(builder.op(.add, [y, k], "z", shape))
        var folded = builder.model
        try folded.foldBatchNormalization()
        #expect(folded.version(0) == 3)
    }

    /// What must be left as it is: each case says why.
    enum Obstacle: CaseIterable {
        case readTwice, isOutput, hasActivation, sharedWeights, sharedBuffer, perPixel, widens, dividesByZero, notFirst
    }

    @Test(arguments: Obstacle.allCases) func leavesAlone(_ obstacle: Obstacle) throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4, 4, 4])
        let weights = try builder.constant("w", [3, 2, 2, 4], noise(48))
        let activation: FusedActivation = obstacle == .hasActivation ? .relu : .none
        let shape = [1, 3, 3, 3]
        let y = builder.op(.conv2D, [x, weights], "y", shape, options: GraphBuilder.convolution(activation))
        var constants = try builder.constant("k", [3], Self.constants)
        var result = shape
        var code = BuiltinOperator.mul
        switch obstacle {
        case .readTwice: builder.output(builder.op(.relu, [y], "r", shape))
        case .isOutput: builder.output(y)
        case .hasActivation: break
        case .sharedWeights:
            let other = builder.op(.conv2D, [x, weights], "other", shape, options: GraphBuilder.convolution())
            builder.output(other)
        case .sharedBuffer: break
        case .perPixel: constants = try builder.constant("k2", [1, 3, 3, 1], noise(9))
        case .widens:
            constants = try builder.constant("k2", [2, 1, 1, 3], noise(6))
            result = [2, 3, 3, 3]
        case .dividesByZero:
            constants = try builder.constant("k2", [3], [1, 0, 1])
            code = .div
        case .notFirst: code = .div
        }
        let inputs = obstacle == .notFirst ? [constants, y] : [y, constants]
        builder.output(builder.op(code, inputs, "z", result))
        var folded = builder.model
        if obstacle == .sharedBuffer {
            var twin = folded.subgraphs[0]
            twin.tensors[weights].name = "twin"
            folded.subgraphs.append(twin)
        }
        let before = folded
        try folded.foldBatchNormalization()
        #expect(folded == before)
    }
}
