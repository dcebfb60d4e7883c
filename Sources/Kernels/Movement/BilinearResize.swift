/// Bilinear interpolation of NHWC images. Where each output row and column lies between which two of the input is
/// decided once; a row is then a weighted sum of four pixels at every step.
package struct BilinearResize: Sendable {
    /// One output coordinate: two input coordinates and the weights of both.
    private struct Tap<Weight: Sendable>: Sendable {
        let low: Int
        let high: Int
        let lowWeight: Weight
        let highWeight: Weight
    }
    package enum Element: Sendable {
        case float32
        /// Interpolated in float, rounded by adding one half.
        case uint8
        /// Interpolated with weights of 10 bits, rounded to nearest, ties away from zero.
        case int8, int16
    }

    private let element: Element
    private let inputShape: [Int]
    private let outputHeight: Int
    private let outputWidth: Int
    private let rows: [Tap<Float>]
    private let columns: [Tap<Float>]
    private let integerRows: [Tap<Int32>]
    private let integerColumns: [Tap<Int32>]

    /// `inputShape` is NHWC; no dimension may be empty.
    package init(
        _ element: Element, inputShape: [Int], outputHeight: Int, outputWidth: Int, alignCorners: Bool,
        halfPixelCenters: Bool
    ) {
        self.element = element
        self.inputShape = inputShape
        self.outputHeight = outputHeight
        self.outputWidth = outputWidth
        let isInteger = element == .int8 || element == .int16
        func float(_ input: Int, _ output: Int) -> [Tap<Float>] {
            isInteger ? [] : Self.taps(input, output, alignCorners: alignCorners, half: halfPixelCenters)
        }
        func integer(_ input: Int, _ output: Int) -> [Tap<Int32>] {
            isInteger ? Self.integerTaps(input, output, alignCorners: alignCorners, half: halfPixelCenters) : []
        }
        rows = float(inputShape[1], outputHeight)
        columns = float(inputShape[2], outputWidth)
        integerRows = integer(inputShape[1], outputHeight)
        integerColumns = integer(inputShape[2], outputWidth)
    }

    private static func taps(_ input: Int, _ output: Int, alignCorners: Bool, half: Bool) -> [Tap<Float>] {
        let isAligned = alignCorners && output > 1
        let scale = isAligned ? Float(input - 1) / Float(output - 1) : Float(input) / Float(output)
        return (0..<output).map { index in
            let place = half ? (Float(index) + 0.5) * scale - 0.5 : Float(index) * scale
            let low = min(max(Int(place.rounded(.down)), 0), input - 1)
            let high = max(min(Int(place.rounded(.up)), input - 1), 0)
            let weight = place - Float(low)
            return Tap(low: low, high: high, lowWeight: 1 - weight, highWeight: weight)
        }
    }

    private static func integerTaps(_ input: Int, _ output: Int, alignCorners: Bool, half: Bool) -> [Tap<Int32>] {
        let isAligned = alignCorners && output > 1
        let (from, to) = isAligned ? (input - 1, output - 1) : (input, output)
        let scale = (1024 * from + to / 2) / to
        return (0..<output).map { index in
            let place = half ? index * scale + scale / 2 - 512 : index * scale
            let low = max(place / 1024, 0)
            // The rounded scale can run past the end of a very large output.
            guard low < input else { return Tap(low: input - 1, high: input - 1, lowWeight: 1024, highWeight: 0) }
            let weight = Int32(place - 1024 * low)
            let high = max(min((place + 1023) / 1024, input - 1), 0)
            return Tap(low: low, high: high, lowWeight: 1024 - weight, highWeight: weight)
        }
    }

    private struct Job {
        let resize: BilinearResize
        let source: UnsafeRawPointer
        let target: UnsafeMutableRawPointer
    }

    package func run(from source: Span<UInt8>, to target: inout MutableSpan<UInt8>, pool: ThreadPool) {
        let size = element == .float32 ? 4 : element == .int16 ? 2 : 1
        let (batch, channels) = (inputShape[0], inputShape[3])
        precondition(
            source.count >= inputShape.reduce(size, *)
                && target.count >= size * batch * outputHeight * outputWidth * channels)
        source.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { target in
                guard let from = source.baseAddress, let to = target.baseAddress else { return }
                withUnsafePointer(to: Job(resize: self, source: from, target: to)) { job in
                    pool.run(batch * outputHeight, UnsafeRawPointer(job)) { context, row, _ in
                        let job = context.assumingMemoryBound(to: Job.self)
                        job.pointee.resize.row(row, job.pointee.source, job.pointee.target)
                    }
                }
            }
        }
    }

    private func row(_ index: Int, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer) {
        let (image, y) = (index / outputHeight, index % outputHeight)
        switch element {
        case .float32: floatRow(image, y, index, source, target)
        case .uint8: byteRow(image, y, index, source, target)
        case .int8: integerRow(image, y, index, source, target, Int8.self, Int32.self)
        case .int16: integerRow(image, y, index, source, target, Int16.self, Int64.self)
        }
    }

    /// Elements of input row `y` of an image.
    @inline(__always)
    private func inputRow(_ image: Int, _ y: Int) -> Int {
        (image * inputShape[1] + y) * inputShape[2] * inputShape[3]
    }

    private func floatRow(
        _ image: Int, _ y: Int, _ row: Int, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer
    ) {
        let channels = inputShape[3]
        let tap = rows[y]
        let input = source.assumingMemoryBound(to: Float.self)
        let (top, bottom) = (input + inputRow(image, tap.low), input + inputRow(image, tap.high))
        var output = target.assumingMemoryBound(to: Float.self) + row * outputWidth * channels
        for x in 0..<outputWidth {
            let column = columns[x]
            let (a, b) = (top + column.low * channels, bottom + column.low * channels)
            let (c, d) = (top + column.high * channels, bottom + column.high * channels)
            let weightA = tap.lowWeight * column.lowWeight
            let weightB = tap.highWeight * column.lowWeight
            let weightC = tap.lowWeight * column.highWeight
            let weightD = tap.highWeight * column.highWeight
            for i in 0..<channels {
                output[i] = a[i] * weightA + b[i] * weightB + c[i] * weightC + d[i] * weightD
            }
            output += channels
        }
    }

    private func byteRow(
        _ image: Int, _ y: Int, _ row: Int, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer
    ) {
        let channels = inputShape[3]
        let tap = rows[y]
        let input = source.assumingMemoryBound(to: UInt8.self)
        let (top, bottom) = (input + inputRow(image, tap.low), input + inputRow(image, tap.high))
        var output = target.assumingMemoryBound(to: UInt8.self) + row * outputWidth * channels
        for x in 0..<outputWidth {
            let column = columns[x]
            let (a, b) = (top + column.low * channels, bottom + column.low * channels)
            let (c, d) = (top + column.high * channels, bottom + column.high * channels)
            for i in 0..<channels {
                // The order of the products decides the last bit, and so to which side a half is rounded.
                let left = Float(a[i]) * tap.lowWeight * column.lowWeight
                let leftBelow = Float(b[i]) * tap.highWeight * column.lowWeight
                let right = Float(c[i]) * tap.lowWeight * column.highWeight
                let rightBelow = Float(d[i]) * tap.highWeight * column.highWeight
                output[i] = UInt8(min(max(left + leftBelow + right + rightBelow + 0.5, 0), 255))
            }
            output += channels
        }
    }

    @inline(__always)
    private func integerRow<T: FixedWidthInteger, Sum: FixedWidthInteger & SignedInteger>(
        _ image: Int, _ y: Int, _ row: Int, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _: T.Type,
        _: Sum.Type
    ) {
        let channels = inputShape[3]
        let tap = integerRows[y]
        let input = source.assumingMemoryBound(to: T.self)
        let (top, bottom) = (input + inputRow(image, tap.low), input + inputRow(image, tap.high))
        var output = target.assumingMemoryBound(to: T.self) + row * outputWidth * channels
        let half: Sum = 1 << 19
        for x in 0..<outputWidth {
            let column = integerColumns[x]
            let (a, b) = (top + column.low * channels, bottom + column.low * channels)
            let (c, d) = (top + column.high * channels, bottom + column.high * channels)
            let weightA = Sum(tap.lowWeight &* column.lowWeight)
            let weightB = Sum(tap.highWeight &* column.lowWeight)
            let weightC = Sum(tap.lowWeight &* column.highWeight)
            let weightD = Sum(tap.highWeight &* column.highWeight)
            for i in 0..<channels {
                let upper = Sum(a[i]) &* weightA &+ Sum(c[i]) &* weightC
                let sum = upper &+ Sum(b[i]) &* weightB &+ Sum(d[i]) &* weightD
                output[i] = T(truncatingIfNeeded: (sum &+ (sum > 0 ? half : -half)) / (1 << 20))
            }
            output += channels
        }
    }
}
