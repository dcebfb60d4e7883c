import CKernels
import Model

/// A float convolution with 3x3 kernels by Winograd's minimal filtering, everything decided but the addresses; see
/// winograd.h.
struct WinogradPlan {
    let context: eo_winograd
    let packed: Storage
    let slots: Int

    /// nil where the definition is as fast, or `tile` is 0; `tile`: the m to take, nil: the one thought fastest.
    /// `weights`: OHWI float32; `slots`: how many threads get scratch memory.
    init?(
        _ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, clamp: eo_f32_gemm_parameters, tile: Int? = nil,
        cache: PackedWeightCache, slots: Int
    ) throws(Failure) {
        guard let context = Self.context(shape.window, clamp: clamp, tile: tile) else { return nil }
        let nr = Int32(context.nr)
        let (m, inputs, outputs) = (context.m, shape.inputChannels, shape.outputChannels)
        let form: Sentence = "winograd \(m) \(nr) \(inputs)x\(outputs) \(digest(bias))"
        let size = eo_winograd_packed_size(nr, m, inputs, outputs)
        packed = try cache.packed(weights, form: form, count: size) {
            eo_winograd_pack(nr, m, inputs, outputs, weights.baseAddress, bias?.baseAddress, $0)
        }
        self.context = context
        self.slots = slots
    }

    /// nil where the definition is as fast; `tile` as above.
    static func context(_ window: eo_window, clamp: eo_f32_gemm_parameters, tile: Int? = nil) -> eo_winograd? {
        var context = eo_winograd()
        context.window = window
        context.m = tile ?? eo_winograd_size(&context.window)
        guard context.m > 0 else { return nil }
        let kernel = eo_f32_gemm_best().pointee
        context.run = kernel.run
        (context.mr, context.nr) = (Int(kernel.mr), Int(kernel.nr))
        context.transform_input = eo_winograd_input_best().pointee.run
        context.transform_output = eo_winograd_output_best().pointee.run
        context.parameters = clamp
        eo_winograd_plan(&context)
        return context
    }

    var scratchByteCount: Int { context.slot_size * slots }
    var kernelName: String { Self.name(context) }

    static func name(_ context: eo_winograd) -> String { "eo_winograd_\(context.m)x\(context.m)" }

    /// Runs on the threads of `pool`, on as many as there is scratch memory for.
    func run(
        input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?, finish: eo_finish,
        scratch: UnsafeMutableRawBufferPointer, pool: ThreadPool
    ) {
        Self.run(
            context, input: input, output: output, finish: finish,
            weights: Bytes(packed).baseAddress.assumingMemoryBound(to: Float.self), scratch: scratch, pool: pool)
    }

    static func run(
        _ context: eo_winograd, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?,
        finish: eo_finish, weights: UnsafePointer<Float>, scratch: UnsafeMutableRawBufferPointer, pool: ThreadPool
    ) {
        precondition(scratch.count >= context.slot_size, "scratch memory of a convolution is too small")
        var context = context
        context.input = input
        context.output = output
        context.finish = finish
        context.weights = weights
        context.scratch = scratch.baseAddress
        let workers = min(pool.threadCount, scratch.count / context.slot_size)
        let units = eo_winograd_start(&context, workers)
        withUnsafePointer(to: context) { job in
            pool.run(units, workers: context.workers, job) { context, unit, worker in
                eo_winograd_work(context.assumingMemoryBound(to: eo_winograd.self), unit, worker)
            }
        }
    }
}
