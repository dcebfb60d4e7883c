import Model
import Testing

@testable import Quantization

/// "Same scale" operators: who takes whose scale, and where a requantization stands in between.
@Suite struct ScaleAssignmentTests {
    private func scale(_ range: ValueRange) -> Float { Parameters(range, type: .int8).scale }

    @Test func moversKeepTheScaleOfTheirInput() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4, 4, 1])
        let a = builder.op(.add, [x, x], "a", [1, 4, 4, 1])
        let p = builder.op(
            .maxPool2D, [a], "p", [1, 2, 2, 1],
            options: Options(.pool2D, [.int(1), .int(2), .int(2), .int(2), .int(2)]))
        let r = builder.op(.reshape, [p], "r", [1, 4])
        builder.output(builder.op(.mul, [r, r], "y", [1, 4]))
        // Calibration saw less behind the pool: the scale is still that of its input.
        let ranges = [
            "x": ValueRange(-1, 1), "a": ValueRange(-2, 2), "p": ValueRange(0, 1), "r": ValueRange(0, 1),
            "y": ValueRange(0, 4),
        ]
        let model = try quantized(builder.model, ranges, input: .int8, output: .int8)
        #expect(model.names() == ["ADD", "MAX_POOL_2D", "RESHAPE", "MUL"])
        for op in 0...2 { #expect(model.tensor(op).quantization?.scales == [scale(ValueRange(-2, 2))]) }
    }

    private func concatenation(
        _ a: ValueRange, _ b: ValueRange, readTwice: Bool = false
    ) throws -> Model {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let first = builder.op(.add, [x, x], "a", [1, 4])
        let second = builder.op(.mul, [x, x], "b", [1, 4])
        if readTwice { builder.output(builder.op(.add, [second, second], "z", [1, 4])) }
        builder.output(
            builder.op(.concatenation, [first, second], "y", [1, 8], options: Options(.concatenation, [.int(1)])))
        let both = ValueRange(min(a.min, b.min), max(a.max, b.max))
        let ranges = ["x": ValueRange(-1, 1), "a": a, "b": b, "y": both, "z": b]
        return try quantized(builder.model, ranges, input: .int8, output: .int8)
    }

    @Test func concatenationGivesItsInputsItsScale() throws {
        let model = try concatenation(ValueRange(-4, 4), ValueRange(0, 1))
        #expect(model.names() == ["ADD", "MUL", "CONCATENATION"])
        for op in 0...2 {
            #expect(model.tensor(op).quantization == Quantization(scale: scale(ValueRange(-4, 4)), zeroPoint: -1))
        }
    }

    @Test func anInputThatOthersReadIsRequantized() throws {
        let model = try concatenation(ValueRange(-4, 4), ValueRange(0, 1), readTwice: true)
        #expect(model.names() == ["ADD", "MUL", "ADD", "QUANTIZE", "CONCATENATION"])
        #expect(model.tensor(1).quantization == Quantization(scale: scale(ValueRange(0, 1)), zeroPoint: -128))
        #expect(model.tensor(4, input: 1).quantization == model.tensor(4).quantization)
        #expect(model.tensor(4, input: 0).quantization == model.tensor(4).quantization)
    }

    @Test func unlessTheScalesAreNearlyEqual() throws {
        let model = try concatenation(ValueRange(-4, 4), ValueRange(-3.5, 3.5), readTwice: true)
        #expect(model.names() == ["ADD", "MUL", "ADD", "CONCATENATION"])
    }

    @Test func fixedScalesAreRequantized() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let a = builder.op(.logistic, [x], "a", [1, 4])
        builder.output(builder.op(.concatenation, [a, x], "y", [1, 8], options: Options(.concatenation, [.int(1)])))
        let ranges = ["x": ValueRange(-6, 6), "a": ValueRange(0, 1), "y": ValueRange(-6, 6)]
        let model = try quantized(builder.model, ranges, input: .int8, output: .int8)
        #expect(model.names() == ["LOGISTIC", "QUANTIZE", "CONCATENATION"])
        #expect(model.tensor(0).quantization == Quantization(scale: 1 / 256, zeroPoint: -128))
    }

    @Test func equalFixedScalesGoThrough() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let a = builder.op(.logistic, [x], "a", [1, 4])
        let b = builder.op(.softmax, [x], "b", [1, 4])
        builder.output(builder.op(.concatenation, [a, b], "y", [1, 8], options: Options(.concatenation, [.int(1)])))
        let ranges = ["x": ValueRange(-6, 6), "a": ValueRange(0, 1), "b": ValueRange(0, 1), "y": ValueRange(0, 1)]
        let model = try quantized(builder.model, ranges, input: .int8, output: .int8)
        #expect(model.names() == ["LOGISTIC", "SOFTMAX", "CONCATENATION"])
        #expect(model.tensor(2).quantization == Quantization(scale: 1 / 256, zeroPoint: -128))
    }

    @Test func minimumSaturatesItsInputEarly() throws {
        // min(x + x, 255): what is above 255 need not be told apart, so ADD computes at the scale of the result.
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let limit = try builder.constant("limit", [], [255])
        let a = builder.op(.add, [x, x], "a", [1, 4])
        builder.output(builder.op(.minimum, [a, limit], "y", [1, 4]))
        let ranges = ["x": ValueRange(-100, 500), "a": ValueRange(-200, 1000), "y": ValueRange(-200, 255)]
        let model = try quantized(builder.model, ranges, input: .int8, output: .int8)
        #expect(model.names() == ["ADD", "MINIMUM"])
        let wanted = Parameters(ValueRange(-200, 255), type: .int8)
        #expect(model.tensor(0).quantization == wanted.quantization)
        #expect(model.tensor(1, input: 1).quantization == wanted.quantization)
        #expect(model.elements(model.tensor(1, input: 1), as: Int8.self) == [127])
    }

    @Test func aPoolMustNotSeeSaturatedValues() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 2, 2, 1])
        let limit = try builder.constant("limit", [], [1])
        let a = builder.op(.add, [x, x], "a", [1, 2, 2, 1])
        let p = builder.op(
            .averagePool2D, [a], "p", [1, 1, 1, 1],
            options: Options(.pool2D, [.int(1), .int(2), .int(2), .int(2), .int(2)]))
        builder.output(builder.op(.minimum, [p, limit], "y", [1, 1, 1, 1]))
        let ranges = [
            "x": ValueRange(-5, 5), "a": ValueRange(-10, 10), "p": ValueRange(-3, 3), "y": ValueRange(-3, 1),
        ]
        let model = try quantized(builder.model, ranges, input: .int8, output: .int8)
        #expect(model.names() == ["ADD", "AVERAGE_POOL_2D", "QUANTIZE", "MINIMUM"])
        #expect(model.tensor(0).quantization?.scales == [scale(ValueRange(-10, 10))])
    }
}
