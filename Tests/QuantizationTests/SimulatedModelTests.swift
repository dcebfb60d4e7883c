import Model
import Operators
import Runtime
import Testing

@testable import Quantization

/// What is simulated in float is what is exported in integers: step by step, in fast arithmetic.
@Suite struct SimulatedModelTests {
    struct Case: Sendable, CustomStringConvertible {
        let description: String
        var scheme = Scheme.int8
        var weightBits = 8
        var activationBits: Int?
        var perTensor = false
        var boundary = TensorType.int8
        var layers: [LayerRule] = []
        var method = RangeMethod.movingAverage(momentum: 0.9)
    }

    static let cases: [Case] = {
        var head = LayerRule("CONV_2D")
        head.weightBits = 4
        var wide = LayerRule("CONV_2D")
        wide.weightBits = 16
        var skipped = LayerRule("d?pth*")
        skipped.isFloat = true
        var learned = LayerRule("*")
        learned.learnsWeightScales = true
        return [
            Case(description: "int8"), Case(description: "float boundary", boundary: .float32),
            Case(description: "uint8 boundary", boundary: .uint8),
            Case(description: "int4 weights", weightBits: 4), Case(description: "int2 weights", weightBits: 2),
            Case(description: "per tensor", perTensor: true),
            Case(description: "4-bit activations", activationBits: 4),
            Case(description: "6-bit activations and weights", weightBits: 6, activationBits: 6, boundary: .float32),
            Case(description: "int4 convolutions", layers: [head]),
            Case(description: "12-bit weights", weightBits: 12),
            Case(description: "16-bit convolutions", layers: [wide]),
            Case(description: "16-bit convolutions among int16x8", scheme: .int16x8, boundary: .int16, layers: [wide]),
            Case(description: "a float layer", layers: [skipped]),
            Case(description: "learned scales", layers: [learned], method: .learned),
            Case(description: "fixed ranges", method: .fixed),
        ]
    }()

    /// Convolutions with different activations, ADD, MUL, CONCATENATION, pools, MEAN, SOFTMAX and LOGISTIC.
    static func network(gating: BuiltinOperator = .mul) throws -> Model {
        var b = GraphBuilder()
        let x = b.input("x", [1, 8, 8, 3])
        let w1 = try b.constant("w1", [6, 3, 3, 3], noise(162, seed: 1))
        let b1 = try b.constant("b1", [6], noise(6, seed: 2))
        let c1 = b.op(.conv2D, [x, w1, b1], "conv1", [1, 6, 6, 6], options: GraphBuilder.convolution(.relu6))
        let w2 = try b.constant("w2", [1, 3, 3, 6], noise(54, seed: 3))
        let b2 = try b.constant("b2", [6], noise(6, seed: 4))
        let d = b.op(.depthwiseConv2D, [c1, w2, b2], "depth", [1, 4, 4, 6], options: GraphBuilder.depthwise())
        let w3 = try b.constant("w3", [6, 3, 3, 6], noise(324, seed: 5))
        let b3 = try b.constant("b3", [6], noise(6, seed: 6))
        let c3 = b.op(.conv2D, [c1, w3, b3], "conv3", [1, 4, 4, 6], options: GraphBuilder.convolution(.relu))
        let sum = b.op(.add, [d, c3], "sum", [1, 4, 4, 6])
        let gate = b.op(.logistic, [d], "gate", [1, 4, 4, 6])
        let product = b.op(gating, [gate, c3], "product", [1, 4, 4, 6])
        let joined = b.op(
            .concatenation, [sum, product], "joined", [1, 4, 4, 12], options: Options(.concatenation, [.int(3)]))
        let pool = b.op(
            .averagePool2D, [joined], "pool", [1, 2, 2, 12],
            options: Options(.pool2D, [.int(1), .int(2), .int(2), .int(2), .int(2)]))
        let axes = try b.integers("axes", [1, 2])
        let mean = b.op(.mean, [pool, axes], "mean", [1, 12])
        let w4 = try b.constant("w4", [5, 12], noise(60, seed: 7))
        let b4 = try b.constant("b4", [5], noise(5, seed: 8))
        let logits = b.op(.fullyConnected, [mean, w4, b4], "logits", [1, 5], options: Options(.fullyConnected))
        b.output(b.op(.softmax, [logits], "y", [1, 5], options: Options(.softmax, [.float(1)])))
        return b.model
    }

    static func samples(_ count: Int) throws -> [Bytes] {
        try (0..<count).map { try Bytes(copying: noise(192, seed: UInt32(100 + $0)).map { 3 * $0 }) }
    }

    static func plan(_ item: Case, _ model: Model) throws -> QuantizationPlan {
        var options = QuantizerOptions()
        options.scheme = item.scheme
        options.weightBits = item.weightBits
        options.activationBits = item.activationBits
        options.perTensorWeights = item.perTensor
        (options.inputType, options.outputType) = (item.boundary, item.boundary)
        options.layers = item.layers
        let quantizer = try Quantizer(model, options)
        for sample in try samples(10) { try quantizer.calibrate([sample]) }
        return try quantizer.plan()
    }

