import CKernels
import Model

/// DEPTHWISE_CONV_2D in float32 with one filter for each channel, packed when it runs. Immutable: any thread.
package final class LiveDepthwise: @unchecked Sendable {
    package let kernelName: String
    package let scratchByteCount: Int

    private let shape: ConvolutionShape
    private let plan: DepthwisePlan
    private let packedBytes: Int
    private let parameters: eo_f32_gemm_parameters

    package init(
        _ shape: ConvolutionShape, minimum: Float, maximum: Float, threads: Int
    ) throws(Failure) {
        try shape.checkDepthwise()
        let kernel = eo_f32_depthwise_best().pointee
        plan = try DepthwisePlan(shape, run: kernel.run, elementSizes: (4, 4), slots: threads)
        packedBytes = (eo_f32_depthwise_packed_size(shape.taps, shape.outputChannels) + 63) / 64 * 64
        scratchByteCount = packedBytes + plan.scratchByteCount
        kernelName = String(cString: kernel.name)
        parameters = eo_f32_gemm_parameters(minimum: minimum, maximum: maximum)
        self.shape = shape
    }

    /// `input` and `output`: NHWC; `weights`: [taps][channels]. `scratch`: of `scratchByteCount` bytes, 64-byte aligned.
    package func run(
        _ input: Span<Float>, weights: Span<Float>, bias: Span<Float>?, _ output: inout MutableSpan<Float>,
        scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        precondition(input.count >= plan.inputCount && output.count >= plan.outputCount)
        precondition(scratch.count >= scratchByteCount && weights.count >= shape.taps * shape.outputChannels)
        precondition(bias == nil || (bias?.count ?? 0) >= shape.outputChannels)
        scratch.withUnsafeMutableBufferPointer { scratch in
            let packed = UnsafeMutableRawPointer(scratch.baseAddress!)
            weights.withUnsafeBufferPointer { weights in
                if let bias {
                    bias.withUnsafeBufferPointer { pack(weights.baseAddress!, $0.baseAddress, packed) }
                } else {
                    pack(weights.baseAddress!, nil, packed)
                }
            }
            withUnsafePointer(to: parameters) { parameters in
                input.withUnsafeBufferPointer { input in
                    output.withUnsafeMutableBufferPointer { output in
                        plan.run(
                            input: input.baseAddress, output: output.baseAddress, weights: packed,
                            parameters: parameters,
                            scratch: UnsafeMutableRawBufferPointer(
                                start: packed + packedBytes, count: scratch.count - packedBytes), pool: pool)
                    }
                }
            }
        }
    }

    private func pack(
        _ weights: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?, _ packed: UnsafeMutableRawPointer
    ) {
        eo_f32_depthwise_pack(shape.taps, shape.outputChannels, weights, bias, packed)
    }
}
