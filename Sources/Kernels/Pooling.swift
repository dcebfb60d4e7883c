import CKernels

/// Geometry of a 2-D pooling window over NHWC tensors. Sizes are at least 1, paddings at least 0.
package struct PoolShape: Equatable, Sendable {
    package var batch = 1
    package var inputHeight = 1
    package var inputWidth = 1
    package var channels = 1
    package var outputHeight = 1
    package var outputWidth = 1
    package var filterHeight = 1
    package var filterWidth = 1
    package var strideHeight = 1
    package var strideWidth = 1
    package var paddingTop = 0
    package var paddingLeft = 0

    package init() {}

    var inputCount: Int { batch * inputHeight * inputWidth * channels }
    var outputCount: Int { batch * outputHeight * outputWidth * channels }
    /// Output rows: what one thread takes at a time.
    var outputRows: Int { batch * outputHeight }

    /// Input rows and columns under the window at an output position; windows are cut at the borders.
    func rows(_ outputY: Int) -> Range<Int> { Self.cut(outputY * strideHeight - paddingTop, filterHeight, inputHeight) }
    func columns(_ outputX: Int) -> Range<Int> {
        Self.cut(outputX * strideWidth - paddingLeft, filterWidth, inputWidth)
    }

    /// Output columns whose windows no border cuts at the left or right.
    var inside: Range<Int> {
        let room = inputWidth + paddingLeft - filterWidth
        let begin = (paddingLeft + strideWidth - 1) / strideWidth
        return begin..<max(begin, min(outputWidth, room < 0 ? 0 : room / strideWidth + 1))
    }

    private static func cut(_ origin: Int, _ filter: Int, _ input: Int) -> Range<Int> {
        let end = min(input, origin + filter)
        return min(end, max(0, origin))..<max(0, end)
    }
}

/// Pooling. Output rows are shared among the threads of `pool`; which thread computes one does not change its bits.
/// Windows are cut at the borders, and an average is over the elements that are there. Nothing is allocated. Integer
/// inputs and outputs have the same scale and zero point.
package enum Pooling {
    /// `margin`: what places in the padding count as; nil: for nothing.
    package static func maximum(
        _ shape: PoolShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>,
        clamp: (minimum: Float, maximum: Float), margin: Float? = nil, pool: ThreadPool
    ) {
        run(shape, x, &y, kernelTable.pointee.f32_max_pool, clamp, .none, pool, margin: margin)
    }

    package static func average(
        _ shape: PoolShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>,
        clamp: (minimum: Float, maximum: Float), pool: ThreadPool
    ) {
        run(shape, x, &y, kernelTable.pointee.f32_average_pool, clamp, .count, pool)
    }

    package static func maximum<T: QuantizedInteger>(
        _ shape: PoolShape, _ x: Span<T>, _ y: inout MutableSpan<T>, clamp: (minimum: T, maximum: T), margin: T? = nil,
        pool: ThreadPool
    ) {
        run(
            shape, x, &y, T.kernels.maximumPool, (Float(clamp.minimum), Float(clamp.maximum)), .none, pool,
            margin: margin.map { Float($0) })
    }

    /// The sum is divided as integers and rounded to nearest, ties away from zero, as the reference kernels do. Windows
    /// have at most `longestAverage` pixels.
    package static func average<T: QuantizedInteger>(
        _ shape: PoolShape, _ x: Span<T>, _ y: inout MutableSpan<T>, clamp: (minimum: T, maximum: T), pool: ThreadPool
    ) {
        precondition(shape.filterHeight * shape.filterWidth <= longestAverage)
        run(shape, x, &y, T.kernels.averagePool, (Float(clamp.minimum), Float(clamp.maximum)), .reciprocal, pool)
    }

    /// The same of images of bfloat16, averages or maxima of them. `scratch`: of `roundedBytes` for each thread.
    package static func rounded(
        _ shape: PoolShape, _ x: Span<UInt16>, _ y: inout MutableSpan<UInt16>,
        clamp: (minimum: Float, maximum: Float), averages: Bool, margin: Float? = nil,
        scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        precondition(x.count >= shape.inputCount && y.count >= shape.outputCount)
        let slotBytes = roundedBytes(shape)
        let workers = min(pool.threadCount, scratch.count / slotBytes)
        precondition(workers > 0, "scratch memory of a pool is too small")
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                scratch.withUnsafeMutableBytes { scratch in
                    guard let from = x.baseAddress, let to = y.baseAddress, let slots = scratch.baseAddress else {
                        return
                    }
                    let table = kernelTable.pointee
                    let job = RoundedPoolJob(
                        shape: shape, x: from, y: to, slots: slots, slotBytes: slotBytes,
                        kernel: averages ? table.f32_average_pool : table.f32_max_pool,
                        factor: averages ? .count : .none, clamp: clamp, margin: margin)
                    withUnsafePointer(to: job) { job in
                        pool.run(job.pointee.pieces, workers: workers, job) { context, piece, worker in
                            context.assumingMemoryBound(to: RoundedPoolJob.self).pointee.run(piece, worker)
                        }
                    }
                }
            }
        }
    }

    /// Bytes for lines of floats: those under `RoundedPoolJob.lines` lines of the output, and these.
    package static func roundedBytes(_ shape: PoolShape) -> Int {
        let under = (RoundedPoolJob.lines - 1) * shape.strideHeight + shape.filterHeight
        let pixels = min(under, shape.inputHeight) * shape.inputWidth + RoundedPoolJob.lines * shape.outputWidth
        return (pixels * shape.channels * 4 + 63) / 64 * 64
    }

    /// Integer means of more pixels are not exact in the kernels.
    package static let longestAverage = 1 << 14

    private static func run<T: BitwiseCopyable>(
        _ shape: PoolShape, _ x: Span<T>, _ y: inout MutableSpan<T>, _ kernel: @escaping eo_pool,
        _ clamp: (minimum: Float, maximum: Float), _ factor: PoolJob.Factor, _ pool: ThreadPool, margin: Float? = nil
    ) {
        precondition(x.count >= shape.inputCount && y.count >= shape.outputCount)
        guard shape.outputCount > 0, shape.inputCount > 0 else { return }
        x.withUnsafeBytes { x in
            y.withUnsafeMutableBytes { y in
                let job = PoolJob(
                    shape: shape, x: x.baseAddress!, y: y.baseAddress!, size: MemoryLayout<T>.stride, kernel: kernel,
                    factor: factor, clamp: clamp, margin: margin)
                withUnsafePointer(to: job) { job in
                    pool.run(shape.outputRows, job) { context, row, _ in
                        context.assumingMemoryBound(to: PoolJob.self).pointee.run(row)
                    }
                }
            }
        }
    }
}

