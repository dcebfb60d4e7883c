import CKernels

/// A function of the rows of a tensor, each by itself.
package enum RowFunction: Sendable {
    /// exp(beta (x - max x)) / sum.
    case softmax(beta: Float)
    /// x - max x - log(sum(exp(x - max x))).
    case logSoftmax
    /// x / max(|x|, 1e-6), |x| the Euclidean length.
    case normalize

    /// One row; `y` may be `x`.
    func apply(_ depth: Int, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>) {
        var none = eo_f32_params(low: -.infinity, high: .infinity)
        let table = kernelTable
        switch self {
        case .softmax(let beta):
            let largest = table.pointee.f32_maximum(depth, x)
            var sum = table.pointee.f32_exp_sum(depth, x, y, largest, beta)
            table.pointee.f32_div.vs(depth, y, &sum, y, &none)
        case .logSoftmax:
            let largest = table.pointee.f32_maximum(depth, x)
            var shift = largest + Real.log(Self.exponentialSum(depth, x, largest))
            table.pointee.f32_sub.vs(depth, x, &shift, y, &none)
        case .normalize:
            var length = max(1e-6, table.pointee.f32_sum_of_squares(depth, x).squareRoot())
            table.pointee.f32_div.vs(depth, x, &length, y, &none)
        }
    }

    /// Exponentials that need not be kept, 4 KiB of the stack at a time.
    private static func exponentialSum(_ depth: Int, _ x: UnsafePointer<Float>, _ largest: Float) -> Float {
        let block = 1024
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: block) { exponentials in
            var sum: Float = 0
            for start in stride(from: 0, to: depth, by: block) {
                sum += kernelTable.pointee.f32_exp_sum(
                    min(block, depth - start), x + start, exponentials.baseAddress!, largest, 1)
            }
            return sum
        }
    }
}

/// Functions of rows of `depth` elements. The bits do not depend on threads. Nothing is allocated.
package enum Rows {
    /// Rows are shared among the threads of `pool`. The output may be the input.
    package static func apply(
        _ function: RowFunction, _ x: Span<Float>, _ y: inout MutableSpan<Float>, depth: Int, pool: ThreadPool
    ) {
        guard depth > 0, x.count >= depth, y.count >= depth else { return }
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                var job = RowsJob(
                    function: function, x: x.baseAddress!, y: y.baseAddress!, depth: depth,
                    rows: min(x.count, y.count) / depth)
                pool.run(job.pieces, &job) { context, piece, _ in
                    context.assumingMemoryBound(to: RowsJob.self).pointee.run(piece)
                }
            }
        }
    }

    /// To float, the function, and back, each with one rounding, the last to nearest, ties to even. `row` is working
    /// memory for `depth` elements.
    package static func apply<X: QuantizedInteger, Y: QuantizedInteger>(
        _ function: RowFunction, _ x: Span<X>, _ y: inout MutableSpan<Y>, depth: Int, from input: Quantizer,
        to output: Quantizer, row: inout MutableSpan<Float>
    ) {
        guard depth > 0 else { return }
        precondition(row.count >= depth)
        var (from, to) = (input.parameters(X.self), output.inverseParameters(Y.self))
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                row.withUnsafeMutableBufferPointer { row in
                    let count = min(x.count, y.count) / depth * depth
                    guard let x = x.baseAddress, let y = y.baseAddress, let row = row.baseAddress else { return }
                    for start in stride(from: 0, to: count, by: depth) {
                        X.kernels.toFloat(depth, x + start, row, &from)
                        function.apply(depth, row, row)
                        Y.kernels.fromFloat(depth, row, y + start, &to)
                    }
                }
            }
        }
    }
}

private struct RowsJob {
    let function: RowFunction
    let x: UnsafePointer<Float>
    let y: UnsafeMutablePointer<Float>
    let depth: Int
    let rows: Int

    /// Functions of rows cost some ten times as much as arithmetic.
    private var rowsPerPiece: Int { max(1, elementsPerPiece / 8 / depth) }
    var pieces: Int { (rows + rowsPerPiece - 1) / rowsPerPiece }

    func run(_ piece: Int) {
        let first = piece * rowsPerPiece
        for row in first..<min(rows, first + rowsPerPiece) { function.apply(depth, x + row * depth, y + row * depth) }
    }
}
