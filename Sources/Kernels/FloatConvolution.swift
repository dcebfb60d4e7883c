import CKernels
import Model

/// CONV_2D and FULLY_CONNECTED in float32, with groups. Each output is clamp(bias + sum of products), summed in the
/// order of the weights, so its bits depend on the instruction set only. Instances are immutable: any thread.
package final class FloatConvolution: @unchecked Sendable {
    /// Which micro-kernel runs: "eo_f32_gemm_14x32__avx512".
    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package var scratchByteCount: Int { plan.scratchByteCount }

    private let plan: ConvolutionPlan
    private let packed: Storage
    private let parameters: eo_f32_gemm_parameters

    /// `weights`: OHWI float32 [outputChannels, kernelHeight, kernelWidth, inputChannels / groups]; `bias`: float32
    /// [outputChannels] or nil. `threads`: how many threads scratch memory is asked for.
    package init(
        _ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, minimum: Float, maximum: Float,
        cache: PackedWeightCache, threads: Int = 4
    ) throws(Failure) {
        try shape.check()
        try expect(weights, "weights", count: shape.outputChannels * shape.depth, size: 4)
        if let bias { try expect(bias, "bias", count: shape.outputChannels, size: 4) }
        let kernel = eo_f32_gemm_best().pointee
        let (depth, outputs) = (shape.depth, shape.groupOutputs)
        plan = ConvolutionPlan(
            shape, run: kernel.run, mr: kernel.mr, nr: kernel.nr,
            blockSize: eo_f32_gemm_packed_size(kernel.nr, depth, 1), rows: .init(inputSize: 4, outputSize: 4, pieces: true),
            slots: threads)
        let groupSize = plan.context.group_size
        let form: Sentence = "f32_gemm \(kernel.nr) \(depth)x\(outputs)x\(shape.groups) \(digest(bias))"
        packed = try cache.packed(weights, form: form, count: groupSize * shape.groups) { base in
            for group in 0..<shape.groups {
                eo_f32_gemm_pack(
                    kernel.nr, depth, outputs, weights.baseAddress + group * outputs * depth * 4,
                    bias.map { $0.baseAddress + group * outputs * 4 }, base + group * groupSize)
            }
        }
        parameters = eo_f32_gemm_parameters(minimum: minimum, maximum: maximum)
        kernelName = String(cString: kernel.name)
    }

    /// `input` and `output`: NHWC. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<Float>, _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        precondition(input.count >= plan.inputCount && output.count >= plan.outputCount)
        withUnsafePointer(to: parameters) { parameters in
            input.withUnsafeBufferPointer { input in
                output.withUnsafeMutableBufferPointer { output in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        plan.run(
                            input: input.baseAddress, output: output.baseAddress, weights: Bytes(packed).baseAddress,
                            parameters: parameters, scratch: UnsafeMutableRawBufferPointer(scratch), pool: pool)
                    }
                }
            }
        }
    }
}
