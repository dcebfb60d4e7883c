import Model
import Operators
import Testing

@testable import Runtime

/// Functions of single elements that several operators make up: what they become computes the same bits.
struct FunctionPatternTests {
    private func requireSameBits(_ maker: ModelMaker, isFloat: Bool, _ expected: [String]) throws {
        #expect(try maker.runners() == expected)
        let apart = try maker.bytes(keepAll: true, isFloat: isFloat)
        #expect(try maker.bytes(keepAll: false, isFloat: isFloat) == apart)
        #expect(try maker.bytes(keepAll: false, isFloat: isFloat, threads: 2) == apart)
        #expect(Set(apart).count > 20, "nothing to tell apart")
    }

    @Test(arguments: [nil, 1.702 as Float], [false, true])
    func swish(_ slope: Float?, _ isFirst: Bool) throws {
        var maker = ModelMaker()
        let shape = [50, 33]
        let x = maker.tensor("x", [50, 70])
        let (filter, bias) = try maker.weights([33, 70], channels: 33, .float32)
        let middle = maker.result(.fullyConnected, [x, filter, bias], shape: shape, Options(.fullyConnected))
        var argument = middle
        if let slope {
            argument = maker.result(
                .mul, [middle, try maker.constant("slope", [], [slope], .float32)], shape: shape)
        }
        let gate = maker.result(.logistic, [argument], shape: shape)
        let y = maker.result(.mul, isFirst ? [gate, middle] : [middle, gate], shape: shape)
        maker.ends([x], [y])
        try requireSameBits(
            maker, isFloat: true, [String](repeating: "fused", count: slope == nil ? 2 : 3) + ["CPU"])
    }

    @Test func gatesOfChannelsAreNoSwish() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [1, 9, 5])
        let gate = maker.result(.logistic, [maker.tensor("z", [1, 1, 5])], shape: [1, 1, 5])
        let y = maker.result(.mul, [x, gate], shape: [1, 9, 5])
        maker.ends([x, 1], [y])
        #expect(try maker.runners() == ["CPU", "CPU"])
    }

    /// Bytes behind a layer: x logistic(x); x relu6(x + 3) / 6; a function of floats.
    @Test(arguments: [TensorType.int8, .uint8], 0..<3)
    func tablesOfBytes(_ type: TensorType, _ way: Int) throws {
        var maker = ModelMaker()
        let (shape, zero) = ([1, 7, 6, 33], type == .int8 ? 0 : 128)
        let x = maker.tensor("x", shape)
        maker.quantize(x, 0.05, zero - 7, type)
        func result(
            _ code: BuiltinOperator, _ inputs: [Int], _ scale: Float, _ point: Int, _ options: Options = .none
        ) -> Int {
            let tensor = maker.result(code, inputs, shape: shape, options)
            maker.quantize(tensor, scale, zero + point, type)
            return tensor
        }
        func number(_ stored: UInt8, _ scale: Float) throws -> Int {
            let tensor = try maker.constant("n\(maker.model.buffers.count)", [1], [stored], type)
            maker.quantize(tensor, scale, 0, type)
            return tensor
        }
        let middle = result(
            .averagePool2D, [x], 0.05, -7, Options(.pool2D, [.int(0), .int(1), .int(1), .int(1), .int(1)]))
        let y: Int
        switch way {
        case 0:
            let gate = result(.logistic, [middle], 1 / 256, -128)
            y = result(.mul, [gate, middle], 0.03, -100)
        case 1:
            let gate = result(.relu6, [result(.add, [middle, try number(100, 0.03)], 0.06, -40)], 6 / 255, -128)
            y = result(.mul, [result(.mul, [middle, gate], 0.2, -100), try number(1, 1 / 6)], 0.03, -100)
        default:
            let wave = maker.result(.sin, [maker.result(.dequantize, [middle], shape: shape)], shape: shape)
            y = result(.quantize, [wave], 1 / 128, 0)
        }
        maker.ends([x], [y])
        try requireSameBits(
            maker, isFloat: false, ["CPU"] + [String](repeating: "fused", count: [1, 3, 2][way]) + ["CPU"])
    }

    /// A sum of two tensors ends a table, whoever else could join.
    @Test func tablesEndAtTwoTensors() throws {
        var maker = ModelMaker()
        let shape = [4, 40]
        let inputs = [maker.tensor("a", shape), maker.tensor("b", shape)]
        let sum = maker.result(.add, inputs, shape: shape)
        let gate = maker.result(.logistic, [sum], shape: shape)
        let y = maker.result(.mul, [sum, gate], shape: shape)
        for (tensor, scale, zero) in [
            (inputs[0], 0.05 as Float, -7), (inputs[1], 0.03, 1), (sum, 0.06, 2), (gate, 1 / 256, -128), (y, 0.04, -90),
        ] { maker.quantize(tensor, scale, zero, .int8) }
        maker.ends(inputs, [y])
        try requireSameBits(maker, isFloat: false, ["CPU", "fused", "CPU"])
    }

    /// A number for each channel is none for all, and what others read must be there.
    @Test(arguments: [false, true]) func noTables(_ isRead: Bool) throws {
        var maker = ModelMaker()
        let shape = [4, 8]
        let x = maker.tensor("x", shape)
        let factor = try maker.constant(
            "factor", isRead ? [1] : [8], [Int8](repeating: 9, count: isRead ? 1 : 8), .int8)
        let product = maker.result(.mul, [x, factor], shape: shape)
        let y = maker.result(.logistic, [product], shape: shape)
        for (tensor, scale, zero) in [(x, 0.05 as Float, -7), (factor, 0.2, 1), (product, 0.06, 2), (y, 1 / 256, -128)]
        {
            maker.quantize(tensor, scale, zero, .int8)
        }
        maker.ends([x], isRead ? [y, product] : [y])
        #expect(try maker.runners() == ["CPU", "CPU"])
    }
}