    @Test(arguments: cases) func simulatesWhatIsExported(_ item: Case) throws {
        let plan = try Self.plan(item, Self.network())
        let simulated = try SimulatedModel(plan, ranges: item.method)
        let exported = try simulated.quantized()
        let check = try ExportCheck(plan, simulated: simulated.model, exported: exported)
        for sample in try Self.samples(40) { try check.add([sample]) }
        #expect(check.report.samples == 40 && check.report.elements == 200)
        #expect(check.report.sameTop1 == 40, "\(item): \(check.report)")
        #expect(check.report.withinOneStep == 1, "\(item): \(check.report)")
        #expect(check.report.apart[0] >= 190, "\(item): \(check.report)")
    }

    /// Products of two activations of 16 bits have more bits than a float, and come out a step off now and then.
    @Test(arguments: [(BuiltinOperator.sub, 8), (.add, 4), (.mul, 8)]) func sixteenBits(
        _ gating: BuiltinOperator, _ weightBits: Int
    ) throws {
        let item = Case(description: "", scheme: .int16x8, weightBits: weightBits, boundary: .int16)
        let plan = try Self.plan(item, Self.network(gating: gating))
        let simulated = try SimulatedModel(plan, ranges: .fixed)
        let check = try ExportCheck(plan, simulated: simulated.model, exported: try simulated.quantized())
        for sample in try Self.samples(40) { try check.add([sample]) }
        #expect(check.report.withinOneStep == 1 && check.report.sameTop1 == 40, "\(gating): \(check.report)")
        #expect(gating == .mul || check.report.apart[0] == check.report.elements, "\(gating): \(check.report)")
    }

    @Test func tensorsKeepTheirPlaces() throws {
        let plan = try Self.plan(Self.cases[0], Self.network())
        let simulated = try SimulatedModel(plan, ranges: .movingAverage(momentum: 0.9))
        let (before, after) = (plan.model.subgraphs[0], simulated.model.subgraphs[0])
        #expect(Array(after.tensors[..<before.tensors.count]) == before.tensors)
        #expect(after.inputs == before.inputs && after.outputs == before.outputs)
        // Each state is a constant, what is observed is computed.
        for activation in simulated.activations {
            #expect(simulated.initialState(activation.state).count == 2)
            for observed in activation.observed {
                #expect(after.tensors[observed].shape == [2])
                #expect(after.operators.contains { $0.outputs.contains(observed) })
            }
        }
        // SOFTMAX and LOGISTIC fix theirs; the concatenation has one range with what it joins.
        #expect(simulated.activations.count == 7)
    }

    @Test func exportTakesTrainedRangesAndWeights() throws {
        let plan = try Self.plan(Self.cases[0], Self.network())
        let simulated = try SimulatedModel(plan, ranges: .movingAverage(momentum: 0.9))
        var trained = plan.model
        let w1 = try #require(trained.subgraphs[0].tensors.firstIndex { $0.name == "w1" })
        trained.buffers.append(Buffer(try Bytes(copying: noise(162, seed: 99))))
        trained.subgraphs[0].tensors[w1].buffer = trained.buffers.count - 1
        let state = { (tensor: Int) throws(Failure) in simulated.initialState(tensor).map { $0 * 1.25 } }
        let after = try simulated.plan(for: trained, state: state)
        let check = try ExportCheck(
            after, simulated: simulated.model(for: trained, state: state), exported: try after.quantized())
        for sample in try Self.samples(20) { try check.add([sample]) }
        #expect(check.report.withinOneStep == 1 && check.report.sameTop1 == 20)
        #expect(try after.quantized() != plan.quantized())
        let infinite = { (tensor: Int) throws(Failure) in [Float.infinity, 1] }
        #expect(#expect(throws: Failure.self) { try simulated.plan(for: trained, state: infinite) } != nil)
    }

    @Test func fewBitsArePacked() throws {
        let model = try Self.plan(Case(description: "", weightBits: 4), Self.network()).quantized()
        let weights = model.subgraphs[0].tensors.filter { $0.name.hasPrefix("w") }
        #expect(weights.map { $0.type } == [.int4, .int4, .int4, .int4])
        let names = model.names()
        for (name, version) in [("CONV_2D", 7), ("DEPTHWISE_CONV_2D", 7), ("FULLY_CONNECTED", 10)] {
            #expect(names.indices.filter { names[$0] == name }.allSatisfy { model.version($0) == version })
        }
        #expect(packed([1, -1, 7, -7, 3], bits: 4) == [0xf1, 0x97, 0x03])
        #expect(packed([1, -1, 0, -1, 1], bits: 2) == [0b11_00_11_01, 0b01])
    }

    @Test func patterns() {
        for (text, pattern, isMatch) in [
            ("conv1/relu", "conv*", true), ("conv1", "conv?", true), ("conv12", "conv?", false), ("", "*", true),
            ("abcabd", "*abd", true), ("abc", "a*b*c*", true), ("abc", "", false), ("abc", "abc", true),
            ("aaaaaaaaaaaaaaaa", "*a*a*a*b", false),
        ] { #expect(NamePattern(pattern).matches(text) == isMatch, "\(text) \(pattern)") }
    }

    @Test func bitsOutOfRangeAreRefused() throws {
        for (weights, activations) in [(1, 8), (17, 8), (8, 3), (8, 9)] {
            var options = QuantizerOptions()
            (options.weightBits, options.activationBits) = (weights, activations)
            #expect(#expect(throws: Failure.self) { try Quantizer(Self.network(), options) } != nil)
        }
    }
}
