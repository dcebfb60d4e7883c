import Kernels
import Model

/// UNPACK: the slices of a tensor along one dimension, which goes away.
enum Unpack {
    private static let countField = 0
    private static let axisField = 1

    static var definition: OperatorDefinition {
        OperatorDefinition(.unpack, maxVersion: 6, quantization: .sameScale) { op throws(Failure) in
            let axis = try axis(op)
            var shape = try op.input(0).shape
            shape.remove(at: axis)
            return [[Int]](repeating: shape, count: op.outputCount)
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let axis = try axis(op.inference)
            let bits = try op.elementBits(input)
            var shape = input.shape
            var source = rowMajorStrides(shape)
            let step = source.remove(at: axis)
            shape.remove(at: axis)
            for index in op.outputs.indices { try op.output(index, shape: shape, like: input) }
            let target = rowMajorStrides(shape)
            return Moves.scatter(
                op.outputs.indices.map {
                    StridedCopy(bits: bits, counts: shape, source: source, target: target, sourceOffset: $0 * step)
                })
        }.gradient { g throws(Failure) in
            var parts: [Value?] = []
            for index in g.outputs.indices { parts.append(try g.gradient(index)) }
            let pack = Options(.pack, [.int(Int64(parts.count)), g.options[axisField]])
            return try g.y.graph.emit(OperatorCode(.pack), parts, pack).map { $0 }
        }
    }

    private static func axis(_ op: ShapeInference) throws(Failure) -> Int {
        let input = try op.input(0)
        let axis = try op.axis(op.options.int(axisField), rank: input.rank)
        guard input.shape[axis] == op.outputCount, op.options.int(countField) == op.outputCount else {
            throw op.invalid(
                "dimension \(axis) of \(input.described) does not make \(op.options.int(countField)) tensors for "
                    + "\(op.outputCount) outputs")
        }
        return axis
    }
}
