import CKernels
import Model

/// An 8-bit convolution with 3x3 kernels by Winograd's minimal filtering, everything decided but the addresses; see
/// u8_winograd.h. The same bits as `ConvolutionPlan`'s.
struct ByteWinogradPlan: LayerPlan {
    let context: eo_u8_winograd
    let inputBytes: Int
    let outputBytes: Int
    let slots: Int

    /// Of bytes with these zero points; nil: of dynamic range, whose results are floats. `slots`: how many threads get
    /// scratch memory.
    init(_ shape: ConvolutionShape, _ zero: ByteZeroPoints?, slots: Int) {
        var context = eo_u8_winograd()
        context.window = shape.window
        context.run = eo_u8_winograd_best().pointee.run
        if let zero { (context.padding, context.flip) = (zero.padding, zero.activationFlip) }
        eo_u8_winograd_plan(&context)
        self.context = context
        (inputBytes, outputBytes) = (shape.inputCount, shape.outputCount * (zero == nil ? 4 : 1))
        self.slots = slots
    }

    /// The plan and its weights; nil: sums may be too large for it. `bias`: of dynamic range. `form`: all that packing
    /// depends on. `withSource`: calls what it gets with the weights as the file has them.
    static func packing(
        _ shape: ConvolutionShape, _ weights: Bytes, _ zero: ByteZeroPoints?, bias: [Float]?, form: Sentence,
        _ cache: PackedWeightCache, slots: Int, withSource: ((inout eo_u8_gemm_weights) -> Void) -> Void
    ) throws(Failure) -> (ByteWinogradPlan, Storage)? {
        let (inputs, outputs) = (shape.inputChannels, shape.outputChannels)
        let size = eo_u8_winograd_packed_size(inputs, outputs, bias != nil)
        if !cache.isPacked(weights, form: form, count: size) {
            try weights.compute()
            var (window, fits) = (shape.window, false)
            withSource { fits = eo_u8_winograd_fits(&window, &$0) }
            guard fits else { return nil }
        }
        let packed = try cache.packed(weights, form: form, count: size) { base in
            withSource { source in
                if let bias {
                    bias.withUnsafeBufferPointer { eo_u8_winograd_pack(inputs, &source, $0.baseAddress, base) }
                } else {
                    eo_u8_winograd_pack(inputs, &source, nil, base)
                }
            }
        }
        return (ByteWinogradPlan(shape, zero, slots: slots), packed)
    }

    static var kernelName: String { String(cString: eo_u8_winograd_best().pointee.name) }
    var scratchByteCount: Int { context.slot_size * slots }

    func run(
        input: UnsafeRawPointer?, output: UnsafeMutableRawPointer?, weights: UnsafeRawPointer,
        parameters: UnsafeRawPointer, finish: eo_finish, scratch: UnsafeMutableRawBufferPointer, pool: ThreadPool
    ) {
        run(
            input: input, output: output, weights: weights, parameters: parameters, grid: nil, finish: finish,
            scratch: scratch, pool: pool)
    }

    /// `grid`: what all of the input was quantized with.
    func run(
        input: UnsafeRawPointer?, output: UnsafeMutableRawPointer?, weights: UnsafeRawPointer,
        parameters: UnsafeRawPointer, grid: UnsafePointer<eo_hybrid_row>?, finish: eo_finish,
        scratch: UnsafeMutableRawBufferPointer, pool: ThreadPool
    ) {
        precondition(scratch.count >= context.slot_size, "scratch memory of a convolution is too small")
        var context = context
        context.input = input
        context.output = output
        context.weights = weights
        context.parameters = parameters
        context.grid = grid
        context.finish = finish
        context.scratch = scratch.baseAddress
        let units = eo_u8_winograd_start(&context, min(pool.threadCount, scratch.count / context.slot_size))
        let workers = context.workers
        withUnsafePointer(to: context) { job in
            pool.run(units, workers: workers, job) { context, unit, worker in
                eo_u8_winograd_work(context.assumingMemoryBound(to: eo_u8_winograd.self), unit, worker)
            }
        }
    }
}
