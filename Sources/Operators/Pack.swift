import Kernels
import Model

/// PACK: tensors of one shape stacked along a new dimension.
enum Pack {
    private static let axisField = 1

    static var definition: OperatorDefinition {
        OperatorDefinition(
            .pack, maxVersion: 5,
            quantization: QuantizationRule(activations: [0], allInputs: true, output: .sameAsInput)
        ) { op throws(Failure) in
            [try outputShape(op)]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let shape = try outputShape(op.inference)
            try op.output(shape: shape, like: input)
            let axis = try op.inference.axis(op.options.int(axisField), rank: shape.count)
            let bits = try op.elementBits(input)
            var target = rowMajorStrides(shape)
            let step = target.remove(at: axis)
            let source = rowMajorStrides(input.shape)
            return Moves.gather(
                op.inputs.indices.map {
                    StridedCopy(
                        bits: bits, counts: input.shape, source: source, target: target, targetOffset: $0 * step)
                })
        }.gradient { g throws(Failure) in
            let unpack = Options(.unpack, [.int(Int64(g.inputs.count)), g.options[axisField]])
            return try g.dy.graph.emit(
                OperatorCode(.unpack), [g.dy], unpack, types: g.inputs.map { _ in g.y.type }
            ).map { $0 }
        }
    }

    private static func outputShape(_ op: ShapeInference) throws(Failure) -> [Int] {
        let first = try op.input(0)
        for index in op.inputs.indices.dropFirst() {
            let input = try op.input(index)
            guard input.shape == first.shape, input.type == first.type else {
                throw op.invalid("\(input.described) must have type and shape of \(first.described)")
            }
        }
        var shape = first.shape
        shape.insert(op.inputs.count, at: try op.axis(op.options.int(axisField), rank: shape.count + 1))
        return try op.checked(shape)
    }
}
