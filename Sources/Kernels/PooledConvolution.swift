import CKernels
import Model

/// A float32 convolution of few products whose results only a maximum over windows reads, and the gradient of its filter
/// and bias (pooled.h). Sums are cut by the shape alone, so the bits do not depend on the number of threads. Immutable:
/// any thread.
package struct PooledConvolution: @unchecked Sendable {
    private var plan = eo_pooled()
    private let slots: Int

    /// Whether it is faster than a convolution and a pool. `products`: of a kernel row; `windows`: in a line.
    package static func suits(rows: Int, products: Int, windows: Int) -> Bool {
        rows % 3 == 0 && products % 3 == 0 && rows * products <= 32 && windows >= Int(EO_POOLED_WINDOWS)
            && eo_f32_pooled_best().pointee.isa != ISA_SCALAR
    }

    /// `maxima`: how many lines and columns of windows lie side by side, without padding. nil: not for this shape.
    package init?(
        _ shape: ConvolutionShape, maxima: (lines: Int, columns: Int), clamp: (minimum: Float, maximum: Float),
        threads: Int
    ) {
        guard shape.groups * shape.dilationHeight * shape.dilationWidth == 1, maxima.lines > 0,
            shape.outputHeight >= maxima.lines, shape.outputWidth >= maxima.columns,
            Self.suits(
                rows: shape.kernelHeight, products: shape.kernelWidth * shape.inputChannels, windows: maxima.columns)
        else { return nil }
        plan.window = shape.window
        (plan.rows, plan.columns) = (shape.outputHeight / maxima.lines, shape.outputWidth / maxima.columns)
        plan.run = eo_f32_pooled_best().pointee.run
        (plan.low, plan.high) = clamp
        slots = max(1, threads)
        eo_pooled_plan(&plan, slots)
        guard plan.lines == maxima.lines, plan.line_windows == maxima.columns else { return nil }
    }

    package var scratchByteCount: Int { plan.scratch_size }
    /// Of what remembers where maxima come from.
    package var placeCount: Int {
        plan.window.batch * plan.lines * plan.line_windows * plan.blocks * Int(EO_POOLED_CHANNELS)
    }

    /// `y`: the maxima, clamped. `scratch`: of `scratchByteCount` bytes, 64-byte aligned.
    package func run(
        _ input: Span<Float>, weights: Span<Float>, bias: Span<Float>, _ y: inout MutableSpan<Float>,
        places: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        var job = job(input, places.count, scratch.count, y.count, weights.count, bias.count)
        input.withUnsafeBufferPointer { job.input = $0.baseAddress }
        weights.withUnsafeBufferPointer { job.weights = $0.baseAddress }
        bias.withUnsafeBufferPointer { job.bias = $0.isEmpty ? nil : $0.baseAddress }
        y.withUnsafeMutableBufferPointer { job.y = $0.baseAddress }
        places.withUnsafeMutableBufferPointer { job.place = $0.baseAddress }
        scratch.withUnsafeMutableBytes { job.scratch = $0.baseAddress?.assumingMemoryBound(to: Float.self) }
        eo_pooled_pack(&job)
        pool.run(job.window.batch, workers: slots, &job) { context, image, worker in
            eo_pooled_image(context.assumingMemoryBound(to: eo_pooled.self), image, worker)
        }
    }

    /// `dy`: the gradient of the maxima before they were clamped.
    package func gradient(
        _ input: Span<Float>, _ dy: Span<Float>, places: Span<Float>, _ dw: inout MutableSpan<Float>,
        _ db: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        var job = job(input, places.count, scratch.count, dy.count, dw.count, db.count)
        input.withUnsafeBufferPointer { job.input = $0.baseAddress }
        dy.withUnsafeBufferPointer { job.dy = $0.baseAddress }
        places.withUnsafeBufferPointer { job.place = UnsafeMutablePointer(mutating: $0.baseAddress) }
        dw.withUnsafeMutableBufferPointer { job.dw = $0.baseAddress }
        db.withUnsafeMutableBufferPointer { job.db = $0.isEmpty ? nil : $0.baseAddress }
        scratch.withUnsafeMutableBytes { job.scratch = $0.baseAddress?.assumingMemoryBound(to: Float.self) }
        pool.run(job.strips, workers: slots, &job) { context, strip, worker in
            eo_pooled_gradient(context.assumingMemoryBound(to: eo_pooled.self), strip, worker)
        }
        eo_pooled_join(&job)
    }

    /// The plan, if everything is as large as it has to be.
    private func job(
        _ input: Span<Float>, _ places: Int, _ scratch: Int, _ maxima: Int, _ weights: Int, _ bias: Int
    ) -> eo_pooled {
        let (window, filters) = (plan.window, plan.window.output_channels)
        precondition(input.count >= window.batch * window.input_height * window.input_width * window.input_channels)
        precondition(places >= placeCount && scratch >= scratchByteCount && weights >= filters * plan.depth)
        precondition(maxima >= window.batch * plan.lines * plan.line_windows * filters)
        precondition(bias == 0 || bias >= filters)
        return plan
    }
}
