import CKernels
import Model

/// Batch normalization over the channels, the last dimension: y = clamp((x - mean) factor + beta), factor = gamma /
/// sqrt(variance + epsilon) (Ioffe and Szegedy, Batch Normalization, 2015). The tensor is cut into pieces by its size
/// alone and their sums are added in their order, so the bits do not depend on threads. Nothing is allocated.
package struct BatchNormalizer: Sendable {
    private let count: Int
    private let channels: Int
    private let epsilon: Float
    private let clamp: (low: Float, high: Float)
    /// Floats whose constants lie side by side: whole pixels.
    private let row: Int
    /// Floats of a piece: whole rows.
    private let piece: Int

    package init(count: Int, channels: Int, clamp: (low: Float, high: Float), epsilon: Float) {
        (self.count, self.channels, self.clamp, self.epsilon) = (count, channels, clamp, epsilon)
        row = channels * max(1, 512 / channels)
        piece = row * max(1, 65536 / row)
    }

    private var pieces: Int { (count + piece - 1) / piece }
    private var pixels: Double { Double(count / channels) }
    /// Five rows of constants, then two of sums for each piece.
    package var scratchCount: Int { row * (5 + 2 * pieces) }

    /// The mean and the variance (the mean square of the distances from it) of each channel.
    package func statistics(
        _ x: Span<Float>, mean: inout MutableSpan<Float>, variance: inout MutableSpan<Float>,
        scratch: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        precondition(x.count >= count && min(mean.count, variance.count) >= channels && scratch.count >= scratchCount)
        guard count > 0 else { return }
        x.withUnsafeBufferPointer { x in
            scratch.withUnsafeMutableBufferPointer { scratch in
                var job = Job(form: .moments, normalizer: self, x: x.baseAddress!, memory: scratch.baseAddress!)
                // Distances from something near it lose less than the numbers do.
                let near = min(row, count)
                for channel in 0..<channels {
                    var sum: Float = 0
                    for index in stride(from: channel, to: near, by: channels) { sum += x[index] }
                    job.fill(0, channel, sum / Float(near / channels))
                }
                job.run(pool)
                for channel in 0..<channels {
                    let (sum, squares) = job.sums(channel)
                    mean[channel] = Float(Double(scratch[channel]) + sum / pixels)
                    variance[channel] = Float(max(0, squares / pixels - sum / pixels * (sum / pixels)))
                }
            }
        }
    }

    package func apply(
        _ x: Span<Float>, gamma: Span<Float>, beta: Span<Float>, mean: Span<Float>, variance: Span<Float>,
        _ y: inout MutableSpan<Float>, scratch: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        precondition(x.count >= count && y.count >= count && scratch.count >= scratchCount)
        guard count > 0 else { return }
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                scratch.withUnsafeMutableBufferPointer { scratch in
                    var job = Job(form: .apply, normalizer: self, x: x.baseAddress!, memory: scratch.baseAddress!)
                    job.y = y.baseAddress!
                    job.fill(gamma, beta, mean, variance)
                    job.run(pool)
                }
            }
        }
    }

    /// `mean` and `variance`: the statistics of x. `dx` may be the memory of `dy`.
    package func gradient(
        _ dy: Span<Float>, _ x: Span<Float>, gamma: Span<Float>, beta: Span<Float>, mean: Span<Float>,
        variance: Span<Float>, _ dx: inout MutableSpan<Float>, ofGamma: inout MutableSpan<Float>,
        ofBeta: inout MutableSpan<Float>, scratch: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        precondition(min(x.count, dy.count, dx.count) >= count && scratch.count >= scratchCount)
        precondition(min(ofGamma.count, ofBeta.count) >= channels)
        guard count > 0 else { return }
        x.withUnsafeBufferPointer { x in
            dy.withUnsafeBufferPointer { dy in
                dx.withUnsafeMutableBufferPointer { dx in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        var job = Job(form: .sums, normalizer: self, x: x.baseAddress!, memory: scratch.baseAddress!)
                        (job.dy, job.y) = (dy.baseAddress, dx.baseAddress)
                        job.fill(gamma, beta, mean, variance)
                        job.run(pool)
                        for channel in 0..<channels {
                            let (sum, products) = job.sums(channel)
                            let inverse = 1 / (Double(variance[channel]) + Double(epsilon)).squareRoot()
                            ofBeta[channel] = Float(sum)
                            ofGamma[channel] = Float(products * inverse)
                            let factor = -Double(gamma[channel]) * inverse / pixels
                            job.fill(3, channel, Float(factor * inverse * inverse * products))
                            job.fill(4, channel, Float(factor * sum))
                        }
                        job.form = .gradient
                        job.run(pool)
                    }
                }
            }
        }
    }

    private struct Job {
        enum Form { case moments, apply, sums, gradient }
        var form: Form
        let normalizer: BatchNormalizer
        let x: UnsafePointer<Float>
        let memory: UnsafeMutablePointer<Float>
        var dy: UnsafePointer<Float>?
        var y: UnsafeMutablePointer<Float>?

        private func constants(_ number: Int) -> UnsafeMutablePointer<Float> { memory + number * normalizer.row }

        func fill(_ number: Int, _ channel: Int, _ value: Float) {
            let to = constants(number)
            for index in stride(from: channel, to: normalizer.row, by: normalizer.channels) { to[index] = value }
        }

        /// Centers, factors and shifts.
        func fill(_ gamma: Span<Float>, _ beta: Span<Float>, _ mean: Span<Float>, _ variance: Span<Float>) {
            for channel in 0..<normalizer.channels {
                let mean = mean[channel]
                let spread = Double(variance[channel]) + Double(normalizer.epsilon)
                let factor = Double(gamma[channel]) / spread.squareRoot()
                fill(0, channel, mean)
                fill(1, channel, Float(factor))
                fill(2, channel, Float(Double(beta[channel]) - factor * Double(mean)))
            }
        }

        /// Of a channel, over all pieces.
        func sums(_ channel: Int) -> (sum: Double, product: Double) {
            var (sum, product) = (0.0, 0.0)
            for piece in 0..<normalizer.pieces {
                let from = constants(5 + 2 * piece)
                for index in stride(from: channel, to: normalizer.row, by: normalizer.channels) {
                    sum += Double(from[index])
                    product += Double(from[normalizer.row + index])
                }
            }
            return (sum, product)
        }

        mutating func run(_ pool: ThreadPool) {
            pool.run(normalizer.pieces, &self) { context, piece, _ in
                context.assumingMemoryBound(to: Job.self).pointee.run(piece)
            }
        }

        private func run(_ piece: Int) {
            let (row, table) = (normalizer.row, gradientTable)
            let sums = constants(5 + 2 * piece)
            var p = eo_normalization(
                center: constants(0), factors: constants(1), shifts: constants(2), slopes: constants(3),
                offsets: constants(4), sums: sums, products: sums + row, low: normalizer.clamp.low,
                high: normalizer.clamp.high)
            var shift = eo_scale_shift_params(
                zero_x: 0, zero_y: 0, scale: 1, middle_low: -.infinity, middle_high: .infinity, middle_scale: 1,
                low: p.low, high: p.high, arranged: false)
            if form == .moments || form == .sums { sums.update(repeating: 0, count: 2 * row) }
            let first = piece * normalizer.piece
            let end = min(normalizer.count, first + normalizer.piece)
            for start in stride(from: first, to: end, by: row) {
                let count = min(row, end - start)
                switch form {
                case .moments: table.pointee.moments(count, x + start, &p)
                case .apply:
                    kernelTable.pointee.f32_scale_shift(
                        count, x + start, p.factors!, p.shifts!, y! + start, &shift)
                case .sums: table.pointee.normalization_sums(count, dy! + start, x + start, &p)
                case .gradient: table.pointee.normalization(count, dy! + start, x + start, y! + start, &p)
                }
            }
        }
    }
}
