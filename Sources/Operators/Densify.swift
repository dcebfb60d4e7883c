import Model

/// DENSIFY: a sparse constant in full. A constant reaches operators decoded already, so nothing is left to do.
enum Densify {
    static var definition: OperatorDefinition {
        OperatorDefinition(.densify, maxVersion: 1, isView: true) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            if let data = input.constant, data.count != input.type.byteCount(input.count) {
                throw op.invalid("\(input.described) has \(data.count) bytes: its sparse form was not decoded")
            }
            return try Moves.same(op)
        }
    }
}
