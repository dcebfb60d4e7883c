import CKernels
import Model

/// CONV_2D and FULLY_CONNECTED over float32 tensors, computed in bfloat16: activations and weights are rounded to it (to
/// nearest, ties to even), products are summed in float32. Activations can be bfloat16 in memory too. The bits depend on
/// the instruction set only. Instances are immutable: any thread.
package final class BfloatConvolution: @unchecked Sendable {
    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package var scratchByteCount: Int { (image?.byteCount ?? 0) + plan.scratchByteCount }

    private let plan: ConvolutionPlan
    private let packed: Storage
    private let parameters: eo_f32_gemm_parameters
    /// The input rounded as a whole, where rows are read straight from it; nil: they are rounded when they are gathered.
    private let image: BfloatImage?
    private let inputBytes: Int

    /// Does this machine multiply bfloat16 faster than float32?
    package static var isFast: Bool { eo_bf16_gemm_best().pointee.isa != ISA_SCALAR }

    /// Shorter rows fill so little of a tile that gathering them costs more than it saves.
    package static func suits(_ shape: ConvolutionShape) -> Bool { shape.depth >= 24 }

    /// Which images can be bfloat16.
    package static func rounding(_ shape: ConvolutionShape) -> RoundedImages {
        var rounding = RoundedImages()
        (rounding.input, rounding.output) = (suits(shape), suits(shape))
        return rounding
    }

    /// As `FloatConvolution`. `rounded`: which images are bfloat16, the others float32.
    package init(
        _ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, minimum: Float, maximum: Float,
        rounded: RoundedImages = RoundedImages(), cache: PackedWeightCache, threads: Int = 4
    ) throws(Failure) {
        try shape.check()
        try expect(weights, "weights", count: shape.outputChannels * shape.depth, size: 4)
        if let bias { try expect(bias, "bias", count: shape.outputChannels, size: 4) }
        let kernel = eo_bf16_gemm_best()
        let (isa, nr) = (kernel.pointee.isa, kernel.pointee.nr)
        let (depth, outputs) = (shape.depth, shape.groupOutputs)
        var (read, lines, frame) = (shape, 0, nil as BfloatImage?)
        if rounded.input {
            lines = isa == ISA_AMX ? shape.pieces : 0
        } else if shape.taps > 1, let image = BfloatImage(shape, for: [shape]) {
            let framed = image.framed(shape)
            lines = isa == ISA_AMX ? framed.pieces : 0
            // Taps that do not end with a step of a tile are put together from what is rounded already.
            if lines > 0 || shape.inputChannels / shape.groups % Int(EO_BF16X3_STEP) != 0 {
                (read, frame) = (framed, image)
            }
        }
        image = frame
        let inTiles = frame == nil && !rounded.input
        let pieces = inTiles ? 0 : max(1, lines)
        plan = ConvolutionPlan(
            read, run: kernel.pointee.run, mr: kernel.pointee.mr, nr: nr,
            blockSize: eo_bf16_gemm_packed_size(kernel, depth, pieces),
            rows: inTiles
                ? .init(inputSize: 4, outputSize: rounded.outputSize, multiple: Int(EO_BF16X3_STEP), rounded: true)
                : .init(inputSize: 2, outputSize: rounded.outputSize, multiple: 2, byLines: lines), slots: threads)
        inputBytes = shape.inputCount * rounded.inputSize
        let groupSize = plan.context.group_size
        let form: Sentence =
            "bf16_gemm \(Int(isa.rawValue)) \(nr) \(depth)x\(outputs)x\(shape.groups) \(pieces) \(digest(bias))"
        packed = try cache.packed(weights, form: form, count: groupSize * shape.groups) { base in
            for group in 0..<shape.groups {
                eo_bf16_gemm_pack(
                    kernel, depth, pieces, outputs, weights.baseAddress + group * outputs * depth * 4,
                    bias.map { $0.baseAddress + group * outputs * 4 }, base + group * groupSize)
            }
        }
        parameters = eo_f32_gemm_parameters(minimum: minimum, maximum: maximum)
        kernelName = String(cString: kernel.pointee.name)
    }

    /// This layer, followed by `finish`, as a part of a cascade; nil: it cannot be one.
    package func stage(_ finish: Finish) throws(Failure) -> CascadeStage? {
        image == nil && plan.context.call_lines == 0 ? try .of(plan, packed, parameters, finish) : nil
    }

    /// `input` and `output`: NHWC. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<UInt8>, _ output: inout MutableSpan<UInt8>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        precondition(input.count >= inputBytes && output.count >= plan.outputBytes)
        let imageBytes = image?.byteCount ?? 0
        precondition(scratch.count >= imageBytes, "scratch memory of a convolution is too small")
        withUnsafePointer(to: parameters) { parameters in
            input.withUnsafeBufferPointer { input in
                output.withUnsafeMutableBufferPointer { output in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        let memory = UnsafeMutableRawBufferPointer(scratch)
                        var rows = UnsafeRawPointer(input.baseAddress)
                        if let image, let rounded = rows, let base = memory.baseAddress {
                            image.cut(
                                rounded.assumingMemoryBound(to: Float.self), parts: 1, scale: nil,
                                base.assumingMemoryBound(to: UInt16.self), pool)
                            rows = UnsafeRawPointer(base)
                        }
                        plan.run(
                            input: rows, output: output.baseAddress, weights: Bytes(packed).baseAddress,
                            parameters: parameters, finish: finish.raw,
                            scratch: UnsafeMutableRawBufferPointer(rebasing: memory[imageBytes...]), pool: pool)
                    }
                }
            }
        }
    }
}
