import CKernels
import CPlatform

/// Softmax and its logarithm over rows of `depth` elements, and Euclidean normalization. Rows are shared among the
/// threads of `pool`; the bits do not depend on them. The output may be the input. Nothing is allocated.
package enum Rows {
    /// y = exp(beta (x - max x)) / sum.
    package static func softmax(
        _ x: Span<Float>, _ y: inout MutableSpan<Float>, depth: Int, beta: Float, pool: ThreadPool
    ) {
        run(x, &y, depth, beta, pool) { context, piece in
            let job = context.assumingMemoryBound(to: RowsJob.self).pointee
            job.forEachRow(piece) { x, y in
                let largest = kernelTable.pointee.f32_maximum(job.depth, x)
                var sum = kernelTable.pointee.f32_exp_sum(job.depth, x, y, largest, job.parameter)
                var none = eo_f32_params(low: -.infinity, high: .infinity)
                kernelTable.pointee.f32_div.vs(job.depth, y, &sum, y, &none)
            }
        }
    }

    /// y = x - max x - log(sum(exp(x - max x))).
    package static func logSoftmax(
        _ x: Span<Float>, _ y: inout MutableSpan<Float>, depth: Int, pool: ThreadPool
    ) {
        run(x, &y, depth, 1, pool) { context, piece in
            let job = context.assumingMemoryBound(to: RowsJob.self).pointee
            withUnsafeTemporaryAllocation(of: Float.self, capacity: RowsJob.block) { exponentials in
                job.forEachRow(piece) { x, y in
                    let largest = kernelTable.pointee.f32_maximum(job.depth, x)
                    var sum: Float = 0
                    for start in stride(from: 0, to: job.depth, by: RowsJob.block) {
                        sum += kernelTable.pointee.f32_exp_sum(
                            min(RowsJob.block, job.depth - start), x + start, exponentials.baseAddress!, largest, 1)
                    }
                    var shift = largest + logf(sum)
                    var none = eo_f32_params(low: -.infinity, high: .infinity)
                    kernelTable.pointee.f32_sub.vs(job.depth, x, &shift, y, &none)
                }
            }
        }
    }

    /// y = x / max(|x|, 1e-6), |x| the Euclidean length of the row.
    package static func normalize(_ x: Span<Float>, _ y: inout MutableSpan<Float>, depth: Int, pool: ThreadPool) {
        run(x, &y, depth, 1e-6, pool) { context, piece in
            let job = context.assumingMemoryBound(to: RowsJob.self).pointee
            job.forEachRow(piece) { x, y in
                var length = max(job.parameter, kernelTable.pointee.f32_sum_of_squares(job.depth, x).squareRoot())
                var none = eo_f32_params(low: -.infinity, high: .infinity)
                kernelTable.pointee.f32_div.vs(job.depth, x, &length, y, &none)
            }
        }
    }

    private static func run(
        _ x: Span<Float>, _ y: inout MutableSpan<Float>, _ depth: Int, _ parameter: Float, _ pool: ThreadPool,
        _ body: ThreadPool.Body
    ) {
        guard depth > 0, x.count >= depth, y.count >= depth else { return }
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                var job = RowsJob(
                    x: x.baseAddress!, y: y.baseAddress!, depth: depth, rows: min(x.count, y.count) / depth,
                    parameter: parameter)
                pool.run(job.pieces, &job, body)
            }
        }
    }
}

private struct RowsJob {
    let x: UnsafePointer<Float>
    let y: UnsafeMutablePointer<Float>
    let depth: Int
    let rows: Int
    let parameter: Float

    /// Exponentials that need not be kept: 4 KiB of the stack.
    static var block: Int { 1024 }

    private var rowsPerPiece: Int { max(1, elementsPerPiece / 4 / depth) }
    var pieces: Int { (rows + rowsPerPiece - 1) / rowsPerPiece }

    func forEachRow(_ piece: Int, _ body: (UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void) {
        let first = piece * rowsPerPiece
        for row in first..<min(rows, first + rowsPerPiece) { body(x + row * depth, y + row * depth) }
    }
}