/// One pooling of images of bfloat16, some lines of the output at a time, which are floats in between.
private struct RoundedPoolJob {
    static let lines = 4

    let shape: PoolShape
    let x: UnsafePointer<UInt16>
    let y: UnsafeMutablePointer<UInt16>
    let slots: UnsafeMutableRawPointer
    let slotBytes: Int
    let kernel: eo_pool
    let factor: PoolJob.Factor
    let clamp: (minimum: Float, maximum: Float)
    let margin: Float?

    private var piecesPerImage: Int { (shape.outputHeight + Self.lines - 1) / Self.lines }
    var pieces: Int { shape.batch * piecesPerImage }

    func run(_ piece: Int, _ worker: Int) {
        let (image, number) = piece.quotientAndRemainder(dividingBy: piecesPerImage)
        let first = number * Self.lines
        let count = min(Self.lines, shape.outputHeight - first)
        let (top, end) = (shape.rows(first).lowerBound, shape.rows(first + count - 1).upperBound)
        var part = shape
        (part.batch, part.inputHeight, part.outputHeight) = (1, max(0, end - top), count)
        part.paddingTop = top + shape.paddingTop - first * shape.strideHeight
        let floats = (slots + worker * slotBytes).assumingMemoryBound(to: Float.self)
        let results = floats + part.inputCount
        let from = x + (image * shape.inputHeight + top) * shape.inputWidth * shape.channels
        eo_bf16_to_f32_best().pointee.run(part.inputCount, from, floats)
        let job = PoolJob(
            shape: part, x: UnsafeRawPointer(floats), y: UnsafeMutableRawPointer(results), size: 4, kernel: kernel,
            factor: factor, clamp: clamp, margin: margin)
        for row in 0..<count { job.run(row) }
        let to = y + (image * shape.outputHeight + first) * shape.outputWidth * shape.channels
        eo_f32_to_bf16_best().pointee.run(part.outputCount, results, to)
    }
}

/// One pooling, a row of the output at a time.
private struct PoolJob {
    /// What the kernel divides by, or multiplies with.
    enum Factor { case none, count, reciprocal }

    let shape: PoolShape
    let x: UnsafeRawPointer
    let y: UnsafeMutableRawPointer
    let size: Int
    let kernel: eo_pool
    let factor: Factor
    let clamp: (minimum: Float, maximum: Float)
    let margin: Float?

    func run(_ row: Int) {
        let image = row / shape.outputHeight * shape.inputHeight
        let rows = shape.rows(row % shape.outputHeight)
        var window = eo_pool_window()
        (window.rows, window.channels) = (rows.count, shape.channels)
        (window.row_stride, window.pixel_stride) = (shape.inputWidth * shape.channels, shape.channels)
        window.step = shape.strideWidth * shape.channels
        (window.low, window.high) = clamp
        let inside = shape.inside
        var column = 0
        while column < shape.outputWidth {
            let columns = shape.columns(column)
            window.columns = columns.count
            window.count = inside.contains(column) ? inside.upperBound - column : 1
            let isWhole = rows.count * columns.count == shape.filterHeight * shape.filterWidth
            window.low = isWhole ? clamp.minimum : max(clamp.minimum, margin ?? clamp.minimum)
            let count = Float(max(1, rows.count * columns.count))
            window.factor = factor == .reciprocal ? 1 / count : count
            let pixel = (image + rows.lowerBound) * shape.inputWidth + columns.lowerBound
            kernel(
                &window, x + pixel * shape.channels * size,
                y + (row * shape.outputWidth + column) * shape.channels * size)
            column += window.count
        }
    }
}
