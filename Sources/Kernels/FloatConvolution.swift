import CKernels
import Model

/// CONV_2D and FULLY_CONNECTED in float32, with groups. Each output is clamp(bias + sum of products), summed in the
/// order of the weights or, where that is faster, by Winograd's transform or by parts of bfloat16 on tiles; its bits
/// depend on the instruction set only. Instances are immutable: any thread.
package final class FloatConvolution: @unchecked Sendable {
    /// Which micro-kernel runs: "eo_f32_gemm_14x32__avx512".
    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package let scratchByteCount: Int

    /// Not copied when it runs.
    private enum Form: ~Copyable {
        case direct(ConvolutionPlan, Storage)
        case winograd(WinogradPlan)
    }
    private let form: Form
    private let parameters: eo_f32_gemm_parameters
    private let inputCount: Int
    private let outputCount: Int

    /// This layer, followed by `finish`, as a part of a cascade; nil: it cannot be one.
    package func stage(_ finish: Finish) throws(Failure) -> CascadeStage? {
        switch form {
        case .direct(let plan, let packed): try .of(plan, packed, parameters, finish)
        case .winograd: nil
        }
    }

    /// `weights`: OHWI float32 [outputChannels, kernelHeight, kernelWidth, inputChannels / groups]; `bias`: float32
    /// [outputChannels] or nil. `threads`: how many threads scratch memory is asked for. `method`: nil: the one thought
    /// fastest.
    package init(
        _ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, minimum: Float, maximum: Float,
        cache: PackedWeightCache, threads: Int = 4, method: Method? = nil
    ) throws(Failure) {
        try shape.check()
        try expect(weights, "weights", count: shape.outputChannels * shape.depth, size: 4)
        if let bias { try expect(bias, "bias", count: shape.outputChannels, size: 4) }
        (inputCount, outputCount) = (shape.inputCount, shape.outputCount)
        parameters = eo_f32_gemm_parameters(minimum: minimum, maximum: maximum)
        if let plan = try WinogradPlan(
            shape, weights: weights, bias: bias, clamp: parameters, tile: method?.tile, cache: cache, slots: threads)
        {
            form = .winograd(plan)
            kernelName = plan.kernelName
            scratchByteCount = plan.scratchByteCount
            return
        }
        let (depth, outputs) = (shape.depth, shape.groupOutputs)
        let product = (method.map { $0 == .parts } ?? shape.isFasterInParts) ? FloatProduct.parts : .floats
        // Of weights that are packed already it is known, and they need not be read.
        if !product.isPacked(shape, weights: weights, bias: bias, cache: cache),
            let groups = try Self.sparseGroups(shape, weights)
        {
            let kernel = eo_f32_sparse_best().pointee
            let plan = ConvolutionPlan(
                shape, run: kernel.run, mr: kernel.mr, nr: kernel.nr, blockSize: MemoryLayout<eo_sparse_block>.stride,
                rows: .init(inputSize: 4, outputSize: 4), slots: threads)
            let size = eo_f32_sparse_packed_size(outputs, groups)
            let name: Sentence = "f32_sparse \(depth)x\(outputs) \(digest(bias))"
            let packed = try cache.packed(weights, form: name, count: size) { base in
                eo_f32_sparse_pack(depth, outputs, weights.baseAddress, bias?.baseAddress, base)
            }
            form = .direct(plan, packed)
            scratchByteCount = plan.scratchByteCount
            kernelName = String(cString: kernel.name)
            return
        }
        let plan = product.plan(shape, slots: threads)
        form = .direct(plan, try product.pack(shape, weights: weights, bias: bias, cache: cache))
        scratchByteCount = plan.scratchByteCount
        kernelName = product.name
    }

    /// How many groups of weights are not zero, where their product is the faster one: pointwise, with about half of the
    /// groups zero or more. There is no kernel for them that is fast without vectors.
    private static func sparseGroups(_ shape: ConvolutionShape, _ weights: Bytes) throws(Failure) -> Int? {
        guard shape.isPointwise, shape.groups == 1, shape.depth >= 32, shape.depth < 1 << 31,
            shape.outputChannels >= 16, eo_f32_sparse_best().pointee.isa != ISA_SCALAR
        else { return nil }
        try weights.compute()
        let all = (shape.outputChannels + Int(EO_SPARSE_COLUMNS) - 1) / Int(EO_SPARSE_COLUMNS) * shape.depth
        let groups = eo_f32_sparse_groups(shape.depth, shape.outputChannels, weights.baseAddress, all * 11 / 20)
        return groups <= all * 11 / 20 ? groups : nil
    }

    /// `input` and `output`: NHWC. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<Float>, _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        switch form {
        case .direct(let plan, let packed):
            plan.run(input, &output, packed, parameters, scratch: &scratch, finish: finish, pool: pool)
        case .winograd(let plan):
            precondition(input.count >= inputCount && output.count >= outputCount)
            input.withUnsafeBufferPointer { input in
                output.withUnsafeMutableBufferPointer { output in
                    scratch.withUnsafeMutableBytes { scratch in
                        plan.run(
                            input: input.baseAddress, output: output.baseAddress, finish: finish.raw, scratch: scratch,
                            pool: pool)
                    }
                }
            }
        }
    }
}
