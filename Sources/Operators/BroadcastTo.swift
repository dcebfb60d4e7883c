import Kernels
import Model

/// BROADCAST_TO: a tensor repeated along dimensions of one element, by NumPy's rules.
enum BroadcastTo {
    static var definition: OperatorDefinition {
        OperatorDefinition(.broadcastTo, maxVersion: 4, quantization: .sameScale) { op throws(Failure) in
            guard let shape = try outputShape(op) else { return nil }
            return [shape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let shape = try op.known(outputShape(op.inference))
            try op.output(shape: shape, like: input)
            return Moves.one(
                StridedCopy(
                    bits: try op.elementBits(input), counts: shape, source: broadcastStrides(input.shape, to: shape),
                    target: rowMajorStrides(shape)))
        }.gradient { g throws(Failure) in
            [try g.dy]
        }
    }

    private static func outputShape(_ op: ShapeInference) throws(Failure) -> [Int]? {
        guard let given = try op.numbers(1, "the shape") else { return nil }
        let shape = try op.checked(given)
        let input = try op.input(0)
        guard broadcast(input.shape, shape) == shape else {
            throw op.invalid("\(input.described) does not broadcast to \(text(shape))")
        }
        return shape
    }
}

/// Strides of a dense tensor seen as one of shape `target`, to which it broadcasts.
func broadcastStrides(_ shape: [Int], to target: [Int]) -> [Int] {
    let strides = rowMajorStrides(shape)
    let added = target.count - shape.count
    return target.indices.map { d in
        d < added || shape[d - added] == 1 ? 0 : strides[d - added]
    }
}
