import CKernels

/// One step of an optimizer over a run of parameters. The bits depend neither on the instruction set nor on the number
/// of threads. `rate` is the learning rate of the step.
package enum ParameterUpdate: Sendable {
    /// m: the velocity, unless the momentum is 0.
    case sgd(rate: Float, momentum: Float, isNesterov: Bool)
    /// `rate` includes the correction for the step. m, v: moving averages of the gradient and its square.
    case adam(rate: Float, beta1: Float, beta2: Float, epsilon: Float)
    /// v: moving average of the gradient's square; m: the velocity, unless the momentum is 0.
    case rmsprop(rate: Float, rho: Float, momentum: Float, epsilon: Float)

    /// `parameters` take the step down `gradient`. Empty m or v: the update does not use it. Shorter runs bound what is
    /// updated.
    package func apply(
        to parameters: inout MutableSpan<Float>, gradient: Span<Float>, m: inout MutableSpan<Float>,
        v: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        var count = min(parameters.count, gradient.count)
        if m.count > 0 { count = min(count, m.count) }
        if v.count > 0 { count = min(count, v.count) }
        guard count > 0 else { return }
        parameters.withUnsafeMutableBufferPointer { w in
            gradient.withUnsafeBufferPointer { g in
                m.withUnsafeMutableBufferPointer { m in
                    v.withUnsafeMutableBufferPointer { v in
                        var job = Job(
                            kernel: kernel, params: params, count: count, w: w.baseAddress!, g: g.baseAddress!,
                            m: m.isEmpty ? nil : m.baseAddress, v: v.isEmpty ? nil : v.baseAddress)
                        pool.run((count + Job.piece - 1) / Job.piece, &job) { context, piece, _ in
                            context.assumingMemoryBound(to: Job.self).pointee.run(piece)
                        }
                    }
                }
            }
        }
    }

    private typealias Kernel =
        @convention(c) (
            Int, UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>?,
            UnsafeMutablePointer<Float>?, UnsafePointer<eo_optimizer_params>
        ) -> Void

    private var kernel: Kernel {
        let table = eo_optimizers_best().pointee
        switch self {
        case .sgd(_, let momentum, _) where momentum == 0: return table.sgd
        case .sgd(_, _, let isNesterov): return isNesterov ? table.nesterov : table.momentum
        case .adam: return table.adam
        case .rmsprop: return table.rmsprop
        }
    }

    private var params: eo_optimizer_params {
        switch self {
        case .sgd(let rate, let momentum, _):
            eo_optimizer_params(rate: rate, momentum: momentum, beta1: 0, beta2: 0, epsilon: 0)
        case .adam(let rate, let beta1, let beta2, let epsilon):
            eo_optimizer_params(rate: rate, momentum: 0, beta1: beta1, beta2: beta2, epsilon: epsilon)
        case .rmsprop(let rate, let rho, let momentum, let epsilon):
            eo_optimizer_params(rate: rate, momentum: momentum, beta1: 0, beta2: rho, epsilon: epsilon)
        }
    }

    private struct Job {
        /// Parameters of one iteration: 16 KiB of each run.
        static let piece = 4096
        let kernel: Kernel
        var params: eo_optimizer_params
        let count: Int
        let w: UnsafeMutablePointer<Float>
        let g: UnsafePointer<Float>
        let m: UnsafeMutablePointer<Float>?
        let v: UnsafeMutablePointer<Float>?

        func run(_ piece: Int) {
            let start = piece * Self.piece
            var params = params
            kernel(
                min(Self.piece, count - start), w + start, g + start, m.map { $0 + start }, v.map { $0 + start },
                &params)
        }
    }
}

/// Other things done to all parameters of a network.
package enum ParameterArithmetic {
    /// y = x where it is kept, else 0.
    package static func mask(_ x: Span<Float>, _ kept: [Bool], into y: inout MutableSpan<Float>) {
        precondition(x.count >= kept.count && y.count >= kept.count)
        guard !kept.isEmpty else { return }
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { eo_mask(kept.count, kept, x.baseAddress!, $0.baseAddress!) }
        }
    }

    package static func mask(_ y: inout MutableSpan<Float>, _ kept: [Bool]) {
        precondition(y.count >= kept.count)
        guard !kept.isEmpty else { return }
        y.withUnsafeMutableBufferPointer { eo_mask(kept.count, kept, $0.baseAddress!, $0.baseAddress!) }
    }

    /// y = share y + (1 - share) x.
    package static func blend(_ x: Span<Float>, into y: inout MutableSpan<Float>, share: Float) {
        let count = min(x.count, y.count)
        guard count > 0 else { return }
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                eo_optimizers_best().pointee.blend(count, x.baseAddress!, y.baseAddress!, share)
            }
        }
    }

    /// w -= w amount.
    package static func decay(_ w: inout MutableSpan<Float>, by amount: Float) {
        guard w.count > 0 else { return }
        w.withUnsafeMutableBufferPointer { eo_optimizers_best().pointee.decay($0.count, $0.baseAddress!, amount) }
    }

    /// y += x.
    package static func add(_ x: Span<Float>, to y: inout MutableSpan<Float>) {
        let count = min(x.count, y.count)
        guard count > 0 else { return }
        var none = eo_f32_params(low: -.infinity, high: .infinity)
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                kernelTable.pointee.f32_add.vv(count, x.baseAddress!, y.baseAddress!, y.baseAddress!, &none)
            }
        }
    }

    /// w *= factor.
    package static func scale(_ w: inout MutableSpan<Float>, by factor: Float) {
        guard w.count > 0 else { return }
        var factor = factor
        var none = eo_f32_params(low: -.infinity, high: .infinity)
        w.withUnsafeMutableBufferPointer { w in
            kernelTable.pointee.f32_mul.vs(w.count, w.baseAddress!, &factor, w.baseAddress!, &none)
        }
    }

    /// w = min(max(w, -limit), limit).
    package static func clip(_ w: inout MutableSpan<Float>, to limit: Float) {
        guard w.count > 0 else { return }
        var bounds = eo_f32_params(low: -limit, high: limit)
        w.withUnsafeMutableBufferPointer { w in
            kernelTable.pointee.f32_clamp(w.count, w.baseAddress!, w.baseAddress!, &bounds)
        }
    }

    /// The sum of x^2: partial sums of 4096 elements in single precision, their sum in double. Not finite if an element
    /// is not.
    package static func sumOfSquares(_ x: Span<Float>) -> Double {
        x.withUnsafeBufferPointer { x in
            var sum = 0.0
            for start in stride(from: 0, to: x.count, by: 4096) {
                sum += Double(
                    kernelTable.pointee.f32_sum_of_squares(min(4096, x.count - start), x.baseAddress! + start))
            }
            return sum
        }
    }

    /// True if no element is infinite or NaN.
    package static func isFinite(_ x: Span<Float>) -> Bool {
        x.withUnsafeBufferPointer { x in
            var isFinite = true
            for value in x { isFinite = isFinite && value.isFinite }
            return isFinite
        }
    }
}
