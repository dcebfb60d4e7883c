import CKernels

/// The gradient kernels of this machine.
nonisolated(unsafe) let gradientTable = eo_gradients_best()

extension Elementwise {
    /// dx = dy where minimum < y < maximum, else 0. `dx` may be the memory of an input.
    package static func clampGradient(
        _ dy: Span<Float>, _ y: Span<Float>, _ dx: inout MutableSpan<Float>, clamp: (minimum: Float, maximum: Float),
        pool: ThreadPool
    ) {
        gradient(.clamp(clamp.minimum, clamp.maximum), dy, y, &dx, pool)
    }

    /// y += x.
    package static func accumulate(_ x: Span<Float>, _ y: inout MutableSpan<Float>) {
        let count = min(x.count, y.count)
        guard count > 0 else { return }
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                gradientTable.pointee.add_scaled(count, x.baseAddress!, 1, y.baseAddress!)
            }
        }
    }

    /// dx = dy times the derivative of GELU at x.
    package static func geluGradient(
        _ dy: Span<Float>, _ x: Span<Float>, _ dx: inout MutableSpan<Float>, byTanh: Bool, pool: ThreadPool
    ) {
        gradient(.gelu(byTanh: byTanh), dy, x, &dx, pool)
    }

    private static func gradient(
        _ form: GradientJob.Form, _ dy: Span<Float>, _ x: Span<Float>, _ dx: inout MutableSpan<Float>,
        _ pool: ThreadPool
    ) {
        let count = min(dy.count, x.count, dx.count)
        dy.withUnsafeBufferPointer { dy in
            x.withUnsafeBufferPointer { x in
                dx.withUnsafeMutableBufferPointer { dx in
                    guard count > 0 else { return }
                    var job = GradientJob(
                        form: form, pieces: .elements(count, pool), x: x.baseAddress!, dy: dy.baseAddress!,
                        dx: dx.baseAddress!)
                    pool.run(job.pieces.count, &job) { context, piece, _ in
                        context.assumingMemoryBound(to: GradientJob.self).pointee.run(piece)
                    }
                }
            }
        }
    }
}

private struct GradientJob {
    enum Form {
        case clamp(Float, Float)
        case gelu(byTanh: Bool)
    }
    let form: Form
    let pieces: Pieces
    let x: UnsafePointer<Float>
    let dy: UnsafePointer<Float>
    let dx: UnsafeMutablePointer<Float>

    func run(_ piece: Int) {
        let (start, count) = (pieces[piece].lowerBound, pieces[piece].count)
        switch form {
        case .clamp(let low, let high):
            gradientTable.pointee.clamp(count, dy + start, x + start, dx + start, low, high)
        case .gelu(let byTanh):
            gradientTable.pointee.gelu(count, dy + start, x + start, dx + start, byTanh ? 1 : 0)
        }
    }
}
