import CKernels
import Model

/// CONV_2D and FULLY_CONNECTED over float32 tensors, computed in bfloat16: activations and weights are rounded to it (to
/// nearest, ties to even), products are summed in float32. The bits depend on the instruction set only. Instances are
/// immutable: any thread.
package final class BfloatConvolution: @unchecked Sendable {
    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package var scratchByteCount: Int { imageBytes + plan.scratchByteCount }

    private let plan: ConvolutionPlan
    private let packed: Storage
    private let parameters: eo_f32_gemm_parameters
    /// The input in bfloat16, a multiple of 64.
    private let imageBytes: Int

    /// Does this machine multiply bfloat16 faster than float32?
    package static var isFast: Bool { eo_bf16_gemm_best().pointee.isa != ISA_SCALAR }

    /// As `FloatConvolution`.
    package init(
        _ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, minimum: Float, maximum: Float,
        cache: PackedWeightCache, threads: Int = 4
    ) throws(Failure) {
        try shape.check()
        try expect(weights, "weights", count: shape.outputChannels * shape.depth, size: 4)
        if let bias { try expect(bias, "bias", count: shape.outputChannels, size: 4) }
        let kernel = eo_bf16_gemm_best()
        let (isa, nr) = (kernel.pointee.isa, kernel.pointee.nr)
        let (depth, outputs) = (shape.depth, shape.groupOutputs)
        plan = ConvolutionPlan(
            shape, run: kernel.pointee.run, mr: kernel.pointee.mr, nr: nr,
            blockSize: eo_bf16_gemm_packed_size(kernel, depth, 1),
            rows: .init(inputSize: 2, outputSize: 4, multiple: 2), slots: threads)
        imageBytes = (shape.inputCount * 2 + 63) / 64 * 64
        let groupSize = plan.context.group_size
        let form: Sentence =
            "bf16_gemm \(Int(isa.rawValue)) \(nr) \(depth)x\(outputs)x\(shape.groups) \(digest(bias))"
        packed = try cache.packed(weights, form: form, count: groupSize * shape.groups) { base in
            for group in 0..<shape.groups {
                eo_bf16_gemm_pack(
                    kernel, depth, outputs, weights.baseAddress + group * outputs * depth * 4,
                    bias.map { $0.baseAddress + group * outputs * 4 }, base + group * groupSize)
            }
        }
        parameters = eo_f32_gemm_parameters(minimum: minimum, maximum: maximum)
        kernelName = String(cString: kernel.pointee.name)
    }

    /// `input` and `output`: NHWC. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<Float>, _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        precondition(input.count >= plan.inputCount && output.count >= plan.outputCount)
        precondition(scratch.count >= imageBytes, "scratch memory of a convolution is too small")
        withUnsafePointer(to: parameters) { parameters in
            input.withUnsafeBufferPointer { input in
                output.withUnsafeMutableBufferPointer { output in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        let memory = UnsafeMutableRawBufferPointer(scratch)
                        round(input.baseAddress!, memory.baseAddress!, pool)
                        plan.run(
                            input: memory.baseAddress, output: output.baseAddress,
                            weights: Bytes(packed).baseAddress, parameters: parameters, finish: finish.raw,
                            scratch: UnsafeMutableRawBufferPointer(rebasing: memory[imageBytes...]), pool: pool)
                    }
                }
            }
        }
    }

    private struct Rounding {
        let kernel: eo_f32_to_bf16_kernel
        let x: UnsafePointer<Float>
        let y: UnsafeMutablePointer<UInt16>
        let count: Int
    }

    private func round(_ x: UnsafePointer<Float>, _ y: UnsafeMutableRawPointer, _ pool: ThreadPool) {
        let job = Rounding(
            kernel: eo_f32_to_bf16_best().pointee, x: x, y: y.assumingMemoryBound(to: UInt16.self),
            count: plan.inputCount)
        withUnsafePointer(to: job) { job in
            pool.run((plan.inputCount + elementsPerPiece - 1) / elementsPerPiece, job) { context, piece, _ in
                let job = context.assumingMemoryBound(to: Rounding.self).pointee
                let start = piece * elementsPerPiece
                job.kernel.run(min(elementsPerPiece, job.count - start), job.x + start, job.y + start)
            }
        }
    }
}
