import Model

/// EXPAND_DIMS: a dimension of one element put in.
enum ExpandDims {
    static var definition: OperatorDefinition {
        OperatorDefinition(.expandDims, maxVersion: 1, quantization: .sameScale, isView: true) { op throws(Failure) in
            var shape = try op.input(0).shape
            guard let axis = try op.number(1, "the axis") else { return nil }
            shape.insert(1, at: try op.axis(axis, rank: shape.count + 1))
            return [shape]
        } prepare: { op throws(Failure) in
            try Moves.same(op)
        }.gradient { g throws(Failure) in
            [try g.dy.reshape(g.x.shape)]
        }
    }
}
