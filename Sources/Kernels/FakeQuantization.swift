import CKernels

/// The elements of a tensor as [outer, channels, inner]; a channel's scale belongs to runs of `inner` elements.
package struct ChannelLayout: Sendable {
    package let outer: Int
    package let channels: Int
    package let inner: Int

    /// `dimension` counts the channels; nil: the whole tensor is one channel.
    package init(_ shape: [Int], dimension: Int?) {
        guard let dimension, dimension >= 0, dimension < shape.count else {
            (outer, channels, inner) = (1, 1, shape.reduce(1, &*))
            return
        }
        outer = shape[..<dimension].reduce(1, &*)
        channels = shape[dimension]
        inner = shape[(dimension + 1)...].reduce(1, &*)
    }

    var count: Int { outer &* channels &* inner }
}

/// The scale of a channel whose largest magnitude is `largest`, with `steps` steps on each side of zero. A channel of
/// zeros takes the widest of the others, as its scale also is the step of its bias.
package func symmetricScale(largest: Float, widest: Float, steps: Float) -> Float {
    if largest >= steps * .leastNormalMagnitude { return largest / steps }
    return widest >= steps * .leastNormalMagnitude ? widest / steps : 1
}

/// The scale and zero point that spread a range over the stored numbers `low` to `high`. Asymmetric: the integer
/// nearest to the real zero is reckoned from that end of the range where it comes out more exactly (Jacob et al., 2018,
/// section 3; the converter's choice of the end). Symmetric: zero point 0, the larger end is `high`. The range should
/// contain zero and be finite.
package func affineParameters(
    min: Float, max: Float, low: Float, high: Float, isSymmetric: Bool
) -> (scale: Float, zeroPoint: Float) {
    // Narrower ranges are taken as "always zero": a product of two scales must stay a normal float.
    let narrowest = 1e-16
    let (least, most) = (Double(low), Double(high))
    guard !isSymmetric else {
        let largest = Double(Swift.max(-min, max))
        return (Float((largest < narrowest ? 1 : largest) / most), 0)
    }
    let width = Double(max) - Double(min)
    let scale = (width < narrowest ? 1 : width) / (most - least)
    let (below, above) = (Double(min) / scale, Double(max) / scale)
    let isLowNearer = least.magnitude + below.magnitude < most.magnitude + above.magnitude
    let zero = (isLowNearer ? least - below : most - above).rounded()
    return (Float(scale), Float(Swift.min(Swift.max(zero, least), most)))
}

/// The integer that stands for a real number, less the zero point: one rounding for the inverse of the scale, one for
/// the product, ties to even. This definition is shared by what is simulated and what is stored.
package func quantizationSteps(_ value: Float, scale: Float) -> Float {
    (value * (1 / scale)).rounded(.toNearestOrEven)
}

