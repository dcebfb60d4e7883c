import CKernels

/// A function of the rows of a tensor, each by itself.
package enum RowFunction: Sendable {
    /// exp(beta (x - max x)) (1 / sum).
    case softmax(beta: Float)
    /// x - max x - log(sum(exp(x - max x))).
    case logSoftmax
    /// x / max(|x|, 1e-6), |x| the Euclidean length.
    case normalize

    /// Rows one after the other; `y` may be `x`.
    func apply(_ rows: Int, _ depth: Int, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>) {
        if case .softmax(let beta) = self, rows >= 4, 2...ShortRows.mostElements ~= depth {
            return ShortRows.softmax(rows, depth, x, y, beta: beta)
        }
        for row in 0..<rows { apply(depth, x + row * depth, y + row * depth) }
    }

    private func apply(_ depth: Int, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>) {
        var none = eo_f32_params(low: -.infinity, high: .infinity)
        let table = kernelTable
        switch self {
        case .softmax(let beta):
            let largest = table.pointee.f32_maximum(depth, x)
            var share = 1 / table.pointee.f32_exp_sum(depth, x, y, largest, beta)
            table.pointee.f32_mul.vs(depth, y, &share, y, &none)
        case .logSoftmax:
            let largest = table.pointee.f32_maximum(depth, x)
            var shift = largest + Real.log(Self.exponentialSum(depth, x, largest))
            table.pointee.f32_sub.vs(depth, x, &shift, y, &none)
        case .normalize:
            var length = max(1e-6, table.pointee.f32_sum_of_squares(depth, x).squareRoot())
            table.pointee.f32_div.vs(depth, x, &length, y, &none)
        }
    }

    /// Exponentials that need not be kept, as many at a time as Swift still puts on the stack.
    private static func exponentialSum(_ depth: Int, _ x: UnsafePointer<Float>, _ largest: Float) -> Float {
        let block = 256
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
                    function: function, x: x.baseAddress!, y: y.baseAddress!,
                    cut: RowCut(rows: min(x.count, y.count) / depth, depth: depth, pool: pool))
                pool.run(job.cut.rows.count, &job) { context, piece, _ in
                    context.assumingMemoryBound(to: RowsJob.self).pointee.run(piece)
                }
            }
        }
    }

    /// Elements that `apply` brings to float at a time: short rows are converted together.
    package static func elementsTogether(_ depth: Int) -> Int { depth * max(1, 512 / max(1, depth)) }

    /// To float, the function, and back, each with one rounding, the last to nearest, ties to even. `memory`:
    /// `elementsTogether` for each thread that shall take part.
    package static func apply<X: QuantizedInteger, Y: QuantizedInteger>(
        _ function: RowFunction, _ x: Span<X>, _ y: inout MutableSpan<Y>, depth: Int, from input: Quantizer,
        to output: Quantizer, memory: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        guard depth > 0, x.count >= depth, y.count >= depth else { return }
        let together = elementsTogether(depth)
        precondition(memory.count >= together)
        let (workers, count) = (memory.count / together, min(x.count, y.count))
        x.withUnsafeBytes { x in
            y.withUnsafeMutableBytes { y in
                memory.withUnsafeMutableBufferPointer { memory in
                    var job = QuantizedRowsJob(
                        function: function, toFloat: X.kernels.toFloat, fromFloat: Y.kernels.fromFloat,
                        from: input.parameters(X.self), to: output.inverseParameters(Y.self), x: x.baseAddress!,
                        y: y.baseAddress!, sizeX: MemoryLayout<X>.stride, sizeY: MemoryLayout<Y>.stride,
                        memory: memory.baseAddress!, together: together,
                        cut: RowCut(rows: count / depth, depth: depth, pool: pool))
                    pool.run(job.cut.rows.count, workers: workers, &job) { context, piece, worker in
                        context.assumingMemoryBound(to: QuantizedRowsJob.self).pointee.run(piece, worker)
                    }
                }
            }
        }
    }
}

/// How rows are dealt out.
private struct RowCut {
    let rows: Pieces
    let depth: Int

    init(rows: Int, depth: Int, pool: ThreadPool) {
        // Functions of rows cost some ten times as much as arithmetic.
        self.rows = Pieces(rows, atMost: max(1, elementsPerPiece / 8 / depth), pool: pool)
        self.depth = depth
    }

    /// Of the rows of a piece.
    func elements(_ piece: Int) -> Range<Int> { rows[piece].lowerBound * depth..<rows[piece].upperBound * depth }
}

private struct RowsJob {
    let function: RowFunction
    let x: UnsafePointer<Float>
    let y: UnsafeMutablePointer<Float>
    let cut: RowCut

    func run(_ piece: Int) {
        let elements = cut.elements(piece)
        function.apply(elements.count / cut.depth, cut.depth, x + elements.lowerBound, y + elements.lowerBound)
    }
}

private struct QuantizedRowsJob {
    let function: RowFunction
    let toFloat: eo_unary
    let fromFloat: eo_unary
    let from: eo_quantize_params
    let to: eo_quantize_params
    let x: UnsafeRawPointer
    let y: UnsafeMutableRawPointer
    let sizeX: Int
    let sizeY: Int
    let memory: UnsafeMutablePointer<Float>
    let together: Int
    let cut: RowCut

    func run(_ piece: Int, _ worker: Int) {
        let (elements, rows) = (cut.elements(piece), memory + worker * together)
        var (from, to) = (from, to)
        for start in stride(from: elements.lowerBound, to: elements.upperBound, by: together) {
            let count = min(together, elements.upperBound - start)
            toFloat(count, x + start * sizeX, rows, &from)
            function.apply(count / cut.depth, cut.depth, rows, rows)
            fromFloat(count, rows, y + start * sizeY, &to)
        }
    }
}
