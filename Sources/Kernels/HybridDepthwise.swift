import CKernels
import Model

/// DEPTHWISE_CONV_2D of dynamic range models. The activations of each image are rounded to the 8-bit numbers dynamic
/// range prescribes, and the products are formed in float: with weights as whole numbers times a scale that is the same
/// sum up to float rounding. Instances are immutable: any thread.
package final class HybridDepthwise: @unchecked Sendable {
    package var kernelName: String { convolution.kernelName }
    /// What `run` needs for `threads` threads.
    package let scratchByteCount: Int

    private let convolution: FloatDepthwise
    private let quantizer: DynamicRangeQuantizer
    private let images: Int
    private let imageOutputs: Int
    private let roundedBytes: Int

    /// `weights`: int8 [kernelHeight, kernelWidth, outputChannels]; `weightScales`: one per output channel, or one;
    /// `bias`: [outputChannels] or nil. `asymmetric` as for `HybridConvolution`. `threads`: for how many threads scratch
    /// memory is asked.
    package init(
        _ shape: ConvolutionShape, weights: Bytes, weightScales: [Float], bias: [Float]?, minimum: Float,
        maximum: Float, asymmetric: Bool, cache: PackedWeightCache, threads: Int = 4
    ) throws(Failure) {
        try shape.checkDepthwise()
        let (taps, channels) = (shape.taps, shape.outputChannels)
        try expect(weights, "weights", count: taps * channels, size: 1)
        let scales = try eachChannel(weightScales, channels)
        let form: Sentence = "hybrid_depthwise \(taps)x\(channels) \(digest(scales))"
        let floats = try cache.derived(weights, form: form) { () throws(Failure) in
            try allocatePacked(taps * channels * 4) { to in
                let from = weights.baseAddress.assumingMemoryBound(to: Int8.self)
                let to = to.assumingMemoryBound(to: Float.self)
                for tap in 0..<taps {
                    for channel in 0..<channels {
                        to[tap * channels + channel] = Float(from[tap * channels + channel]) * scales[channel]
                    }
                }
            }
        }
        var image = shape
        image.batch = 1
        let biasBytes: Bytes? = if let bias { try Bytes(copying: bias) } else { nil }
        convolution = try FloatDepthwise(
            image, weights: Bytes(floats), bias: biasBytes, minimum: minimum, maximum: maximum, cache: cache,
            threads: threads)
        images = shape.batch
        imageOutputs = image.outputCount
        quantizer = DynamicRangeQuantizer(rows: 1, length: image.inputCount, asymmetric: asymmetric)
        roundedBytes = (image.inputCount * 4 + 63) / 64 * 64
        scratchByteCount = quantizer.byteCount + roundedBytes + convolution.scratchByteCount
    }

    /// `input` and `output`: NHWC. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<Float>, _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        let length = quantizer.length
        precondition(input.count >= length * images && output.count >= imageOutputs * images)
        precondition(scratch.count >= quantizer.byteCount + roundedBytes)
        input.withUnsafeBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                scratch.withUnsafeMutableBufferPointer { scratch in
                    for image in 0..<images {
                        let rounded = UnsafeMutableRawPointer(scratch.baseAddress! + quantizer.byteCount)
                            .assumingMemoryBound(to: Float.self)
                        quantizer.run(
                            input.baseAddress! + image * length, scratch.baseAddress!, rounded: rounded, pool: pool)
                        var result = MutableSpan<Float>(
                            _unsafeElements: UnsafeMutableBufferPointer(
                                rebasing: output[(image * imageOutputs)..<((image + 1) * imageOutputs)]))
                        var rest = MutableSpan<UInt8>(
                            _unsafeElements: UnsafeMutableBufferPointer(
                                rebasing: scratch[(quantizer.byteCount + roundedBytes)...]))
                        convolution.run(
                            Span<Float>(_unsafeStart: rounded, count: length), &result, scratch: &rest,
                            finish: finish.advanced(by: image * imageOutputs * 4), pool: pool)
                    }
                }
            }
        }
    }
}