/// Quantization simulated in float: v = x * (1 / scale), y = round(clamp(v, low, high)) * scale, ties to even, one
/// rounding for each operation: what `Conversion.quantize` and `dequantize` do to finite numbers. NaN stays NaN. `low`
/// and `high`, the bounds of the stored numbers less the zero point, are below 2^22. Each channel has its scale. Nothing
/// is allocated.
package struct FakeQuantization: Sendable {
    package let layout: ChannelLayout
    /// x is v.
    private let isInSteps: Bool
    private let whole: Broadcast

    package init(_ layout: ChannelLayout, isInSteps: Bool = false) {
        self.layout = layout
        self.isInSteps = isInSteps
        whole = Broadcast([layout.count], [layout.count], to: [layout.count])
    }

    /// The bounds of the stored numbers, less the zero point.
    package typealias Bounds = (low: Float, high: Float)

    private func parameters(_ scale: Float, _ bounds: Bounds, unit: Float = 1) -> eo_fake_quantize_params {
        eo_fake_quantize_params(
            inverse: isInSteps ? 1 : 1 / scale, scale: scale / unit, low: bounds.low, high: bounds.high)
    }

    private func fits(_ sizes: Int...) -> Bool { sizes.allSatisfy { $0 >= layout.count } && layout.count > 0 }

    /// `y` may be `x`. A tensor with one scale is shared among the threads of `pool`, and watched; y then counts in
    /// `unit`.
    package func apply(
        _ x: Span<Float>, _ y: inout MutableSpan<Float>, scales: Span<Float>, unit: Float = 1, bounds: Bounds,
        watch: Watch,
        passing: inout MutableSpan<UInt8>, extremes: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        guard fits(x.count, y.count), scales.count >= layout.channels else { return }
        let kernel = kernelTable.pointee.f32_fake_quantize
        guard layout.channels > 1 || layout.outer > 1 else {
            var parameters = parameters(scales[0], bounds, unit: unit)
            return watch.run(kernel, x, &y, &parameters, parameters.inverse, &passing, &extremes, pool)
        }
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                forEachRun { channel, start in
                    var parameters = parameters(scales[channel], bounds)
                    kernel(layout.inner, x.baseAddress! + start, y.baseAddress! + start, &parameters)
                }
            }
        }
    }

    /// dx = dy where v lies within `bounds` (of v before it is rounded), else 0: the straight-through estimator (Bengio et al., 2013).
    package func gradient(
        _ x: Span<Float>, _ dy: Span<Float>, _ dx: inout MutableSpan<Float>, scales: Span<Float>, bounds: Bounds,
        pool: ThreadPool
    ) {
        guard fits(x.count, dy.count, dx.count), scales.count >= layout.channels else { return }
        let kernel = kernelTable.pointee.f32_fake_quantize_gradient
        guard layout.channels > 1 || layout.outer > 1 else {
            var parameters = parameters(scales[0], bounds)
            let forms = eo_binary(vv: kernel, vs: kernel, sv: kernel)
            return Elementwise.binary(forms, whole, x, dy, &dx, &parameters, pool)
        }
        x.withUnsafeBufferPointer { x in
            dy.withUnsafeBufferPointer { dy in
                dx.withUnsafeMutableBufferPointer { dx in
                    forEachRun { channel, start in
                        var parameters = parameters(scales[channel], bounds)
                        kernel(
                            layout.inner, x.baseAddress! + start, dy.baseAddress! + start, dx.baseAddress! + start,
                            &parameters)
                    }
                }
            }
        }
    }

    /// dx = dy where the bit of the element is set, else 0. `dx` may be `dy`.
    package static func pass(
        _ dy: Span<Float>, _ bits: Span<UInt8>, _ dx: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        precondition(dx.count >= dy.count && bits.count >= (dy.count + 7) / 8)
        dy.withUnsafeBufferPointer { dy in
            bits.withUnsafeBufferPointer { bits in
                dx.withUnsafeMutableBufferPointer { dx in
                    guard let from = dy.baseAddress, let bits = bits.baseAddress, let to = dx.baseAddress else {
                        return
                    }
                    var job = PassJob(count: dy.count, dy: from, bits: bits, dx: to)
                    pool.run((dy.count + elementsPerPiece - 1) / elementsPerPiece, &job) { context, piece, _ in
                        context.assumingMemoryBound(to: PassJob.self).pointee.run(piece)
                    }
                }
            }
        }
    }

    /// The gradients of the scales: for each channel the sum of dy * (round(v) - v), where v is clamped of dy * low or
    /// dy * high, times `factor` (Esser et al., 2020, equations 3 and 4).
    package func scaleGradients(
        _ x: Span<Float>, _ dy: Span<Float>, _ gradients: inout MutableSpan<Float>, scales: Span<Float>,
        bounds: Bounds, factor: Float
    ) {
        guard fits(x.count, dy.count), scales.count >= layout.channels, gradients.count >= layout.channels else {
            return
        }
        let kernel = kernelTable.pointee.f32_fake_quantize_scale_gradient
        x.withUnsafeBufferPointer { x in
            dy.withUnsafeBufferPointer { dy in
                gradients.withUnsafeMutableBufferPointer { gradients in
                    for channel in 0..<layout.channels { gradients[channel] = 0 }
                    forEachRun { channel, start in
                        var parameters = parameters(scales[channel], bounds)
                        gradients[channel] += kernel(
                            layout.inner, x.baseAddress! + start, dy.baseAddress! + start, &parameters)
                    }
                    for channel in 0..<layout.channels { gradients[channel] *= factor }
                }
            }
        }
    }

    /// The scales that let each channel's largest magnitude be `steps` steps.
    package func symmetricScales(_ x: Span<Float>, _ scales: inout MutableSpan<Float>, steps: Float) {
        guard fits(x.count), scales.count >= layout.channels else { return }
        let table = kernelTable
        x.withUnsafeBufferPointer { x in
            scales.withUnsafeMutableBufferPointer { scales in
                for channel in 0..<layout.channels { scales[channel] = 0 }
                forEachRun { channel, start in
                    let run = x.baseAddress! + start
                    let (least, most) =
                        layout.inner == 1
                        ? (run[0], run[0])
                        : (table.pointee.f32_minimum(layout.inner, run), table.pointee.f32_maximum(layout.inner, run))
                    scales[channel] = max(scales[channel], max(-least, most))
                }
                var widest: Float = 0
                for channel in 0..<layout.channels { widest = max(widest, scales[channel]) }
                for channel in 0..<layout.channels {
                    scales[channel] = symmetricScale(largest: scales[channel], widest: widest, steps: steps)
                }
            }
        }
    }

    private func forEachRun(_ body: (_ channel: Int, _ start: Int) -> Void) {
        var start = 0
        for _ in 0..<layout.outer {
            for channel in 0..<layout.channels {
                body(channel, start)
                start &+= layout.inner
            }
        }
    }
}

