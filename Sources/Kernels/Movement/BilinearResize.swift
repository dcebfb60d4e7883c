import CKernels

/// Bilinear interpolation of NHWC images. Where each output row and column lies between which two of the input is
/// decided once; a row is then a weighted sum of four pixels at every step.
package struct BilinearResize: Sendable {
    package enum Element: Sendable {
        case float32
        /// Interpolated in float, rounded by adding one half.
        case uint8
        /// Interpolated with weights of 10 bits, rounded to nearest, ties away from zero.
        case int8, int16

        fileprivate var size: Int {
            switch self {
            case .float32: 4
            case .int16: 2
            case .uint8, .int8: 1
            }
        }

        fileprivate var kernel: eo_resize_function {
            switch self {
            case .float32: kernelTable.pointee.f32_resize
            case .uint8: kernelTable.pointee.u8_resize
            case .int8: kernelTable.pointee.s8_resize
            case .int16: kernelTable.pointee.s16_resize
            }
        }
    }

    private let element: Element
    private let inputShape: [Int]
    private let rows: [eo_resize_tap]
    private let columns: [eo_resize_tap]

    /// `inputShape` is NHWC; no dimension may be empty.
    package init(
        _ element: Element, inputShape: [Int], outputHeight: Int, outputWidth: Int, alignCorners: Bool,
        halfPixelCenters: Bool
    ) {
        self.element = element
        self.inputShape = inputShape
        let isInteger = element == .int8 || element == .int16
        let taps = isInteger ? Self.integerTaps : Self.taps
        rows = taps(inputShape[1], outputHeight, alignCorners, halfPixelCenters)
        columns = taps(inputShape[2], outputWidth, alignCorners, halfPixelCenters)
    }

    private static func taps(_ input: Int, _ output: Int, alignCorners: Bool, half: Bool) -> [eo_resize_tap] {
        let isAligned = alignCorners && output > 1
        let scale = isAligned ? Float(input - 1) / Float(output - 1) : Float(input) / Float(output)
        return (0..<output).map { index in
            let place = half ? (Float(index) + 0.5) * scale - 0.5 : Float(index) * scale
            let low = min(max(Int(place.rounded(.down)), 0), input - 1)
            let high = max(min(Int(place.rounded(.up)), input - 1), 0)
            let weight = place - Float(low)
            return eo_resize_tap(low: low, high: high, left: 1 - weight, right: weight)
        }
    }

    private static func integerTaps(_ input: Int, _ output: Int, alignCorners: Bool, half: Bool) -> [eo_resize_tap] {
        let isAligned = alignCorners && output > 1
        let (from, to) = isAligned ? (input - 1, output - 1) : (input, output)
        let scale = (1024 * from + to / 2) / to
        return (0..<output).map { index in
            let place = half ? index * scale + scale / 2 - 512 : index * scale
            let low = max(place / 1024, 0)
            // The rounded scale can run past the end of a very large output.
            guard low < input else { return eo_resize_tap(low: input - 1, high: input - 1, left: 1024, right: 0) }
            let weight = Float(place - 1024 * low)
            let high = max(min((place + 1023) / 1024, input - 1), 0)
            return eo_resize_tap(low: low, high: high, left: 1024 - weight, right: weight)
        }
    }

    package func run(from source: Span<UInt8>, to target: inout MutableSpan<UInt8>, pool: ThreadPool) {
        let (batch, channels) = (inputShape[0], inputShape[3])
        precondition(
            source.count >= inputShape.reduce(element.size, *)
                && target.count >= element.size * batch * rows.count * columns.count * channels)
        source.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { target in
                rows.withUnsafeBufferPointer { rows in
                    columns.withUnsafeBufferPointer { columns in
                        guard let from = source.baseAddress, let to = target.baseAddress, let taps = columns.baseAddress
                        else { return }
                        var job = ResizeJob(
                            kernel: element.kernel, source: from, target: to, rows: rows, inputHeight: inputShape[1],
                            inputLine: inputShape[2] * channels * element.size,
                            outputLine: columns.count * channels * element.size,
                            line: eo_resize(count: columns.count, channels: channels, taps: taps, above: 0, below: 0))
                        pool.run(batch * rows.count, &job) { context, row, _ in
                            context.assumingMemoryBound(to: ResizeJob.self).pointee.run(row)
                        }
                    }
                }
            }
        }
    }
}

private typealias eo_resize_function =
    @convention(c) (UnsafePointer<eo_resize>, UnsafeRawPointer, UnsafeRawPointer, UnsafeMutableRawPointer) -> Void

private struct ResizeJob {
    let kernel: eo_resize_function
    let source: UnsafeRawPointer
    let target: UnsafeMutableRawPointer
    let rows: UnsafeBufferPointer<eo_resize_tap>
    let inputHeight: Int
    /// Bytes of a line of pixels.
    let inputLine: Int
    let outputLine: Int
    var line: eo_resize

    func run(_ index: Int) {
        let tap = rows[index % rows.count]
        var line = line
        (line.above, line.below) = (tap.left, tap.right)
        let image = source + index / rows.count * inputHeight * inputLine
        kernel(&line, image + tap.low * inputLine, image + tap.high * inputLine, target + index * outputLine)
    }
}
