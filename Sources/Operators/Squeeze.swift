import Model

/// SQUEEZE: dimensions of one element left out.
enum Squeeze {
    private static let squeezeDimensions = 0

    static var definition: OperatorDefinition {
        OperatorDefinition(.squeeze, maxVersion: 2, quantization: .sameScale, isView: true) { op throws(Failure) in
            let input = try op.input(0)
            let given = op.options.ints(squeezeDimensions)
            guard !given.isEmpty else { return [input.shape.filter { $0 != 1 }] }
            var dropped = [Bool](repeating: false, count: input.rank)
            for dimension in given {
                let axis = try op.axis(dimension, rank: input.rank)
                guard input.shape[axis] == 1 else {
                    throw op.invalid("dimension \(axis) of \(input.described) is not 1")
                }
                dropped[axis] = true
            }
            return [input.shape.indices.filter { !dropped[$0] }.map { input.shape[$0] }]
        } prepare: { op throws(Failure) in
            try Moves.same(op)
        }.gradient { g throws(Failure) in
            [try g.dy.reshape(g.x.shape)]
        }
    }
}
