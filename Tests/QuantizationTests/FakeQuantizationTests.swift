import Kernels
import Model
import Operators
import Testing

@testable import Quantization

@Suite struct FakeQuantizationTests {
    private static func options(_ least: Float, _ most: Float, bits: Int64 = 8, isNarrow: Bool = false) -> Options {
        Options(.fakeQuant, [.float(least), .float(most), .int(bits), .int(isNarrow ? 1 : 0)])
    }

    /// x, made less by 10 %, doubled and made 1.5: all through FAKE_QUANT.
    private static func model() throws -> (model: Model, middle: Int, output: Int) {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let rounded = builder.op(.fakeQuant, [x], "x/fake", [1, 4], options: options(-4, 4))
        let w = try builder.constant("w", [4, 4], (0..<16).map { $0 % 5 == 0 ? 2 : 0.25 })
        let narrow = builder.op(.fakeQuant, [w], "w/fake", [4, 4], options: options(-2, 2, isNarrow: true))
        let y = builder.op(.fullyConnected, [rounded, narrow, -1], "y", [1, 4], options: Options(.fullyConnected))
        let middle = builder.op(.fakeQuant, [y], "y/fake", [1, 4], options: options(-6, 10))
        let z = builder.op(.tanh, [middle], "z", [1, 4])
        let output = builder.op(.fakeQuant, [z], "z/fake", [1, 4], options: options(-1, 1))
        builder.output(output)
        return (builder.model, y, output)
    }

    @Test func becomesARangeOfItsTensor() throws {
        let (model, _, output) = try Self.model()
        let prepared = try model.preparedForQuantization()
        #expect(prepared.names() == ["FULLY_CONNECTED", "TANH"])
        #expect(prepared.subgraphs[0].outputs.map { prepared.subgraphs[0].tensors[$0].name } == ["z/fake"])
        #expect(model.subgraphs[0].tensors[output].name == "z/fake")
        #expect(prepared.tensor(0, output: 0).statedRange == ValueRange(-6, 10))
        #expect(prepared.tensor(0, input: 0).statedRange == ValueRange(-4, 4))
        #expect(prepared.tensor(0, input: 1).quantization == nil)
        // Without rounding the model computes what is left.
        let plain = try prepared.evaluate([1, -1, 0.5, 2])
        let rounded = try model.evaluate([1, -1, 0.5, 2])
        for (a, b) in zip(plain, rounded) { #expect(abs(a - b) < 0.05) }
        #expect(plain != rounded)
    }

    @Test func goesBeforeWhatCalibrationSees() throws {
        let (model, _, _) = try Self.model()
        let quantizer = try Quantizer(model, QuantizerOptions())
        try quantizer.calibrate([try Bytes(copying: [Float(0.1), 0.2, 0.3, 0.4])])
        let quantized = try quantizer.finish()
        let layer = try #require(
            quantized.subgraphs[0].operators.first {
                quantized.operatorCodes[$0.opcode].builtin == .fullyConnected
            })
        let result = quantized.subgraphs[0].tensors[layer.outputs[0]]
        #expect(abs((result.quantization?.scales[0] ?? 0) - 16 / 255) < 1e-6)
    }

    @Test func roundsToTheNumbersOfItsRange() throws {
        for (bits, isNarrow) in [(8, false), (4, true), (2, false), (16, false)] {
            var builder = GraphBuilder()
            let x = builder.input("x", [1, 64])
            builder.output(
                builder.op(
                    .fakeQuant, [x], "y", [1, 64],
                    options: Self.options(-1.1, 2.3, bits: Int64(bits), isNarrow: isNarrow)))
            let values = noise(64).map { 4 * $0 }
            let (first, last) = (isNarrow ? 1.0 : 0.0, Double(1 << bits - 1))
            let scale = (2.3 + 1.1) / (last - first)
            let zero = (first + 1.1 / scale).rounded()
            for (value, result) in zip(values, try builder.model.evaluate(values)) {
                let steps = min(max((Double(value) / scale + zero).rounded(), first), last)
                #expect(abs(Double(result) - (steps - zero) * scale) < scale * 0.51 + 1e-6)
                let whole = Double(result) / scale
                #expect(abs(whole - whole.rounded()) < 1e-2 * max(1, abs(whole) / 100))
            }
            #expect(try builder.model.evaluate([Float](repeating: 0, count: 64)).allSatisfy { $0 == 0 })
        }
    }

    @Test(arguments: [(1.0, 2.0), (-1, -0.5), (2, -2), (-Float.infinity, 1)] as [(Float, Float)])
    func rangesWithoutZeroAreRefused(_ range: (Float, Float)) throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        builder.output(
            builder.op(.fakeQuant, [x], "y", [1, 4], options: Self.options(range.0, range.1)))
        #expect(throws: Failure.self) { try builder.model.evaluate([1, 2, 3, 4]) }
    }
}
