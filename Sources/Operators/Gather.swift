import Kernels
import Model

/// GATHER: slices of a tensor along one dimension, in the order that the indices say.
enum Gather {
    private static let axisField = 0
    private static let batchField = 1

    static var definition: OperatorDefinition {
        OperatorDefinition(.gather, maxVersion: 8, quantization: .sameScale) { op throws(Failure) in
            [try Geometry(op).outputShape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let g = try Geometry(op.inference)
            try op.output(shape: g.outputShape, like: input)
            let (bits, width) = (try op.elementBits(input), try op.input(1).type.bits.map { $0 / 8 } ?? 4)
            let (name, rows) = (op.name, op.scratch(bytes: g.indices * MemoryLayout<Int>.size))
            let copy = PlacedCopy(rows: g.limit, length: g.inner, bits: bits)
            return { io throws(Failure) in
                var y = io.output(as: UInt8.self)
                var places = io.scratch(rows, as: Int.self)
                for batch in 0..<g.batch {
                    for i in 0..<g.indices {
                        let index = loadInteger(io.input(1), batch &* g.indices &+ i, width: width)
                        guard index >= 0, index < g.limit else { throw outOfRange(name, index, g.limit) }
                        places[i] = index
                    }
                    for outer in batch &* g.outer..<(batch &+ 1) &* g.outer {
                        copy.run(
                            io.input(0), from: outer &* g.limit, places: places.span, to: &y, at: outer &* g.indices)
                    }
                }
            }
        }.gradient { g throws(Failure) in
            [try ScatterAdd.emit(g.dy, g.b, like: g.x, options: g.options)]
        }
    }

    /// The input as [batch][outer][limit][inner], the indices as [batch][indices], the output as
    /// [batch][outer][indices][inner].
    private struct Geometry {
        let batch: Int
        let outer: Int
        let limit: Int
        let inner: Int
        let indices: Int
        let outputShape: [Int]

        init(_ op: ShapeInference) throws(Failure) {
            let (input, positions) = (try op.input(0), try op.input(1))
            switch positions.type {
            case .int16, .int32, .int64: break
            default: throw op.invalid("the indices must be integers, not \(positions.described)")
            }
            let axis = try op.axis(op.options.int(axisField), rank: input.rank)
            let given = op.options.int(batchField)
            let shared = given < 0 ? given + positions.rank : given
            guard shared >= 0, shared <= axis, shared <= positions.rank,
                input.shape[..<shared] == positions.shape[..<shared]
            else { throw op.invalid("\(given) batch dimensions do not fit \(input.described), \(positions.described)") }
            batch = input.shape[..<shared].reduce(1, &*)
            outer = input.shape[shared..<axis].reduce(1, &*)
            limit = input.shape[axis]
            inner = input.shape[(axis + 1)...].reduce(1, &*)
            indices = positions.shape[shared...].reduce(1, &*)
            outputShape = try op.checked(
                Array(input.shape[..<axis] + positions.shape[shared...] + input.shape[(axis + 1)...]))
        }
    }
}

/// For an index of a running model that points nowhere.
func outOfRange(_ name: String, _ index: Int, _ limit: Int) -> Failure {
    .execution("\(name): index \(index) is outside 0..<\(limit)")
}
