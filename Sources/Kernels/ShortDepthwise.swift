import CKernels
import Model

/// DEPTHWISE_CONV_2D with int16 activations and int8 weights (16x8): sums are exact in 64 bits, and requantized as
/// `Requantization` says. The same bits on every machine. Instances are immutable: any thread.
package final class ShortDepthwise: @unchecked Sendable {
    /// Not copied when it runs.
    private enum Form: ~Copyable {
        case direct(DepthwisePlan, Storage)
        case grouped(ShortConvolution)
    }

    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package let scratchByteCount: Int

    private let form: Form
    private let parameters: eo_s16_parameters

    /// `weights`: int8 [kernelHeight, kernelWidth, outputChannels]; `bias`: [outputChannels] or nil. The zero points of
    /// input and weights must be 0. `threads`: for how many threads scratch memory is asked.
    package init(
        _ shape: ConvolutionShape, weights: Bytes, bias: [Int64]?, requantization: Requantization,
        cache: PackedWeightCache, threads: Int = 4
    ) throws(Failure) {
        try shape.checkDepthwise()
        let (taps, channels) = (shape.taps, shape.outputChannels)
        try expect(weights, "weights", count: taps * channels, size: 1)
        let scales = try requantization.shortScales(channels)
        var parameters = requantization.shortParameters
        guard shape.outputChannels == shape.inputChannels else {
            let convolution = try ShortConvolution(
                shape.grouped, weights: try shape.channelMajor(weights, elementSize: 1, cache: cache), bias: bias,
                requantization: requantization, cache: cache, threads: threads)
            form = .grouped(convolution)
            self.parameters = parameters
            kernelName = convolution.kernelName
            scratchByteCount = convolution.scratchByteCount
            return
        }
        let bias = try expect(bias, count: channels)
        // A product has at most 22 bits and a sign.
        parameters.sums_fit_32 =
            taps < 256 && bias.allSatisfy { $0.magnitude < 1 << 30 } && scales.allSatisfy { $0 < 1 }
            && requantization.outputZeroPoint == 0
        self.parameters = parameters
        let kernel = eo_s16_depthwise_for(parameters.sums_fit_32)
        let block: Sentence = "\(kernel.pointee.mr)x\(kernel.pointee.nr)"
        let name: Sentence = "s16_depthwise_blocks \(block) \(taps)x\(channels) \(digest(bias)) \(digest(scales))"
        let packed = try cache.packed(
            weights, form: name, count: eo_s16_depthwise_packed_size(kernel, taps, channels)
        ) { base in
            eo_s16_depthwise_pack(
                kernel, taps, channels, weights.baseAddress.assumingMemoryBound(to: UInt8.self), scales, bias, base)
        }
        let plan = try DepthwisePlan(shape, run: kernel.pointee.run, elementSizes: (2, 2), slots: threads)
        form = .direct(plan, packed)
        kernelName = String(cString: kernel.pointee.name)
        scratchByteCount = plan.scratchByteCount
    }

    /// `input` and `output`: NHWC. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<Int16>, _ output: inout MutableSpan<Int16>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        switch form {
        case .grouped(let convolution): convolution.run(input, &output, scratch: &scratch, finish: finish, pool: pool)
        case .direct(let plan, let packed):
            plan.run(input, &output, packed, parameters, scratch: &scratch, finish: finish, pool: pool)
        }
    }
}
