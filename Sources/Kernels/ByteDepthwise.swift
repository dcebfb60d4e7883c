import CKernels
import Model

/// DEPTHWISE_CONV_2D with 8-bit activations and weights: int32 sums, requantized as `Requantization` says. The same bits
/// on every machine. Instances are immutable: any thread.
package final class ByteDepthwise: @unchecked Sendable {
    /// Not copied when it runs.
    private enum Form: ~Copyable {
        case direct(DepthwisePlan, Storage)
        case grouped(ByteConvolution)
    }

    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package let scratchByteCount: Int

    private let form: Form
    private let parameters: eo_u8_depthwise_parameters

    /// `weights`: int8 or uint8 [kernelHeight, kernelWidth, outputChannels]; `bias`: [outputChannels] or nil. Input and
    /// output are both int8 if `activationsAreSigned`, otherwise both uint8. `threads`: for how many threads scratch
    /// memory is asked. `row`: of the kernels' table; nil: the best.
    package init(
        _ shape: ConvolutionShape, weights: Bytes, weightsAreSigned: Bool, bias: [Int32]?,
        requantization: Requantization, activationsAreSigned: Bool, cache: PackedWeightCache, threads: Int = 4,
        row: Int? = nil
    ) throws(Failure) {
        try shape.checkDepthwise()
        let (taps, channels) = (shape.taps, shape.outputChannels)
        try expect(weights, "weights", count: taps * channels, size: 1)
        let zero = try ByteZeroPoints(
            requantization, weightsAreSigned: weightsAreSigned, activationsAreSigned: activationsAreSigned)
        let scales = try requantization.channelScales(
            channels, inputs: zero.activations, weights: zero.weights, outputs: zero.activations)
        parameters = eo_u8_depthwise_parameters(
            maximum: Float(requantization.outputMaximum - requantization.outputZeroPoint),
            minimum: Int32(requantization.outputMinimum), output_zero_point: Int32(requantization.outputZeroPoint),
            weight_zero_point: zero.weight, flip: zero.activationFlip)
        guard shape.outputChannels == shape.inputChannels else {
            let convolution = try ByteConvolution(
                shape.grouped, weights: try shape.channelMajor(weights, elementSize: 1, cache: cache),
                weightsAreSigned: weightsAreSigned, bias: bias, requantization: requantization,
                activationsAreSigned: activationsAreSigned, cache: cache, threads: threads)
            form = .grouped(convolution)
            kernelName = convolution.kernelName
            scratchByteCount = convolution.scratchByteCount
            return
        }
        let bias = try expect(bias, count: channels)
        var count: Int32 = 0
        let kernel = row.map { eo_u8_depthwise_rows(&count) + $0 } ?? eo_u8_depthwise_best()
        let name: Sentence = "u8_depthwise_blocks \(kernel.pointee.mr)x\(kernel.pointee.nr) \(taps)x\(channels)"
        let packed = try cache.packed(
            weights, form: "\(name) \(zero.form) \(digest(bias)) \(digest(scales))",
            count: eo_u8_depthwise_packed_size(kernel, taps, channels)
        ) { base in
            bias.withUnsafeBufferPointer { bias in
                scales.withUnsafeBufferPointer { scales in
                    var source = zero.source(
                        weights.baseAddress, depth: taps, columns: channels, bias: bias.baseAddress!,
                        scales: scales.baseAddress!)
                    eo_u8_depthwise_pack(kernel, &source, base)
                }
            }
        }
        let plan = try DepthwisePlan(
            shape, run: kernel.pointee.run, elementSizes: (1, 1), padding: zero.padding ^ zero.activationFlip,
            slots: threads)
        form = .direct(plan, packed)
        kernelName = String(cString: kernel.pointee.name)
        scratchByteCount = plan.scratchByteCount
    }

    /// `input` and `output`: NHWC bytes, int8 or uint8 as `init` was told. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<UInt8>, _ output: inout MutableSpan<UInt8>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        switch form {
        case .grouped(let convolution): convolution.run(input, &output, scratch: &scratch, finish: finish, pool: pool)
        case .direct(let plan, let packed):
            plan.run(input, &output, packed, parameters, scratch: &scratch, finish: finish, pool: pool)
        }
    }
}