/// Quantization of sums of products of quantized numbers, simulated in float: the sum of the real products is brought
/// back to the whole number of accumulator steps that it stands for, then scaled and rounded as the integer kernels do.
/// Float sums are exact to a fraction of an accumulator step, so what comes out are the integer kernels' bits but for
/// sums of thousands of large products. Nothing is allocated.
package enum FakeRequantization {
    /// What the accumulator counts, and how it becomes a stored number: x and w are the scales of what is multiplied,
    /// y that of the result.
    package enum Form: Equatable, Sendable {
        /// Linear operators: steps of x w, factor x w / y in double.
        case linear
        /// MUL: steps of x w, factor x w / y.
        case product
        /// MEAN of `count` numbers: steps of x / count, factor (x / y) / count.
        case mean(count: Int)
        /// AVERAGE_POOL_2D, whose result has the scale of its input: ties away from zero.
        case average(count: Int)

        /// The real size of an accumulator step, and the factor from steps to stored numbers.
        func step(_ x: Float, _ w: Float, _ y: Float) -> (step: Double, factor: Float) {
            switch self {
            case .linear: (Double(x) * Double(w), Float(Double(x) * Double(w) / Double(y)))
            case .product: (Double(x) * Double(w), x * w / y)
            case .mean(let count): (Double(x) / Double(count), x / y / Float(count))
            case .average(let count): (Double(x) / Double(count), 1 / Float(count))
            }
        }
    }

    /// Elements in `inverse` and `factor`: as many channels as fit into some hundred elements.
    package static func rowLength(channels: Int) -> Int { channels * max(1, 512 / max(1, channels)) }

    /// `x` has rows of `channels` elements; `scales` of the weights one or `channels` elements; `inverse` and `factor` are
    /// working memory of `rowLength`. `y` may be `x`.
    package static func apply(
        _ form: Form, _ x: Span<Float>, _ y: inout MutableSpan<Float>, channels: Int, input: Float,
        scales: Span<Float>, output: Float, zeroPoint: Float, bounds: FakeQuantization.Bounds,
        inverse: inout MutableSpan<Float>, factor: inout MutableSpan<Float>, watch: FakeQuantization.Watch,
        passing: inout MutableSpan<UInt8>, extremes: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        let length = rowLength(channels: channels)
        guard x.count > 0, channels > 0, watch.block == length, inverse.count >= length, factor.count >= length,
            scales.count > 0
        else { return }
        for index in 0..<length {
            let channel = index % channels
            let (step, scale) = form.step(input, scales[channel < scales.count ? channel : 0], output)
            inverse[index] = Float(1 / step)
            factor[index] = scale
        }
        var isAverage = false
        if case .average = form { isAverage = true }
        let kernel = kernelTable.pointee.f32_fake_requantize
        inverse.withUnsafeMutableBufferPointer { inverse in
            factor.withUnsafeMutableBufferPointer { factor in
                var parameters = eo_fake_requantize_params(
                    inverse: inverse.baseAddress!, factor: factor.baseAddress!, scale: output,
                    low: bounds.low, high: bounds.high, zero: zeroPoint, away: isAverage ? 1 : 0)
                watch.run(kernel, x, &y, &parameters, 1 / output, &passing, &extremes, pool)
            }
        }
    }
}

