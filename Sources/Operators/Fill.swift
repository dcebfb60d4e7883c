import Kernels
import Model

/// FILL and ZEROS_LIKE: a tensor of one value.
enum Fill {
    static var definition: OperatorDefinition {
        OperatorDefinition(.fill, maxVersion: 5) { op throws(Failure) in
            guard let shape = try op.numbers(0, "the shape") else { return nil }
            return [try op.checked(shape)]
        } prepare: { op throws(Failure) in
            let value = try op.input(1)
            let shape = try op.known(op.inference.numbers(0, "the shape"))
            try op.output(shape: shape, like: value)
            guard value.count == 1, try op.elementBytes(value) > 0 else {
                throw op.invalid("\(value.described) must be one element")
            }
            return { io in
                var y = io.output(as: UInt8.self)
                fill(&y, with: io.input(1))
            }
        }.gradient { g throws(Failure) in
            [nil, try g.dy.sum(Array(g.y.shape.indices), keep: false)]
        }
    }

    static var zerosLike: OperatorDefinition {
        OperatorDefinition(.zerosLike, maxVersion: 1) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            try op.output(shape: input.shape, like: input)
            let zero = [UInt8](repeating: 0, count: try op.elementBytes(input))
            return { io in
                var y = io.output(as: UInt8.self)
                fill(&y, with: zero.span)
            }
        }.gradient { _ throws(Failure) in [nil] }
    }
}
