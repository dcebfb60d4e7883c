import CKernels

/// Batch normalization over the last dimension, and its gradient (see `eo_batch_normalization`). The bits do not depend
/// on threads. Nothing is allocated.
package struct BatchNormalizer: @unchecked Sendable {
    private let context: eo_batch_normalization

    package init(count: Int, channels: Int, low: Float, high: Float, epsilon: Float) {
        var context = eo_batch_normalization()
        (context.count, context.channels) = (count, max(1, channels))
        (context.low, context.high, context.epsilon) = (low, high, epsilon)
        eo_batch_normalization_plan(&context)
        self.context = context
    }

    /// Floats.
    package var scratchCount: Int {
        var context = context
        return eo_batch_normalization_scratch(&context)
    }

    /// `dy` without elements: results are y, and mean and variance of x, which `mean` and `variance` replace if they have
    /// elements. Otherwise those are the statistics of x, and the results the gradients of x, gamma and beta; `dx` may be
    /// the memory of `dy`.
    package func run(
        dy: Span<Float>, _ x: Span<Float>, gamma: Span<Float>, beta: Span<Float>, mean: Span<Float>,
        variance: Span<Float>, _ y: inout MutableSpan<Float>, _ first: inout MutableSpan<Float>,
        _ second: inout MutableSpan<Float>, scratch: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        var n = context
        guard n.count > 0 else { return }
        precondition(min(x.count, y.count) >= n.count && (dy.count == 0 || dy.count >= n.count))
        precondition(min(gamma.count, beta.count, first.count, second.count) >= n.channels)
        precondition((dy.count == 0 && mean.count == 0) || min(mean.count, variance.count) >= n.channels)
        precondition(scratch.count >= scratchCount)
        (n.x, n.dy, n.gamma, n.beta) = (address(x), address(dy), address(gamma), address(beta))
        (n.mean, n.variance) = (address(mean), address(variance))
        n.results = (address(&y), address(&first), address(&second))
        n.scratch = address(&scratch)
        let pieces = eo_batch_normalization_pieces(&n)
        eo_batch_normalization_begin(&n)
        pool.run(pieces, &n) { context, piece, _ in
            eo_batch_normalization_sum(context.assumingMemoryBound(to: eo_batch_normalization.self), piece)
        }
        eo_batch_normalization_settle(&n)
        pool.run(pieces, &n) { context, piece, _ in
            eo_batch_normalization_apply(context.assumingMemoryBound(to: eo_batch_normalization.self), piece)
        }
    }

    /// nil: no elements.
    private func address(_ span: Span<Float>) -> UnsafePointer<Float>? {
        span.withUnsafeBufferPointer { $0.isEmpty ? nil : $0.baseAddress }
    }

    private func address(_ span: inout MutableSpan<Float>) -> UnsafeMutablePointer<Float>? {
        span.withUnsafeMutableBufferPointer { $0.baseAddress }
    }
}
