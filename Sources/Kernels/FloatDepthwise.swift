import CKernels
import Model

/// DEPTHWISE_CONV_2D in float32; output channel c * multiplier + m sees input channel c alone, the multiplier being
/// outputChannels / inputChannels. Instances are immutable: any thread.
package final class FloatDepthwise: @unchecked Sendable {
    /// Not copied when it runs.
    private enum Form: ~Copyable {
        case direct(DepthwisePlan, Storage)
        case grouped(FloatConvolution)
    }

    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package let scratchByteCount: Int

    private let form: Form
    private let parameters: eo_f32_gemm_parameters

    /// This layer, followed by `finish`, as a part of a cascade; nil: it cannot be one.
    package func stage(_ finish: Finish) throws(Failure) -> CascadeStage? {
        switch form {
        case .direct(let plan, let packed): try .of(plan, packed, parameters, finish)
        case .grouped: nil
        }
    }

    /// `weights`: float32 [kernelHeight, kernelWidth, outputChannels]; `bias`: float32 [outputChannels] or nil.
    /// `threads`: for how many threads scratch memory is asked. `byLines`: rectangles of the image, which must fit;
    /// nil: where that is thought faster. `rounded`: which images are bfloat16, of layers that can have such.
    package init(
        _ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, minimum: Float, maximum: Float,
        rounded: RoundedImages = RoundedImages(), cache: PackedWeightCache, threads: Int = 4, byLines: Bool? = nil
    ) throws(Failure) {
        try shape.checkDepthwise()
        try expect(weights, "weights", count: shape.taps * shape.outputChannels, size: 4)
        if let bias { try expect(bias, "bias", count: shape.outputChannels, size: 4) }
        parameters = eo_f32_gemm_parameters(minimum: minimum, maximum: maximum)
        guard shape.outputChannels == shape.inputChannels else {
            let convolution = try FloatConvolution(
                shape.grouped, weights: try shape.channelMajor(weights, elementSize: 4, cache: cache), bias: bias,
                minimum: minimum, maximum: maximum, cache: cache, threads: threads)
            self.form = .grouped(convolution)
            kernelName = convolution.kernelName
            scratchByteCount = convolution.scratchByteCount
            return
        }
        let kernel = eo_f32_depthwise_best().pointee
        let (taps, channels) = (shape.taps, shape.outputChannels)
        let form: Sentence = "f32_depthwise \(taps)x\(channels) \(digest(bias))"
        let packed = try cache.packed(
            weights, form: form, count: eo_f32_depthwise_packed_size(taps, channels)
        ) { eo_f32_depthwise_pack(taps, channels, weights.baseAddress, bias?.baseAddress, $0) }
        var window = shape.window
        let isRounded = rounded.input || rounded.output
        let lines = byLines ?? (isRounded || eo_f32_depthwise_by_lines(&window)) ? eo_f32_depthwise_lines_best() : nil
        let plan = try DepthwisePlan(
            shape, run: kernel.run, lines: lines?.pointee.run, elementSizes: (rounded.inputSize, rounded.outputSize),
            slots: threads)
        self.form = .direct(plan, packed)
        kernelName = String(cString: lines?.pointee.name ?? kernel.name)
        scratchByteCount = plan.scratchByteCount
    }

    /// Which images can be bfloat16, where the kernels that take them are.
    package static func rounding(_ shape: ConvolutionShape) -> RoundedImages {
        var (rounding, window) = (RoundedImages(), shape.window)
        rounding.output = shape.outputChannels == shape.inputChannels && eo_f32_depthwise_fits_lines(&window)
        rounding.input = rounding.output && eo_f32_depthwise_rounds(&window)
        return rounding
    }

    /// The same in float32.
    package func run(
        _ input: Span<Float>, _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        let bytes = Span<UInt8>(_bytes: input.bytes)
        output.withUnsafeMutableBytes { output in
            var output = MutableSpan<UInt8>(_unsafeElements: output.assumingMemoryBound(to: UInt8.self))
            run(bytes, &output, scratch: &scratch, finish: finish, pool: pool)
        }
    }

    /// `input` and `output`: NHWC. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<UInt8>, _ output: inout MutableSpan<UInt8>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        switch form {
        case .grouped(let convolution):
            input.withUnsafeBytes { input in
                output.withUnsafeMutableBytes { output in
                    let input = Span<Float>(_unsafeElements: input.assumingMemoryBound(to: Float.self))
                    var output = MutableSpan<Float>(_unsafeElements: output.assumingMemoryBound(to: Float.self))
                    convolution.run(input, &output, scratch: &scratch, finish: finish, pool: pool)
                }
            }
        case .direct(let plan, let packed):
            plan.run(input, &output, packed, parameters, scratch: &scratch, finish: finish, pool: pool)
        }
    }
}
