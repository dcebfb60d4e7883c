import CKernels
import Model
import Testing

@testable import Kernels

// Every row of the depthwise, gathering and dynamic range tables against the last one, its scalar twin.

/// Runs of pixels with tap pointers of every kind: stepping, standing still (padding), one after the other.
private struct Run {
    var pixels: Int
    var channels: Int
    var taps: Int
    var elementSize: Int
    /// A block of exact size for each tap.
    var inputs: [Block]

    init<T: BitwiseCopyable>(pixels: Int, channels: Int, taps: Int, _ number: () -> T) {
        (self.pixels, self.channels, self.taps) = (pixels, channels, taps)
        elementSize = MemoryLayout<T>.stride
        inputs = (0..<taps).map { tap in
            Block((0..<(channels * (Run.isPadding(tap) ? 1 : pixels))).map { _ in number() })
        }
    }

    private static func isPadding(_ tap: Int) -> Bool { tap % 4 == 2 }

    func run(
        _ kernel: @convention(c) (UnsafePointer<eo_depthwise_run>) -> Void, packed: Block, parameters: Block
    ) -> [UInt8] {
        let gap = 24
        let stride = channels * elementSize + gap
        let output = Block(pixels * stride - gap)
        let pointers = inputs.map { UnsafeRawPointer($0.base) }
        let steps = (0..<taps).map { Run.isPadding($0) ? 0 : channels * elementSize }
        pointers.withUnsafeBufferPointer { pointers in
            steps.withUnsafeBufferPointer { steps in
                var run = eo_depthwise_run(
                    pixels: pixels, channels: channels, taps: taps, tap: pointers.baseAddress!,
                    step: steps.baseAddress!, weights: packed.base, output: output.base, output_stride: stride,
                    parameters: parameters.base)
                kernel(&run)
            }
        }
        return output.array(of: UInt8.self)
    }
}

private func eachRun(_ body: (_ pixels: Int, _ channels: Int, _ taps: Int) -> Void) {
    for channels in Array(1...35) + [47, 63, 64, 65, 96, 127, 129] {
        for taps in [1, 2, 3, 4, 5, 9, 25] { body(channels % 3 + 1, channels, taps) }
    }
}

@Test func floatDepthwiseIsThatOfTheScalarTwin() {
    let table = rows(eo_f32_depthwise_rows)
    var numbers = Numbers(seed: 1)
    let parameters = Block([eo_f32_gemm_parameters(minimum: -1.5, maximum: 1.25)])
    eachRun { pixels, channels, taps in
        let run = Run(pixels: pixels, channels: channels, taps: taps) { numbers.float() }
        let packed = Block(eo_f32_depthwise_packed_size(taps, channels))
        eo_f32_depthwise_pack(taps, channels, numbers.floats(taps * channels), numbers.floats(channels), packed.base)
        let expected = Block(run.run(table.last!.run, packed: packed, parameters: parameters)).array(of: Float.self)
        for kernel in table.dropLast() where kernels_isa_available(kernel.isa) {
            let found = Block(run.run(kernel.run, packed: packed, parameters: parameters)).array(of: Float.self)
            let worst = zip(found, expected).map { $0 == $1 ? 0 : abs($0 - $1) }.max() ?? 0
            #expect(
                worst <= Float((taps + 1) * (taps + 1)) * .ulpOfOne,
                "\(String(cString: kernel.name)) \(pixels)x\(channels)x\(taps): off by \(worst)")
        }
    }
}

