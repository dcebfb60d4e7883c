import CEdgeOpt
import Model
import Operators
import Testing

@testable import Quantization

@Suite struct QuantizerTests {
    private func quantizer(
        _ model: Model, _ scheme: Scheme = .int8, _ change: (inout QuantizerOptions) -> Void = { _ in }
    ) throws -> Quantizer {
        var options = QuantizerOptions()
        options.scheme = scheme
        change(&options)
        return try Quantizer(model, options)
    }

    /// y = relu(x w + b) with its RELU and a scale behind it not yet folded, then a RESHAPE.
    private func model() throws -> Model {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let w = try builder.constant("w", [2, 4], [1, 2, 3, 4, -1, -2, -3, -4])
        let y = builder.op(.fullyConnected, [x, w], "y", [1, 2], options: Options(.fullyConnected))
        let k = try builder.constant("k", [2], [2, 0.5])
        let z = builder.op(.mul, [y, k], "z", [1, 2], options: Options(.mul))
        let r = builder.op(.relu, [z], "r", [1, 2])
        let shape = try builder.integers("shape", [2])
        builder.output(builder.op(.reshape, [r, shape], "out", [2]))
        return builder.model
    }

    private func sample(_ values: Float...) throws -> [Bytes] { [try Bytes(copying: values)] }

    @Test func calibratesThroughTheFoldedModel() throws {
        let quantizer = try quantizer(try model())
        #expect(quantizer.inputs.map { $0.name } == ["x"])
        try quantizer.calibrate(sample(1, 1, 1, 1))
        try quantizer.calibrate(sample(-1, 0, 0, 2.5))
        let result = try quantizer.finish()
        #expect(result.names() == ["QUANTIZE", "FULLY_CONNECTED", "RESHAPE", "DEQUANTIZE"])
        // x saw [-1, 2.5]; after the scale and RELU: [20, 0] and [18, 0].
        #expect(result.tensor(0).quantization?.scales == [Float(3.5) / 255])
        #expect(result.tensor(1).quantization == Quantization(scale: Float(20) / 255, zeroPoint: -128))
        #expect(result.tensor(2).quantization == result.tensor(1).quantization)
        #expect(result.elements(result.tensor(1, input: 1), as: Int8.self) == [32, 64, 95, 127, -32, -64, -95, -127])
    }

    @Test func theResultComputesTheSame() throws {
        let source = try model()
        for scheme in [Scheme.int8, .int16x8] {
            let quantizer = try quantizer(source, scheme)
            for seed in 1...20 { try quantizer.calibrate([try Bytes(copying: noise(4, seed: UInt32(seed)))]) }
            let result = try quantizer.finish()
            for seed in 1...20 {
                let input = noise(4, seed: UInt32(seed))
                for (a, b) in zip(try source.evaluate(input), try result.evaluate(input)) {
                    #expect(abs(a - b) < (scheme == .int8 ? 0.2 : 0.1))
                }
            }
        }
    }

