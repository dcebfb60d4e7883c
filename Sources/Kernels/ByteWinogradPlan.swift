import CKernels

/// An 8-bit convolution with 3x3 kernels by Winograd's minimal filtering, everything decided but the addresses; see
/// u8_winograd.h. The same bits as `ConvolutionPlan`'s.
struct ByteWinogradPlan: LayerPlan {
    let context: eo_u8_winograd
    let inputBytes: Int
    let outputBytes: Int
    let slots: Int

    /// `slots`: how many threads get scratch memory.
    init(_ shape: ConvolutionShape, _ zero: ByteZeroPoints, slots: Int) {
        var context = eo_u8_winograd()
        context.window = shape.window
        context.run = eo_u8_winograd_best().pointee.run
        context.padding = zero.padding
        context.flip = zero.activationFlip
        eo_u8_winograd_plan(&context)
        self.context = context
        (inputBytes, outputBytes) = (shape.inputCount, shape.outputCount)
        self.slots = slots
    }

    static var kernelName: String { String(cString: eo_u8_winograd_best().pointee.name) }
    var scratchByteCount: Int { context.slot_size * slots }

    func run(
        input: UnsafeRawPointer?, output: UnsafeMutableRawPointer?, weights: UnsafeRawPointer,
        parameters: UnsafeRawPointer, finish: eo_finish, scratch: UnsafeMutableRawBufferPointer, pool: ThreadPool
    ) {
        precondition(scratch.count >= context.slot_size, "scratch memory of a convolution is too small")
        var context = context
        context.input = input
        context.output = output
        context.weights = weights
        context.parameters = parameters
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