@Test(arguments: depthwiseShapes)
func floatDepthwiseLinesAreThoseOfTheScalarTwin(_ shape: ConvolutionShape) {
    var window = shape.window
    guard shape.outputChannels == shape.inputChannels, eo_f32_depthwise_by_lines(&window) else { return }
    let (taps, channels) = (shape.taps, shape.outputChannels)
    var numbers = Numbers(seed: taps * channels)
    let packed = Block(eo_f32_depthwise_packed_size(taps, channels))
    eo_f32_depthwise_pack(taps, channels, numbers.floats(taps * channels), numbers.floats(channels), packed.base)
    let input = Block(numbers.floats(shape.inputCount))
    let all = shape.batch * shape.outputHeight
    // All lines at once, and two by two: where they are cut must not change a bit.
    func outputs(_ kernel: eo_f32_depthwise_lines_kernel, step: Int) -> [Float] {
        let output = Block([Float](repeating: .nan, count: shape.outputCount))
        for first in stride(from: 0, to: all, by: step) {
            let scratch = Block(Int(EO_DEPTHWISE_SCRATCH))
            var lines = eo_f32_depthwise_lines(
                window: &window, input: input.base, output: output.base, weights: packed.base,
                parameters: eo_f32_gemm_parameters(minimum: -1.5, maximum: 1.25), first: first,
                count: min(step, all - first), scratch: scratch.base.assumingMemoryBound(to: Float.self),
                input_is_rounded: false, output_is_rounded: false)
            kernel.run(&lines)
        }
        return output.array(of: Float.self)
    }
    let table = rows(eo_f32_depthwise_lines_rows)
    let expected = outputs(table.last!, step: all)
    for kernel in table.dropLast() where kernels_isa_available(kernel.isa) {
        let found = outputs(kernel, step: all)
        let worst = zip(found, expected).map { $0 == $1 ? 0 : abs($0 - $1) }.max() ?? 0
        #expect(worst <= Float((taps + 1) * (taps + 1)) * .ulpOfOne, "\(String(cString: kernel.name)): off by \(worst)")
        #expect(found == outputs(kernel, step: 2))
    }
}

@Test(arguments: [0, 127, -128], [0, 0x80])
func byteDepthwiseIsThatOfTheScalarTwin(_ weightZeroPoint: Int32, _ flip: UInt8) {
    let table = rows(eo_u8_depthwise_rows)
    var numbers = Numbers(seed: 300 + Int(weightZeroPoint))
    let parameters = Block([
        eo_u8_depthwise_parameters(
            maximum: 120, minimum: -101, output_zero_point: -28, weight_zero_point: weightZeroPoint, flip: flip)
    ])
    eachRun { pixels, channels, taps in
        let run = Run(pixels: pixels, channels: channels, taps: taps) {
            UInt8(min(255, max(0, numbers.integer(-64...319))))
        }
        let weights = numbers.integers(taps * channels, -192...191).map { byte(min(127, max(-128, $0))) }
        let bias = numbers.integers(channels, -9000...9000).map { Int32($0) }
        let scale = numbers.integers(channels, 1...400).map { Float($0) / 20000 }
        let outputs = table.map { row -> [UInt8]? in
            guard kernels_isa_available(row.isa) else { return nil }
            var row = row
            let packed = Block(eo_u8_depthwise_packed_size(&row, taps, channels))
            withByteWeights(taps, channels, weights, bias, scale, weightZeroPoint) {
                eo_u8_depthwise_pack(&row, $0, packed.base)
            }
            return run.run(row.run, packed: packed, parameters: parameters)
        }
        for (kernel, output) in zip(table, outputs) {
            guard let output else { continue }
            #expect(output == outputs.last!, "\(String(cString: kernel.name)) \(pixels)x\(channels)x\(taps)")
        }
    }
}

@Test func shortDepthwiseIsThatOfTheScalarTwin() {
    let table = rows(eo_s16_depthwise_rows)
    var numbers = Numbers(seed: 9)
    let parameters = Block([
        eo_s16_parameters(
            minimum: -32768, maximum: 30000, output_zero_point: 0, sums_fit_32: true, leaves_f: false)
    ])
    eachRun { pixels, channels, taps in
        let run = Run(pixels: pixels, channels: channels, taps: taps) { Int16(numbers.integer(-32768...32767)) }
        let weights = numbers.integers(taps * channels, -128...127).map(byte)
        let scales = numbers.integers(channels, 1...400).map { Float($0) / 400000 }
        let bias = numbers.integers(channels, -90000...90000).map { Int64($0) }
        func output(_ kernel: eo_s16_depthwise_kernel) -> [UInt8] {
            var kernel = kernel
            let packed = Block(eo_s16_depthwise_packed_size(&kernel, taps, channels))
            eo_s16_depthwise_pack(&kernel, taps, channels, weights, scales, bias, packed.base)
            return run.run(kernel.run, packed: packed, parameters: parameters)
        }
        let expected = output(table.last!)
        for kernel in table.dropLast() where kernels_isa_available(kernel.isa) {
            let found = output(kernel)
            #expect(found == expected, "\(String(cString: kernel.name)) \(pixels)x\(channels)x\(taps)")
        }
    }
}

