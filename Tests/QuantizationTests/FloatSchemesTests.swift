import Model
import Testing

@testable import Quantization

@Suite struct Float16SchemeTests {
    private func options(_ log: @escaping (String) -> Void = { _ in }) -> QuantizerOptions {
        var options = QuantizerOptions()
        options.scheme = .float16
        options.log = log
        return options
    }

    private func model(_ weights: [Float], bias: [Float] = [0.5]) throws -> Model {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, weights.count])
        let w = try builder.constant("w", [1, weights.count], weights)
        let b = try builder.constant("b", [1], bias)
        builder.output(builder.op(.fullyConnected, [x, w, b], "y", [1, 1], options: Options(.fullyConnected)))
        return builder.model
    }

    @Test func storesHalvesAndConvertsThem() throws {
        let weights = noise(1024)
        let result = try Float16Scheme.apply(to: model(weights), options: options()).compacted()
        #expect(result.names() == ["DEQUANTIZE", "FULLY_CONNECTED"])
        #expect(result.version(0) == 3)
        let stored = result.tensor(0, input: 0)
        #expect(stored.type == .float16 && stored.shape == [1, 1024] && stored.name == "w_float16")
        #expect(result.elements(stored, as: UInt16.self) == weights.map { Float16($0).bitPattern })
        #expect(result.tensor(1, input: 1).type == .float32)
        #expect(result.tensor(1, input: 1).buffer == 0)
        // The bias is smaller than min_weight_elements.
        #expect(result.elements(result.tensor(1, input: 2), as: Float.self) == [0.5])
        // The float32 data is gone.
        #expect(!result.buffers.contains { $0.data?.count == 4096 })
    }

    @Test func smallWeightsStay() throws {
        let model = try model(noise(1023))
        #expect(try Float16Scheme.apply(to: model, options: options()) == model)
    }

    @Test func valuesBeyondTheRangeStayFloat() throws {
        var said: [String] = []
        var weights = noise(2000)
        weights[1234] = 65505
        let model = try model(weights)
        #expect(try Float16Scheme.apply(to: model, options: options { said.append($0) }) == model)
        #expect(said.count == 1 && said[0].contains("'w'") && said[0].contains("65505"))
        weights[1234] = 65504
        #expect(try Float16Scheme.apply(to: self.model(weights), options: options()).names().count == 2)
    }

    @Test func subgraphsThatShareABufferShareTheHalves() throws {
        var model = try model(noise(1024))
        model.subgraphs.append(model.subgraphs[0])
        let result = try Float16Scheme.apply(to: model, options: options()).compacted()
        let halves = result.subgraphs.map { graph in graph.tensors.first { $0.type == .float16 }?.buffer }
        #expect(halves[0] == halves[1] && halves[0] != nil)
    }

    @Test func appliedTwiceIsAppliedOnce() throws {
        let once = try Float16Scheme.apply(to: model(noise(1024)), options: options()).compacted()
        var again = once
        try again.foldConstants()
        let twice = try Float16Scheme.apply(to: again.compacted(), options: options()).compacted()
        #expect(twice.names() == once.names())
        #expect(
            twice.elements(twice.tensor(0, input: 0), as: UInt16.self)
                == once.elements(once.tensor(0, input: 0), as: UInt16.self))
    }
}

@Suite struct DynamicRangeSchemeTests {
    private func quantized(_ model: Model, perTensor: Bool = false, atLeast: Int = 1) throws -> Model {
        var options = QuantizerOptions()
        options.scheme = .dynamicRange
        options.perTensorWeights = perTensor
        options.minWeightElements = atLeast
        return try DynamicRangeScheme.apply(to: model, options: options).compacted()
    }

    private func one(
        _ code: BuiltinOperator, x: [Int], weights: [Int], y: [Int], version: Int = 1, first: Bool = false
    ) throws -> (Model, [Float]) {
        var builder = GraphBuilder()
        let input = builder.input("x", x)
        let values = noise(weights.reduce(1, *))
        let w = try builder.constant("w", weights, values)
        builder.output(builder.op(code, first ? [w, input] : [input, w], "y", y, version: version))
        return (builder.model, values)
    }