    @Test func biasesMakeUpForTheRoundingOfWeights() throws {
        // Behind the view the channels are 4; the means over the samples are 2, 4, 0 and 1.
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 2, 2, 1])
        let shape = try builder.integers("shape", [1, 4])
        let r = builder.op(.reshape, [x, shape], "r", [1, 4])
        let w = try builder.constant("w", [1, 4], [127, 0.4, 0.3, -1.25])
        let b = try builder.constant("b", [1], [3])
        builder.output(builder.op(.fullyConnected, [r, w, b], "y", [1, 1], options: Options(.fullyConnected)))
        let quantizer = try quantizer(builder.model)
        try quantizer.calibrate(sample(1, 3, 0, 0))
        try quantizer.calibrate(sample(3, 5, 0, 2))
        let result = try quantizer.finish()
        let index = try #require(result.names().firstIndex(of: "FULLY_CONNECTED"))
        #expect(result.elements(result.tensor(index, input: 1), as: Int8.self) == [127, 0, 0, -1])
        // Without 0.4 and with -1 for -1.25 the result is 0.4 * 4 - 0.25 * 1 too small.
        let stored = result.elements(result.tensor(index, input: 2), as: Int32.self)[0]
        #expect(stored == Int32(((3 + 1.6 - 0.25) / (5.0 / 255)).rounded()))
    }

    @Test func movingAverageKeepsAShareOfTheOldRange() throws {
        let quantizer = try quantizer(try model()) {
            $0.calibration = .movingAverage
            $0.movingAverage = 0.5
        }
        try quantizer.calibrate(sample(0, 0, 0, 1))
        try quantizer.calibrate(sample(0, 0, 0, 3))
        #expect(try quantizer.finish().tensor(0).quantization?.scales == [Float(2) / 255])
    }

    @Test func canGoOnAfterFinishing() throws {
        let quantizer = try quantizer(try model())
        try quantizer.calibrate(sample(0, 0, 0, 1))
        let first = try quantizer.finish()
        try quantizer.calibrate(sample(0, 0, 0, 3))
        #expect(try quantizer.finish() != first)
    }

    @Test func poisonedSamplesAreRefusedAndLeaveNoTrace() throws {
        for (scheme, values, name) in [
            (Scheme.int8, [Float.nan, 0, 0, 0], "'x'"), (.int16x8, [0, .infinity, 0, 0], "'x'"),
            (.int8, [3e38, 3e38, 3e38, 3e38], "'r'"),
        ] {
            let quantizer = try quantizer(try model(), scheme)
            try quantizer.calibrate(sample(0, 0, 0, 1))
            let before = try quantizer.finish()
            let failure = #expect(throws: Failure.self) { try quantizer.calibrate([try Bytes(copying: values)]) }
            #expect(failure?.status == EO_EXECUTION_ERROR)
            #expect(failure?.message.contains(name) == true && failure?.message.contains("sample 1") == true)
            #expect(try quantizer.finish() == before)
        }
    }

    @Test func samplesOfTheWrongSizeAreRefused() throws {
        let quantizer = try quantizer(try model())
        for sample in [[], [try Bytes(copying: [Float(1)])]] {
            let failure = #expect(throws: Failure.self) { try quantizer.calibrate(sample) }
            #expect(failure?.status == EO_WRONG_SIZE)
        }
        #expect(#expect(throws: Failure.self) { try quantizer.finish() }?.status == EO_NO_CALIBRATION)
    }

    @Test func modelsThatAreQuantizedAreRefused() throws {
        var quantized = try IntegerSchemeTests.dense()
        quantized = try QuantizationTests.quantized(quantized, IntegerSchemeTests.denseRanges)
        for scheme in [Scheme.float16, .dynamicRange, .int8, .int16x8] {
            let failure = #expect(throws: Failure.self) { try quantizer(quantized, scheme) }
            #expect(failure?.status == EO_INVALID_MODEL && failure?.message.contains("already quantized") == true)
        }
    }

    @Test func modelsWithoutElementsAreRefused() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [0, 4])
        builder.output(builder.op(.relu, [x], "y", [0, 4]))
        let failure = #expect(throws: Failure.self) { try quantizer(builder.model) }
        #expect(failure?.status == EO_UNSUPPORTED && failure?.message.contains("'x'") == true)
    }

    @Test func optionsOutOfRangeAreRefused() throws {
        let source = try model()
        for change in [
            { (options: inout QuantizerOptions) in options.movingAverage = 1 }, { $0.movingAverage = .nan },
            { $0.minWeightElements = -1 },
        ] {
            let failure = #expect(throws: Failure.self) { try quantizer(source, .int8, change) }
            #expect(failure?.status == EO_INVALID_ARGUMENT)
        }
    }

    @Test func masksStayFloat() throws {
        // Scores plus a mask of the lowest float: 8 bits for both would leave nothing of the scores.
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let mask = try builder.constant("mask", [4], [0, 0, -.greatestFiniteMagnitude, 0])
        let a = builder.op(.mul, [x, x], "a", [1, 4])
        let b = builder.op(.add, [a, mask], "b", [1, 4])
        builder.output(builder.op(.softmax, [b], "y", [1, 4], options: Options(.softmax, [.float(1)])))
        let quantizer = try quantizer(builder.model)
        try quantizer.calibrate(sample(1, 2, 3, 4))
        #expect(try quantizer.finish().names() == ["QUANTIZE", "MUL", "DEQUANTIZE", "ADD", "SOFTMAX"])
    }

    /// Each rule fits its operator: what a scheme will ask of it is there.
    @Test func everyRuleIsConsistent() {
        var count = 0
        for number in 0..<Int32(256) {
            let code = BuiltinOperator(rawValue: number)
            guard code.isKnown, let definition = OperatorRegistry.definition(OperatorCode(code)) else { continue }
            let rule = definition.quantization
            count += 1
            guard rule.int8 || rule.int16x8 else { continue }
            #expect(!rule.activations.isEmpty || rule.allInputs, "\(code.name)")
            #expect(OperatorVersions.lowest(code, .int8) <= definition.maxVersion, "\(code.name)")
            if rule.int16x8 {
                #expect(OperatorVersions.lowest(code, .int16) <= definition.maxVersion, "\(code.name)")
                #expect(rule.int8, "\(code.name)")
            }
            if let weights = rule.weights {
                #expect(!rule.activations.contains(weights.input), "\(code.name)")
                let linear = LinearOperator(code)
                #expect(linear?.weights == weights.input && linear?.bias == weights.bias, "\(code.name)")
                #expect(linear?.channelDimension == weights.channelDimension, "\(code.name)")
            }
            if case .fixed(let int8, let int16) = rule.output {
                #expect(int8.scale > 0 && (-128...127).contains(int8.zeroPoint), "\(code.name)")
                #expect(!rule.int16x8 || int16 == 1 / 32768, "\(code.name)")
            }
        }
        #expect(count >= 60)
    }

    /// 64 weights of 4 values, whose channels reach from 0.5 to 2.
    private func clustered() throws -> Model {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 16])
        let values = (0..<64).map { index -> Float in
            index < 16 ? [0, 0.5][index % 2] : index == 63 ? 2 : [0, 0.5, -1.25][index % 3]
        }
        let w = try builder.constant("w", [4, 16], values)
        builder.output(builder.op(.fullyConnected, [x, w], "y", [1, 4], options: Options(.fullyConnected)))
        return builder.model
    }

    @Test func clusteredWeightsStayAsFewValues() throws {
        for scheme in [Scheme.int8, .int16x8, .dynamicRange] {
            let quantizer = try quantizer(try clustered(), scheme) { $0.minWeightElements = 0 }
            if scheme.needsCalibration { try quantizer.calibrate([try Bytes(copying: noise(16))]) }
            let result = try quantizer.finish()
            let index = try #require(result.names().firstIndex(of: "FULLY_CONNECTED"))
            let stored = result.tensor(index, input: 1)
            #expect(Set(result.elements(stored, as: Int8.self)) == [0, 32, -79, 127])
            #expect(stored.quantization?.scales == [Float(2) / 127])
        }
        #expect(areClustered([1, 1, 1, 2, 2, 2, 2, 2]) && !areClustered([1, 2, 3, 1, 2, 3, 1, 2]))
        #expect(!areClustered(noise(4000)))
        // Multiples of the channels' own largest magnitudes are few numbers with a scale for each channel.
        let scaled = (0..<64).map { Float([1, -1, 2, -2][$0 % 4] * [1, 3, 5, 7][$0 / 16]) }
        #expect(areClustered(scaled) && !wantOneScale(scaled, shape: [4, 16], channelDimension: 0))
    }
}