extension FakeQuantization {
    /// What is looked at while a tensor is quantized, a part at a time as long as it is in the nearest cache: which
    /// gradients will pass (bit i % 8 of byte i / 8 for element i), and the least and the largest element, or 0.
    package struct Watch: Sendable {
        package let count: Int
        /// Elements that the kernel takes at once.
        package let block: Int
        /// The bounds between which a gradient passes, in steps.
        package var passes: Bounds = (0, 0)

        package init(count: Int, block: Int = 1024) {
            self.count = count
            self.block = max(1, block)
        }

        /// Whole bytes of bits.
        fileprivate var part: Int { block * 8 }
        fileprivate var piece: Int { part * max(1, elementsPerPiece / part) }
        fileprivate var pieces: Int { (count + piece - 1) / piece }
        package var passingByteCount: Int { (count + 7) / 8 }
        /// Floats of working memory for the extremes; the first two become the result.
        package var extremeCount: Int { 2 * pieces }

        /// `passing` or `extremes` without elements: nobody asks.
        fileprivate func run(
            _ kernel: @escaping eo_unary, _ x: Span<Float>, _ y: inout MutableSpan<Float>,
            _ parameters: UnsafeRawPointer, _ inverse: Float, _ passing: inout MutableSpan<UInt8>,
            _ extremes: inout MutableSpan<Float>, _ pool: ThreadPool
        ) {
            precondition(x.count >= count && y.count >= count)
            precondition(passing.count == 0 || passing.count >= passingByteCount)
            precondition(extremes.count == 0 || extremes.count >= extremeCount)
            guard count > 0 else { return }
            x.withUnsafeBufferPointer { x in
                y.withUnsafeMutableBufferPointer { y in
                    passing.withUnsafeMutableBufferPointer { passing in
                        extremes.withUnsafeMutableBufferPointer { extremes in
                            var job = WatchJob(
                                watch: self, kernel: kernel, parameters: parameters,
                                passes: .init(inverse: inverse, scale: 1, low: passes.low, high: passes.high),
                                x: x.baseAddress!, y: y.baseAddress!,
                                passing: passing.isEmpty ? nil : passing.baseAddress,
                                extremes: extremes.isEmpty ? nil : extremes.baseAddress)
                            pool.run(pieces, &job) { context, piece, _ in
                                context.assumingMemoryBound(to: WatchJob.self).pointee.run(piece)
                            }
                            for piece in 1..<max(1, extremes.isEmpty ? 1 : pieces) {
                                extremes[0] = min(extremes[0], extremes[2 * piece])
                                extremes[1] = max(extremes[1], extremes[2 * piece + 1])
                            }
                        }
                    }
                }
            }
        }
    }
}

private struct WatchJob {
    let watch: FakeQuantization.Watch
    let kernel: eo_unary
    let parameters: UnsafeRawPointer
    var passes: eo_fake_quantize_params
    let x: UnsafePointer<Float>
    let y: UnsafeMutablePointer<Float>
    let passing: UnsafeMutablePointer<UInt8>?
    let extremes: UnsafeMutablePointer<Float>?

    func run(_ piece: Int) {
        let table = kernelTable
        var passes = passes
        var (least, most): (Float, Float) = (0, 0)
        let end = min(watch.count, (piece + 1) * watch.piece)
        for start in stride(from: piece * watch.piece, to: end, by: watch.part) {
            let count = min(watch.part, end - start)
            if extremes != nil {
                let range = eo_f32_range_best().pointee.run(x + start, count)
                (least, most) = (min(least, range.low), max(most, range.high))
            }
            if let passing { table.pointee.f32_passing(count, x + start, passing + start / 8, &passes) }
            for block in stride(from: start, to: start + count, by: watch.block) {
                kernel(min(watch.block, start + count - block), x + block, y + block, parameters)
            }
        }
        if let extremes { (extremes[2 * piece], extremes[2 * piece + 1]) = (least, most) }
    }
}

private struct PassJob {
    let count: Int
    let dy: UnsafePointer<Float>
    let bits: UnsafePointer<UInt8>
    let dx: UnsafeMutablePointer<Float>

    func run(_ piece: Int) {
        let start = piece * elementsPerPiece
        kernelTable.pointee.f32_pass(
            min(elementsPerPiece, count - start), dy + start, bits + start / 8, dx + start)
    }
}