    @Test(arguments: [
        // operator, weights, channel dimension, version per channel, version per tensor
        (BuiltinOperator.conv2D, [3, 2, 2, 4], 0, 5, 2), (.depthwiseConv2D, [1, 2, 2, 5], 3, 6, 6),
        (.fullyConnected, [3, 7], 0, 12, 9), (.batchMatmul, [4, 5], -1, 4, 4),
    ]) func weightsOfMatrixProducts(
        _ code: BuiltinOperator, _ shape: [Int], _ dimension: Int, _ perChannel: Int, _ perTensor: Int
    ) throws {
        let (model, values) = try one(code, x: [1, 4], weights: shape, y: [1, 4])
        for isPerTensor in [false, true] {
            let result = try quantized(model, perTensor: isPerTensor)
            let weights = result.tensor(0, input: 1)
            #expect(result.names() == [code.name])
            #expect(result.version(0) == (isPerTensor ? perTensor : perChannel))
            #expect(weights.type == .int8)
            let scales = try #require(weights.quantization?.scales)
            // LiteRT's depthwise kernel wants a scale for each channel.
            let hasChannels = dimension >= 0 && (!isPerTensor || code == .depthwiseConv2D)
            #expect(scales.count == (hasChannels ? shape[dimension] : 1))
            #expect(weights.quantization?.zeroPoints == [Int](repeating: 0, count: scales.count))
            if hasChannels { #expect(weights.quantization?.dimension == dimension) }
            let inner = hasChannels ? shape[(dimension + 1)...].reduce(1, *) : 1
            for (index, stored) in result.elements(weights, as: Int8.self).enumerated() {
                let scale = scales[hasChannels ? index / inner % scales.count : 0]
                #expect(abs(Float(stored) * scale - values[index]) <= 0.5001 * scale)
            }
            #expect(result.elements(weights, as: Int8.self).map { $0.magnitude }.max() == 127)
        }
    }

    @Test func inputsAreQuantizedAsymmetrically() throws {
        let (dense, _) = try one(.fullyConnected, x: [1, 4], weights: [3, 4], y: [1, 3])
        #expect(try quantized(dense).subgraphs[0].operators[0].options.bool(3))
        let (product, _) = try one(.batchMatmul, x: [1, 4], weights: [4, 3], y: [1, 3])
        #expect(try quantized(product).subgraphs[0].operators[0].options.bool(2))
    }

    @Test func smallWeightsStay() throws {
        let (model, _) = try one(.fullyConnected, x: [1, 4], weights: [3, 4], y: [1, 3])
        #expect(try quantized(model, atLeast: 13) == model)
        #expect(try quantized(model, atLeast: 12) != model)
    }

    @Test func tablesAreReadAsIntegers() throws {
        var builder = GraphBuilder()
        let table = try builder.constant("table", [10, 4], noise(40))
        let rows = builder.input("rows", [2], type: .int32)
        let y = builder.op(.gather, [table, rows], "y", [2, 4])
        builder.output(y)
        let result = try quantized(builder.model)
        #expect(result.names() == ["GATHER", "DEQUANTIZE"])
        #expect(result.version(0) == 2 && result.version(1) == 2)
        #expect(result.tensor(0).type == .int8)
        #expect(result.tensor(0).quantization == result.tensor(0, input: 0).quantization)
        #expect(result.tensor(1).name == "y" && result.tensor(1).type == .float32)
    }

    @Test func transposeConvolutionGetsItsWeightsBack() throws {
        var builder = GraphBuilder()
        let size = try builder.integers("size", [1, 5, 5, 3])
        let w = try builder.constant("w", [3, 2, 2, 4], noise(48))
        let x = builder.input("x", [1, 4, 4, 4])
        builder.output(
            builder.op(.transposeConv, [size, w, x], "y", [1, 5, 5, 3], options: GraphBuilder.transposeConvolution))
        let result = try quantized(builder.model)
        #expect(result.names() == ["DEQUANTIZE", "TRANSPOSE_CONV"])
        #expect(result.version(0) == 5 && result.tensor(0, input: 0).quantization?.scales.count == 3)
        #expect(result.tensor(1, input: 1).type == .float32)
        let input = noise(64, seed: 3)
        for (a, b) in zip(try builder.model.evaluate(input), try result.evaluate(input)) { #expect(abs(a - b) < 0.1) }
    }

    @Test func sharedWeightsAreStoredOnce() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let w = try builder.constant("w", [4, 4], noise(16))
        let y = builder.op(.fullyConnected, [x, w], "y", [1, 4])
        builder.output(builder.op(.fullyConnected, [y, w], "z", [1, 4]))
        var model = builder.model
        model.subgraphs.append(model.subgraphs[0])
        let result = try quantized(model)
        #expect(result.subgraphs[0].operators[0].inputs[1] == result.subgraphs[0].operators[1].inputs[1])
        #expect(result.buffers.filter { $0.data != nil }.count == 1)
    }

    @Test func computedWeightsStay() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [4, 4])
        builder.output(builder.op(.fullyConnected, [x, x], "y", [4, 4]))
        #expect(try quantized(builder.model).names() == ["FULLY_CONNECTED"])
        #expect(try quantized(builder.model).version(0) == 1)
    }

    @Test func refusesWeightsThatAreNotNumbers() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 2])
        let w = try builder.constant("weights/a", [1, 2], [1, .nan])
        builder.output(builder.op(.fullyConnected, [x, w], "y", [1, 1]))
        let failure = #expect(throws: Failure.self) { try quantized(builder.model) }
        #expect(failure?.message.contains("'weights/a'") == true && failure?.message.contains("NaN") == true)
    }
}
