import Kernels
import Model

/// SHAPE and RANK: the dimensions of a tensor, or how many there are, as a tensor.
enum Shape {
    static var definition: OperatorDefinition {
        OperatorDefinition(.shape, maxVersion: 1) { op throws(Failure) in
            [[try op.input(0).rank]]
        } prepare: { op throws(Failure) in
            try constant(op, op.input(0).shape)
        }
    }

    static var rank: OperatorDefinition {
        OperatorDefinition(.rank, maxVersion: 1) { op throws(Failure) in
            [[]]
        } prepare: { op throws(Failure) in
            try constant(op, [op.input(0).rank])
        }
    }

    private static func constant(_ op: Preparation, _ numbers: [Int]) throws(Failure) -> Kernel {
        let output = try op.output()
        guard output.type == .int32 || output.type == .int64 else { throw op.unsupportedTypes() }
        guard output.count == numbers.count else {
            throw op.invalid("\(output.described) must have \(numbers.count) elements")
        }
        let width = output.type == .int32 ? 4 : 8
        return { io in
            var y = io.output(as: UInt8.self)
            for i in 0..<numbers.count { storeInteger(numbers[i], &y, i, width: width) }
        }
    }
}
