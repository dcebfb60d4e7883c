import Model

/// RESHAPE: the same elements under another shape.
enum Reshape {
    private static let newShape = 0

    static var definition: OperatorDefinition {
        OperatorDefinition(.reshape, maxVersion: 1, quantization: .sameScale, isView: true) { op throws(Failure) in
            guard let wanted = try wantedShape(op) else { return nil }
            return [try resolve(wanted, op)]
        } prepare: { op throws(Failure) in
            try Moves.same(op)
        }.gradient { g throws(Failure) in
            [try g.dy.reshape(g.x.shape)]
        }
    }

    /// The shape input, or the option of older models.
    private static func wantedShape(_ op: ShapeInference) throws(Failure) -> [Int]? {
        if op.hasInput(1), try op.input(1).rank == 1 { return try op.numbers(1, "the new shape") }
        let shape = op.options.ints(newShape)
        return shape == [0] ? [] : shape
    }

    /// Replaces the one -1 by what is left.
    private static func resolve(_ wanted: [Int], _ op: ShapeInference) throws(Failure) -> [Int] {
        let input = try op.input(0)
        let failure = op.invalid("\(input.described) cannot take the shape \(text(wanted))")
        let free = wanted.indices.filter { wanted[$0] == -1 }
        guard free.count <= 1, let fixed = elementCount(wanted.filter { $0 != -1 }) else { throw failure }
        var shape = wanted
        if let free = free.first { shape[free] = fixed == 0 ? 0 : input.count / fixed }
        guard elementCount(shape) == input.count else { throw failure }
        return shape
    }
}
