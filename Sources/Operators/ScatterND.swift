import Kernels
import Model

/// SCATTER_ND: a tensor of zeros to whose slices, each named by a tuple of indices, the updates are added.
enum ScatterND {
    static var definition: OperatorDefinition {
        OperatorDefinition(.scatterNd, maxVersion: 1) { op throws(Failure) in
            guard let shape = try outputShape(op) else { return nil }
            return [shape]
        } prepare: { op throws(Failure) in
            let updates = try op.input(1)
            let shape = try op.known(outputShape(op.inference))
            try op.output(shape: shape, like: updates)
            let tuples = IndexTuples(op.name, try op.input(0), into: shape)
            switch updates.type {
            case .float32: return kernel(tuples, Float.self) { $0 + $1 }
            case .float64: return kernel(tuples, Double.self) { $0 + $1 }
            case .int8, .uint8: return kernel(tuples, UInt8.self) { $0 &+ $1 }
            case .int16, .uint16: return kernel(tuples, UInt16.self) { $0 &+ $1 }
            case .int32, .uint32: return kernel(tuples, UInt32.self) { $0 &+ $1 }
            case .int64, .uint64: return kernel(tuples, UInt64.self) { $0 &+ $1 }
            case .bool: return kernel(tuples, UInt8.self) { $0 | $1 }
            default: throw op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            [nil, try g.dy.apply(.gatherNd, g.x)]
        }
    }

    private static func outputShape(_ op: ShapeInference) throws(Failure) -> [Int]? {
        guard let given = try op.numbers(2, "the shape") else { return nil }
        let shape = try op.checked(given)
        let (indices, updates) = (try op.input(0), try op.input(1))
        let depth = try IndexTuples.depth(op, indices, rank: shape.count)
        guard updates.shape == Array(indices.shape.dropLast() + shape[depth...]) else {
            throw op.invalid("\(updates.described) and \(indices.described) do not fit the shape \(text(shape))")
        }
        return shape
    }

    private static func kernel<T: BitwiseCopyable>(
        _ tuples: IndexTuples, _: T.Type, _ add: @escaping @Sendable (T, T) -> T
    ) -> Kernel {
        return { io throws(Failure) in
            let updates = io.input(1, as: T.self)
            var bytes = io.output(as: UInt8.self)
            for i in 0..<bytes.count { bytes[i] = 0 }
            var y = io.output(as: T.self)
            for i in 0..<tuples.count {
                let to = try tuples.place(i, io.input(0))
                let from = i &* tuples.sliceCount
                for j in 0..<tuples.sliceCount { y[to &+ j] = add(y[to &+ j], updates[from &+ j]) }
            }
        }
    }
}
