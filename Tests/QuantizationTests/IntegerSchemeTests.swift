import Model
import Testing

@testable import Quantization

/// Runs the integer scheme with ranges by tensor name.
func quantized(
    _ model: Model, _ ranges: [String: ValueRange], scheme: Scheme = .int8, input: TensorType = .float32,
    output: TensorType = .float32, perTensor: Bool = false, log: @escaping (String) -> Void = { _ in }
) throws -> Model {
    var options = QuantizerOptions()
    options.scheme = scheme
    options.inputType = input
    options.outputType = output
    options.perTensorWeights = perTensor
    options.log = log
    try options.validate()
    let found = model.subgraphs[0].tensors.map { ranges[$0.name] }
    return try IntegerScheme.apply(
        QuantizationPlan(model, ranges: found, options: options), means: ChannelMeans(model, 0))
}

@Suite struct IntegerSchemeTests {
    static func dense() throws -> Model {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 2])
        let w = try builder.constant("w", [2, 2], [127, -63.5, 25.4, 12.7])
        let b = try builder.constant("b", [2], [10, -0.26])
        builder.output(builder.op(.fullyConnected, [x, w, b], "y", [1, 2], options: Options(.fullyConnected)))
        return builder.model
    }
    static let denseRanges = ["x": ValueRange(-1, 254), "y": ValueRange(0, 510)]

    @Test func fullyConnected() throws {
        let model = try quantized(Self.dense(), Self.denseRanges)
        #expect(model.names() == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"])
        #expect((0..<3).map { model.version($0) } == [1, 4, 2])
        let x = model.tensor(1, input: 0)
        #expect(x.type == .int8 && x.quantization == Quantization(scale: 1, zeroPoint: -127))
        let y = model.tensor(1)
        #expect(y.type == .int8 && y.quantization == Quantization(scale: 2, zeroPoint: -128))
        let w = model.tensor(1, input: 1)
        #expect(w.type == .int8 && w.quantization == Quantization(scales: [1, 25.4 / 127], dimension: 0))
        #expect(model.elements(w, as: Int8.self) == [127, -64, 127, 64])
        let b = model.tensor(1, input: 2)
        #expect(b.type == .int32 && b.quantization == Quantization(scales: [1, 25.4 / 127], dimension: 0))
        #expect(model.elements(b, as: Int32.self) == [10, -1])
        #expect(model.buffers.filter { $0.data != nil }.count == 2)
    }

    @Test func perTensorWeights() throws {
        let model = try quantized(Self.dense(), Self.denseRanges, perTensor: true)
        #expect(model.tensor(1, input: 1).quantization == Quantization(scale: 1, zeroPoint: 0))
        #expect(model.tensor(1, input: 2).quantization == Quantization(scale: 1, zeroPoint: 0))
        #expect(model.elements(model.tensor(1, input: 1), as: Int8.self) == [127, -64, 25, 13])
    }

    @Test func int16x8() throws {
        let model = try quantized(Self.dense(), Self.denseRanges, scheme: .int16x8)
        #expect(model.names() == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"])
        #expect((0..<3).map { model.version($0) } == [2, 7, 3])
        let x = model.tensor(1, input: 0)
        #expect(x.type == .int16 && x.quantization == Quantization(scale: Float(254) / 32767, zeroPoint: 0))
        let b = model.tensor(1, input: 2)
        #expect(b.type == .int64)
        let step = Float(254) / 32767
        #expect(model.elements(b, as: Int64.self)[0] == Int64((10 / Double(step)).rounded()))
        #expect(model.tensor(1, input: 1).type == .int8)
    }

    @Test(arguments: [TensorType.float32, .int8, .uint8], [TensorType.float32, .int8, .uint8])
    func boundary(_ input: TensorType, _ output: TensorType) throws {
        var source = try Self.dense()
        source.signatures = [
            Signature(
                key: "serve", subgraph: 0, inputs: [.init(name: "in", tensor: source.subgraphs[0].inputs[0])],
                outputs: [.init(name: "out", tensor: source.subgraphs[0].outputs[0])])
        ]
        let model = try quantized(source, Self.denseRanges, input: input, output: output)
        let graph = model.subgraphs[0]
        let (x, y) = (graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]])
        #expect(x.type == input && y.type == output && x.name == "x" && y.name == "y")
        #expect(x.quantization?.zeroPoints.first == [.int8: -127, .uint8: 1][input])
        #expect(y.quantization?.zeroPoints.first == [.int8: -128, .uint8: 0][output])
        #expect(model.names().first == (input == .int8 ? "FULLY_CONNECTED" : "QUANTIZE"))
        let last = [TensorType.float32: "DEQUANTIZE", .uint8: "QUANTIZE", .int8: "FULLY_CONNECTED"]
        #expect(model.names().last == last[output])
        #expect(model.signatures[0].inputs[0].tensor == graph.inputs[0])
        #expect(model.signatures[0].outputs[0].tensor == graph.outputs[0])
    }

    @Test func int16Boundary() throws {
        let model = try quantized(
            Self.dense(), Self.denseRanges, scheme: .int16x8, input: .int16, output: .int16)
        #expect(model.names() == ["FULLY_CONNECTED"])
    }

    @Test(arguments: [
        (Scheme.int8, TensorType.int16), (.int16x8, .int8), (.dynamicRange, .int8), (.float16, .uint8),
    ]) func refusesTypesThatDoNotGoWithTheScheme(_ scheme: Scheme, _ type: TensorType) {
        let failure = #expect(throws: Failure.self) {
            try quantized(Self.dense(), Self.denseRanges, scheme: scheme, input: type)
        }
        #expect(failure?.message.contains(type.name) == true && failure?.message.contains(scheme.name) == true)
    }

    struct Fixed: Sendable {
        let code: BuiltinOperator
        let scale: Float
        let zeroPoint: Int
    }
    static let fixed: [Fixed] = [
        Fixed(code: .softmax, scale: 1 / 256, zeroPoint: -128),
        Fixed(code: .logistic, scale: 1 / 256, zeroPoint: -128),
        Fixed(code: .tanh, scale: 1 / 128, zeroPoint: 0),
        Fixed(code: .l2Normalization, scale: 1 / 128, zeroPoint: 0),
        Fixed(code: .logSoftmax, scale: 16 / 256, zeroPoint: 127),
    ]

    @Test(arguments: fixed) func fixedScales(_ example: Fixed) throws {
        let code = example.code
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        builder.output(builder.op(code, [x], "y", [1, 4]))
        let ranges = ["x": ValueRange(-3, 2), "y": ValueRange(-1, 0.25)]
        let model = try quantized(builder.model, ranges, input: .int8, output: .int8)
        #expect(model.names() == [code.name])
        #expect(model.version(0) == 2)
        #expect(model.tensor(0).quantization == Quantization(scale: example.scale, zeroPoint: example.zeroPoint))
        guard code != .l2Normalization && code != .logSoftmax else { return }
        let wide = try quantized(builder.model, ranges, scheme: .int16x8, input: .int16, output: .int16)
        #expect(wide.version(0) == 3)
        #expect(wide.tensor(0).quantization == Quantization(scale: 1 / 32768, zeroPoint: 0))
    }

    @Test func constantsOfBinaryOperators() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let k = try builder.constant("k", [4], [0, 51, 102, -153])
        let y = builder.op(.add, [x, k], "y", [1, 4])
        builder.output(builder.op(.mul, [k, y], "z", [1, 4]))
        let ranges = ["x": ValueRange(-1, 1), "y": ValueRange(-200, 310), "z": ValueRange(-1000, 1000)]
        let model = try quantized(builder.model, ranges, input: .int8, output: .int8)
        #expect(model.names() == ["ADD", "MUL"])
        let stored = model.tensor(0, input: 1)
        #expect(stored.quantization == Quantization(scale: 1, zeroPoint: 25))
        #expect(model.elements(stored, as: Int8.self) == [25, 76, 127, -128])
        // The same constant is stored once.
        #expect(model.subgraphs[0].operators[0].inputs[1] == model.subgraphs[0].operators[1].inputs[0])
        let wide = try quantized(builder.model, ranges, scheme: .int16x8)
        let add = wide.subgraphs[0].operators[1]
        #expect(add.options.table == .add && !add.options.bool(1))
        #expect(wide.tensor(1, input: 1).type == .int16)
    }

    @Test func mulHasTheVersionThatItsScaleNeeds() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        builder.output(builder.op(.mul, [x, x], "y", [1, 4]))
        let small = ["x": ValueRange(0, 255), "y": ValueRange(0, 510)]
        #expect(try quantized(builder.model, small, input: .int8, output: .int8).version(0) == 2)
        let large = ["x": ValueRange(0, 510), "y": ValueRange(0, 510)]
        #expect(try quantized(builder.model, large, input: .int8, output: .int8).version(0) == 3)
    }

    @Test func floatIslands() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let a = builder.op(.add, [x, x], "a", [1, 4])
        let f = builder.op(.sin, [a], "f", [1, 4])
        let r = builder.op(.reshape, [f], "r", [4])
        let g = builder.op(.cos, [r], "g", [4])
        let y = builder.op(.add, [g, g], "y", [4])
        builder.output(y)
        var said: [String] = []
        let one = ValueRange(-1, 1)
        let model = try quantized(
            builder.model, ["x": one, "a": one, "f": one, "r": one, "g": one, "y": one], log: { said.append($0) })
        // RESHAPE between two float operators stays float too.
        #expect(
            model.names() == [
                "QUANTIZE", "ADD", "DEQUANTIZE", "SIN", "RESHAPE", "COS", "QUANTIZE", "ADD", "DEQUANTIZE",
            ])
        #expect(said.count == 3)
        #expect(said[0].contains("made.tflite") && said[0].contains("operator 1 (SIN)"))
        #expect(said[1].contains("operator 2 (RESHAPE)"))
    }

    @Test func aTensorReadByIntegerAndFloatOperators() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let a = builder.op(.add, [x, x], "a", [1, 4])
        builder.output(a)
        builder.output(builder.op(.sin, [a], "f", [1, 4]))
        builder.output(builder.op(.cos, [a], "g", [1, 4]))
        builder.output(builder.op(.mul, [a, a], "y", [1, 4]))
        let one = ValueRange(-1, 1)
        let model = try quantized(builder.model, ["x": one, "a": one, "f": one, "g": one, "y": one])
        // One DEQUANTIZE serves the two float operators and the output of the model.
        #expect(model.names() == ["QUANTIZE", "ADD", "DEQUANTIZE", "SIN", "COS", "MUL", "DEQUANTIZE"])
        #expect(model.subgraphs[0].outputs[0] == model.subgraphs[0].operators[2].outputs[0])
        #expect(model.subgraphs[0].outputs.allSatisfy { model.subgraphs[0].tensors[$0].type == .float32 })
    }

    @Test func inputsThatOnlyFloatOperatorsReadStayFloat() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let f = builder.op(.sin, [x], "f", [1, 4])
        builder.output(builder.op(.add, [f, f], "y", [1, 4]))
        var said: [String] = []
        let one = ValueRange(-1, 1)
        let model = try quantized(
            builder.model, ["x": one, "f": one, "y": one], input: .int8, output: .int8, log: { said.append($0) })
        #expect(model.names() == ["SIN", "QUANTIZE", "ADD"])
        #expect(model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].type == .float32)
        #expect(said.contains { $0.contains("input 'x' stays FLOAT32") })
    }

    @Test func unknownRangesAndWeightsStayFloat() throws {
        var said: [String] = []
        let model = try quantized(Self.dense(), ["x": ValueRange(0, 1)], log: { said.append($0) })
        #expect(model.names() == ["FULLY_CONNECTED"])
        #expect(said.count == 1 && said[0].contains("'y'"))
    }

    @Test func oneWeightForTwoInputScales() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 2])
        let w = try builder.constant("w", [2, 2], [1, 0.5, 0.25, -1])
        let b = try builder.constant("b", [2], [1, 1])
        let y = builder.op(.fullyConnected, [x, w, b], "y", [1, 2], options: Options(.fullyConnected))
        builder.output(builder.op(.fullyConnected, [y, w, b], "z", [1, 2], options: Options(.fullyConnected)))
        let ranges = ["x": ValueRange(0, 1), "y": ValueRange(-1, 3), "z": ValueRange(-4, 4)]
        let model = try quantized(builder.model, ranges, input: .int8, output: .int8)
        let (first, second) = (model.subgraphs[0].operators[0], model.subgraphs[0].operators[1])
        #expect(first.inputs[1] == second.inputs[1])
        // Each bias has its own input's scale.
        #expect(first.inputs[2] != second.inputs[2])
        #expect(model.elements(model.tensor(0, input: 2), as: Int32.self) == [255 * 127, 255 * 127])
        #expect(abs(Int(model.elements(model.tensor(1, input: 2), as: Int32.self)[0]) - 255 * 127 / 4) <= 1)
    }

    @Test func outputsThatAreConstantsOrInputsAreLeftAlone() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let k = try builder.constant("k", [4], [1, 2, 3, 4])
        builder.output(k)
        builder.output(x)
        builder.output(builder.op(.add, [x, k], "y", [1, 4]))
        let one = ValueRange(-1, 5)
        let model = try quantized(builder.model, ["x": one, "y": one])
        let outputs = model.subgraphs[0].outputs.map { model.subgraphs[0].tensors[$0] }
        #expect(outputs.map { $0.name } == ["k", "x", "y"])
        #expect(outputs.allSatisfy { $0.type == .float32 })
        #expect(model.elements(outputs[0], as: Float.self) == [1, 2, 3, 4])
    }
}
