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
            let transform = Transform(input.shape, rows: rows, columns: columns)
            let plane = op.scratch(bytes: 16 * rows * (columns / 2 + 1))
            let line = op.scratch(bytes: 16 * max(rows, columns))
            return { io in
                let x = io.input(0, as: Float.self)
                var y = io.output(as: Float.self)
                var p = io.scratch(plane, as: Double.self)
                var l = io.scratch(line, as: Double.self)
                for image in 0..<transform.images { transform.run(image, x, &y, &p, &l) }
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

    private struct Transform: Sendable {
        let images: Int
        private let inputRows: Int
        private let inputColumns: Int
        private let rows: Int
        private let columns: Int
        private let acrossRow: FourierTransform
        private let acrossColumn: FourierTransform

        init(_ shape: [Int], rows: Int, columns: Int) {
            images = shape.dropLast(2).reduce(1, &*)
            (inputRows, inputColumns) = (shape[shape.count - 2], shape[shape.count - 1])
            (self.rows, self.columns) = (rows, columns)
            acrossRow = FourierTransform(length: columns)
            acrossColumn = FourierTransform(length: rows)
        }

        func run(
            _ image: Int, _ x: Span<Float>, _ y: inout MutableSpan<Float>, _ plane: inout MutableSpan<Double>,
            _ line: inout MutableSpan<Double>
        ) {
            let half = columns / 2 + 1
            for r in 0..<rows {
                let start = (image &* inputRows &+ r) &* inputColumns
                for c in 0..<columns {
                    line[2 &* c] = r < inputRows && c < inputColumns ? Double(x[start &+ c]) : 0
                    line[2 &* c &+ 1] = 0
                }
                acrossRow.run(&line)
                for i in 0..<2 &* half { plane[2 &* r &* half &+ i] = line[i] }
            }
            for c in 0..<half {
                for r in 0..<rows {
                    line[2 &* r] = plane[2 &* (r &* half &+ c)]
                    line[2 &* r &+ 1] = plane[2 &* (r &* half &+ c) &+ 1]
                }
                acrossColumn.run(&line)
                for r in 0..<rows {
                    let place = 2 &* ((image &* rows &+ r) &* half &+ c)
                    y[place] = Float(line[2 &* r])
                    y[place &+ 1] = Float(line[2 &* r &+ 1])
                }
            }
        }
    }
}

/// The discrete Fourier transform of a power of two of complex numbers in place (Cooley and Tukey, 1965): elements in
/// bit-reversed order, then butterflies of growing width.
struct FourierTransform: Sendable {
    private let length: Int
    /// exp(-2 pi i k / length) for k below half of the length.
    private let twiddles: [Double]

    init(length: Int) {
        self.length = length
        twiddles = (0..<length / 2).flatMap { k -> [Double] in
            let angle = -2 * Double.pi * Double(k) / Double(length)
            return [Real.cos(angle), Real.sin(angle)]
        }
    }

    func run(_ x: inout MutableSpan<Double>) {
        reverseBits(&x)
        var width = 2
        while width <= length {
            let half = width / 2
            let step = length / width
            for start in stride(from: 0, to: length, by: width) {
                for k in 0..<half {
                    let (a, b) = (2 &* (start &+ k), 2 &* (start &+ k &+ half))
                    let (c, s) = (twiddles[2 &* k &* step], twiddles[2 &* k &* step &+ 1])
                    let (real, imaginary) = (x[b] * c - x[b &+ 1] * s, x[b] * s + x[b &+ 1] * c)
                    (x[b], x[b &+ 1]) = (x[a] - real, x[a &+ 1] - imaginary)
                    (x[a], x[a &+ 1]) = (x[a] + real, x[a &+ 1] + imaginary)
                }
            }
            width &*= 2
        }
    }

    private func reverseBits(_ x: inout MutableSpan<Double>) {
        var j = 0
        for i in 1..<max(1, length) {
            var bit = length / 2
            while j & bit != 0 {
                j ^= bit
                bit /= 2
            }
            j |= bit
            if i < j {
                x.swapAt(2 &* i, 2 &* j)
                x.swapAt(2 &* i &+ 1, 2 &* j &+ 1)
            }
        }
    }
}
