import Kernels
import Model

/// RFFT2D: the half spectrum of real matrices, cut off or filled up with zeros to powers of two; in double precision.
enum Rfft2D {
    static var definition: OperatorDefinition {
        OperatorDefinition(.rfft2D, maxVersion: 1) { op throws(Failure) in
            guard let (rows, columns) = try lengths(op) else { return nil }
            return [try op.checked(op.input(0).shape.dropLast(2) + [rows, columns / 2 + 1])]
        } prepare: { op throws(Failure) in
            let (input, output) = (try op.input(0), try op.output())
            let (rows, columns) = try op.known(lengths(op.inference))
            guard input.type == .float32, output.type == .complex64 else { throw op.unsupportedTypes() }
            guard output.shape == input.shape.dropLast(2) + [rows, columns / 2 + 1] else {
                throw op.invalid("\(output.described) for \(input.described)")
            }
            let transform = RealFourierTransform(
                images: input.shape.dropLast(2).reduce(1, &*), inputRows: input.shape[input.rank - 2],
                inputColumns: input.shape[input.rank - 1], rows: rows, columns: columns)
            let memory = op.scratch(bytes: 8 * transform.memoryCount(threads: op.threadCount))
            return { io in
                var y = io.output(as: Float.self)
                var m = io.scratch(memory, as: Double.self)
                transform.run(io.input(0), &y, memory: &m, pool: io.pool)
            }
        }
    }

    private static func lengths(_ op: ShapeInference) throws(Failure) -> (rows: Int, columns: Int)? {
        let input = try op.input(0)
        guard let lengths = try op.numbers(1, "the lengths") else { return nil }
        guard input.rank >= 2, lengths.count == 2,
            lengths.allSatisfy({ $0 > 0 && $0 <= 1 << 24 && $0 & ($0 - 1) == 0 })
        else { throw op.invalid("lengths \(text(lengths)) for \(input.described): two powers of two are expected") }
        return (lengths[0], lengths[1])
    }
}
