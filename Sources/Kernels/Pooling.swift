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

    private static func cut(_ origin: Int, _ filter: Int, _ input: Int) -> Range<Int> {
        let end = min(input, origin + filter)
        return min(end, max(0, origin))..<max(0, end)
    }
}

/// Pooling. Output rows are shared among the threads of `pool`; which thread computes one does not change its bits.
/// Windows are cut at the borders, and an average is over the elements that are there. Nothing is allocated. Integer
/// inputs and outputs have the same scale and zero point.
package enum Pooling {
    package static func maximum(
        _ shape: PoolShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>,
        clamp: (minimum: Float, maximum: Float), pool: ThreadPool
    ) {
        run(shape, x, &y, clamp, pool) { context, row in
            let job = context.assumingMemoryBound(to: PoolJob<Float>.self).pointee
            job.forEachPixel(inRow: row) { output, rows, columns in
                job.fill(output, -.infinity)
                var none = eo_f32_params(low: -.infinity, high: .infinity)
                job.forEachTap(rows, columns) {
                    kernelTable.pointee.f32_max.vv(job.shape.channels, $0, output, output, &none)
                }
                var bounds = eo_f32_params(low: job.clamp.minimum, high: job.clamp.maximum)
                kernelTable.pointee.f32_clamp(job.shape.channels, output, output, &bounds)
            }
        }
    }

    package static func average(
        _ shape: PoolShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>,
        clamp: (minimum: Float, maximum: Float), pool: ThreadPool
    ) {
        run(shape, x, &y, clamp, pool) { context, row in
            let job = context.assumingMemoryBound(to: PoolJob<Float>.self).pointee
            job.forEachPixel(inRow: row) { output, rows, columns in
                job.fill(output, 0)
                var none = eo_f32_params(low: -.infinity, high: .infinity)
                job.forEachTap(rows, columns) {
                    kernelTable.pointee.f32_add.vv(job.shape.channels, $0, output, output, &none)
                }
                var count = Float(max(1, rows.count * columns.count))
                var bounds = eo_f32_params(low: job.clamp.minimum, high: job.clamp.maximum)
                kernelTable.pointee.f32_div.vs(job.shape.channels, output, &count, output, &bounds)
            }
        }
    }

    package static func maximum<T: QuantizedInteger>(
        _ shape: PoolShape, _ x: Span<T>, _ y: inout MutableSpan<T>, clamp: (minimum: T, maximum: T), pool: ThreadPool
    ) {
        run(shape, x, &y, clamp, pool, T.maximumRow)
    }

    /// The sum is divided as integers and rounded to nearest, ties away from zero, as the reference kernels do.
    package static func average<T: QuantizedInteger>(
        _ shape: PoolShape, _ x: Span<T>, _ y: inout MutableSpan<T>, clamp: (minimum: T, maximum: T), pool: ThreadPool
    ) {
        run(shape, x, &y, clamp, pool, T.averageRow)
    }

    private static func run<T: BitwiseCopyable>(
        _ shape: PoolShape, _ x: Span<T>, _ y: inout MutableSpan<T>, _ clamp: (minimum: T, maximum: T),
        _ pool: ThreadPool, _ row: ThreadPool.Body
    ) {
        precondition(x.count >= shape.inputCount && y.count >= shape.outputCount)
        guard shape.outputCount > 0, shape.inputCount > 0 else { return }
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                let job = PoolJob<T>(shape: shape, x: x.baseAddress!, y: y.baseAddress!, clamp: clamp)
                withUnsafePointer(to: job) { pool.run(shape.outputRows, $0, row) }
            }
        }
    }
}

/// Reads and writes of one pooling; `T` is float or a quantized type.
struct PoolJob<T: BitwiseCopyable> {
    let shape: PoolShape
    let x: UnsafePointer<T>
    let y: UnsafeMutablePointer<T>
    let clamp: (minimum: T, maximum: T)

    /// Each pixel of an output row: where it lies, and the input rows (of all images) and columns under its window.
    func forEachPixel(inRow row: Int, _ body: (UnsafeMutablePointer<T>, Range<Int>, Range<Int>) -> Void) {
        let image = row / shape.outputHeight * shape.inputHeight
        let rows = shape.rows(row % shape.outputHeight)
        for column in 0..<shape.outputWidth {
            body(
                y + (row * shape.outputWidth + column) * shape.channels,
                (rows.lowerBound + image)..<(rows.upperBound + image), shape.columns(column))
        }
    }

    /// Each input pixel under a window.
    func forEachTap(_ rows: Range<Int>, _ columns: Range<Int>, _ body: (UnsafePointer<T>) -> Void) {
        for row in rows {
            for column in columns { body(x + (row * shape.inputWidth + column) * shape.channels) }
        }
    }

    func fill(_ output: UnsafeMutablePointer<T>, _ value: T) { output.update(repeating: value, count: shape.channels) }
}

extension PoolJob where T: QuantizedInteger {
    func maximum(row: Int) {
        var none: UInt8 = 0
        let kernel = T.kernels.maximum.vv
        forEachPixel(inRow: row) { output, rows, columns in
            fill(output, clamp.minimum)
            forEachTap(rows, columns) { kernel(shape.channels, $0, output, output, &none) }
            for channel in 0..<shape.channels { output[channel] = min(output[channel], clamp.maximum) }
        }
    }

    /// Channels summed at a time: 1 KiB of the stack.
    private static var block: Int { 256 }

    func average(row: Int) {
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: Self.block) { sums in
            forEachPixel(inRow: row) { output, rows, columns in
                let taps = Int32(truncatingIfNeeded: max(1, rows.count * columns.count))
                for first in stride(from: 0, to: shape.channels, by: Self.block) {
                    let count = min(Self.block, shape.channels - first)
                    sums.update(repeating: 0)
                    forEachTap(rows, columns) { T.accumulate(count, $0 + first, sums.baseAddress!) }
                    for index in 0..<count {
                        let half = sums[index] > 0 ? taps / 2 : -(taps / 2)
                        let mean = T(truncatingIfNeeded: (sums[index] &+ half) / taps)
                        output[first + index] = max(clamp.minimum, min(clamp.maximum, mean))
                    }
                }
            }
        }
    }
}
