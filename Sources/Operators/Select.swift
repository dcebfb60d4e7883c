import Kernels
import Model

/// SELECT and SELECT_V2: elements of one tensor where the condition holds, of another where not.
enum Select {
    /// Broadcasts all three inputs (NumPy rules).
    static var version2: OperatorDefinition {
        definition(.selectV2, maxVersion: 2) { condition, rank in condition }
    }

    /// A condition of rank 1 chooses among the slices of the first dimension.
    static var definition: OperatorDefinition {
        definition(.select, maxVersion: 4) { condition, rank in
            condition.count == 1 && rank > 1
                ? condition + [Int](repeating: 1, count: rank - 1) : condition
        }
    }

    private static func definition(
        _ code: BuiltinOperator, maxVersion: Int, _ view: @escaping @Sendable (_ condition: [Int], _ rank: Int) -> [Int]
    ) -> OperatorDefinition {
        OperatorDefinition(
            code, maxVersion: maxVersion, quantization: QuantizationRule(activations: [1, 2], output: .sameAsInput)
        ) { op throws(Failure) in
            [try outputShape(op, view)]
        } prepare: { op throws(Failure) in
            let (condition, first, second) = (try op.input(0), try op.input(1), try op.input(2))
            let shape = try outputShape(op.inference, view)
            try op.output(shape: shape, like: first)
            guard condition.type == .bool, second.type == first.type else { throw op.unsupportedTypes() }
            let c = broadcastStrides(view(condition.shape, first.rank), to: shape)
            let a = broadcastStrides(first.shape, to: shape)
            let b = broadcastStrides(second.shape, to: shape)
            let y = rowMajorStrides(shape)
            let copy = SelectedCopy(
                elementBytes: try op.elementBytes(first),
                dimensions: shape.indices.map {
                    .init(count: shape[$0], condition: c[$0], first: a[$0], second: b[$0], target: y[$0])
                })
            return { io in
                var target = io.output(as: UInt8.self)
                copy.run(io.input(0), io.input(1), io.input(2), to: &target)
            }
        }.gradient { g throws(Failure) in
            let zero = try g.y.scalar(0)
            let condition = try g.x.reshape(view(g.x.shape, g.y.rank))
            return [nil, try condition.select(g.dy, zero), try condition.select(zero, g.dy)]
        }
    }

    private static func outputShape(
        _ op: ShapeInference, _ view: (_ condition: [Int], _ rank: Int) -> [Int]
    ) throws(Failure) -> [Int] {
        let (condition, first, second) = (try op.input(0), try op.input(1), try op.input(2))
        guard let choices = broadcast(first.shape, second.shape),
            let shape = broadcast(view(condition.shape, first.rank), choices)
        else {
            throw op.invalid("\(condition.described), \(first.described), \(second.described) do not broadcast")
        }
        return try op.checked(shape)
    }
}
