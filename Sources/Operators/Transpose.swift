import Kernels
import Model

/// TRANSPOSE: output dimension d is input dimension perm[d].
package enum Transpose {
    static var definition: OperatorDefinition {
        OperatorDefinition(.transpose, maxVersion: 9, quantization: .sameScale) { op throws(Failure) in
            guard let order = try permutation(op) else { return nil }
            let shape = try op.input(0).shape
            return [order.map { shape[$0] }]
        } prepare: { op throws(Failure) in
            try kernel(op, op.known(permutation(op.inference)))
        }.gradient { g throws(Failure) in
            let (order, rank) = (try g.integers(1), g.y.rank)
            var inverse = order
            for (place, axis) in order.enumerated() { inverse[axis < 0 ? axis + rank : axis] = place }
            return [try g.dy.transpose(inverse)]
        }
    }

    /// A transposition whose permutation the compiler has made: it has one input.
    package static func definition(_ order: [Int]) -> OperatorDefinition {
        OperatorDefinition(.transpose, maxVersion: 9) { op throws(Failure) in
            let shape = try op.input(0).shape
            return [order.map { shape[$0] }]
        } prepare: { op throws(Failure) in
            try kernel(op, order)
        }
    }

    private static func kernel(_ op: Preparation, _ order: [Int]) throws(Failure) -> Kernel {
        let input = try op.input(0)
        let shape = order.map { input.shape[$0] }
        try op.output(shape: shape, like: input)
        let strides = rowMajorStrides(input.shape)
        return Moves.one(
            StridedCopy(
                bits: try op.elementBits(input), counts: shape, source: order.map { strides[$0] },
                target: rowMajorStrides(shape)))
    }

    private static func permutation(_ op: ShapeInference) throws(Failure) -> [Int]? {
        guard let given = try op.numbers(1, "the permutation") else { return nil }
        let rank = try op.input(0).rank
        var seen = [Bool](repeating: false, count: rank)
        var order: [Int] = []
        for axis in given {
            let axis = try op.axis(axis, rank: rank)
            guard !seen[axis] else { throw op.invalid("\(text(given)) names dimension \(axis) twice") }
            seen[axis] = true
            order.append(axis)
        }
        guard order.count == rank else { throw op.invalid("\(text(given)) does not permute \(rank) dimensions") }
        return order
    }
}
