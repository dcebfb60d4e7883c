import Kernels
import Model

/// GATHER_ND: slices of a tensor, each named by a tuple of indices along its first dimensions.
enum GatherND {
    static var definition: OperatorDefinition {
        OperatorDefinition(.gatherNd, maxVersion: 6, quantization: .sameScale) { op throws(Failure) in
            [try outputShape(op)]
        } prepare: { op throws(Failure) in
            let (input, indices) = (try op.input(0), try op.input(1))
            try op.output(shape: outputShape(op.inference), like: input)
            let tuples = IndexTuples(op.name, indices, into: input.shape)
            let (count, slice) = (tuples.count, max(1, tuples.sliceCount))
            let copy = PlacedCopy(
                rows: input.count / slice, length: tuples.sliceCount, bits: try op.elementBits(input))
            let rows = op.scratch(bytes: count * MemoryLayout<Int>.size)
            return { io throws(Failure) in
                var y = io.output(as: UInt8.self)
                var places = io.scratch(rows, as: Int.self)
                for i in 0..<count { places[i] = try tuples.place(i, io.input(1)) / slice }
                copy.run(io.input(0), from: 0, places: places.span, to: &y, at: 0)
            }
        }.gradient { g throws(Failure) in
            let (indices, graph) = (try g.input(1), g.y.graph)
            let shape =
                try indices.type == .int64
                ? graph.constant(.int64, [g.x.rank], Bytes(copying: g.x.shape.map { Int64($0) }))
                : graph.indices(g.x.shape)
            return try graph.emit(OperatorCode(.scatterNd), [indices, g.dy, shape], types: [g.y.type]).map { $0 }
        }
    }

    private static func outputShape(_ op: ShapeInference) throws(Failure) -> [Int] {
        let (input, indices) = (try op.input(0), try op.input(1))
        let depth = try IndexTuples.depth(op, indices, rank: input.rank)
        return try op.checked(Array(indices.shape.dropLast() + input.shape[depth...]))
    }
}

/// Tuples of indices along the first dimensions of a tensor: the last dimension of an index input.
struct IndexTuples {
    private let name: String
    private let limits: [Int]
    private let strides: [Int]
    private let width: Int
    let count: Int
    /// Elements that a tuple names.
    let sliceCount: Int

    /// `indices` has been checked by `depth`.
    init(_ name: String, _ indices: TensorInfo, into shape: [Int]) {
        let depth = indices.shape.last ?? 0
        self.name = name
        limits = Array(shape[..<depth])
        strides = Array(rowMajorStrides(shape)[..<depth])
        width = (indices.type.bits ?? 32) / 8
        count = indices.shape.dropLast().reduce(1, &*)
        sliceCount = shape[depth...].reduce(1, &*)
    }

    /// Length of the tuples.
    static func depth(_ op: ShapeInference, _ indices: TensorInfo, rank: Int) throws(Failure) -> Int {
        switch indices.type {
        case .int16, .int32, .int64: break
        default: throw op.invalid("the indices must be integers, not \(indices.described)")
        }
        guard let depth = indices.shape.last, depth <= rank else {
            throw op.invalid("\(indices.described) cannot index a tensor of rank \(rank)")
        }
        return depth
    }

    /// First element that tuple `i` names.
    func place(_ i: Int, _ indices: Span<UInt8>) throws(Failure) -> Int {
        var place = 0
        for d in 0..<limits.count {
            let index = loadInteger(indices, i &* limits.count &+ d, width: width)
            guard index >= 0, index < limits[d] else { throw outOfRange(name, index, limits[d]) }
            place &+= index &* strides[d]
        }
        return place
    }
}