@Test(arguments: convolutionShapes, [1, 2, 4])
func gatheringIsThatOfTheScalarTwin(_ shape: ConvolutionShape, _ elementSize: Int) {
    var numbers = Numbers(seed: shape.inputCount)
    let input = Block(numbers.integers(shape.inputCount * elementSize, 0...255).map { UInt8($0) })
    let window = Block([shape.window])
    let depth = shape.depth * elementSize
    let (plain, quads) = (3 * elementSize, (4 - depth % 4) % 4)
    var tables = [(rows(eo_gather_rows).map { ($0.run, $0.isa) }, fill: plain, kept: depth + plain)]
    if elementSize == 1 {
        tables += [
            (rows(eo_gather_wide_rows).map { ($0.run, $0.isa) }, fill: plain, kept: 2 * (depth + plain)),
            (rows(eo_gather_magnitudes_rows).map { ($0.run, $0.isa) }, fill: quads, kept: 2 * (depth + quads) + 4),
        ]
    }
    for (table, fill, kept) in tables {
        for (first, pixels) in [(0, shape.outputPixels), (shape.outputPixels / 3, 1), (shape.outputPixels / 2, 2)] {
            guard first + pixels <= shape.outputPixels else { continue }
            let outputs = table.map { run, isa -> [UInt8]? in
                guard kernels_isa_available(isa) else { return nil }
                let stride = (kept + 64) / 64 * 64
                let guarded = [UInt8](repeating: 0xa5, count: pixels * stride + 64)
                let rows = Block(guarded)
                var gather = eo_gather(
                    window: window.base.assumingMemoryBound(to: eo_window.self), input: input.base, first: first,
                    pixels: pixels, element_size: elementSize,
                    rows: rows.base, row_stride: stride, fill: fill, padding: 0x7c, flip: elementSize == 1 ? 0x80 : 0,
                    parts: 0)
                run(&gather)
                // What is behind the fill may be overwritten.
                let bytes = rows.array(of: UInt8.self)
                #expect(bytes.suffix(64) == guarded.suffix(64), "\(shape) \(first) \(pixels): behind the rows")
                return (0..<pixels).flatMap { bytes[$0 * stride..<$0 * stride + kept] }
            }
            for output in outputs.compactMap({ $0 }) { #expect(output == outputs.last!, "\(shape) \(first) \(pixels)") }
        }
    }
}

@Test func dynamicRangeIsThatOfTheScalarTwin() {
    let ranges = rows(eo_f32_range_rows)
    let quantizers = rows(eo_f32_to_u8_rows)
    var numbers = Numbers(seed: 77)
    for count in 0...70 {
        // Multiples of 1/8, so that ties happen.
        let x = Block(numbers.integers(count, -1100...1100).map { Float($0) / 8 })
        let values = x.base.assumingMemoryBound(to: Float.self)
        var grid = eo_grid(inverse: 1, offset: -3, low: -127)
        let expected = ranges.last!.run(values, count)
        for kernel in ranges where kernels_isa_available(kernel.isa) {
            let range = kernel.run(values, count)
            #expect(range.low == expected.low && range.high == expected.high && range.check == 0, "\(count)")
        }
        let outputs = quantizers.map { kernel -> [UInt8]? in
            guard kernels_isa_available(kernel.isa) else { return nil }
            let q = Block(count)
            _ = kernel.run(&grid, values, q.base.assumingMemoryBound(to: UInt8.self), count)
            return q.array(of: UInt8.self)
        }
        for output in outputs.compactMap({ $0 }) { #expect(output == outputs.last!, "\(count)") }
    }
}
