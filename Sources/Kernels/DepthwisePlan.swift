import CKernels
import CPlatform
import Model

/// A depthwise convolution with one output channel per input channel, everything decided but the addresses.
struct DepthwisePlan: LayerPlan {
    var context: eo_depthwise
    let inputCount: Int
    let outputCount: Int
    let slots: Int
    /// A pixel of padding values.
    let padding: Storage

    init(
        _ shape: ConvolutionShape, run: @escaping @convention(c) (UnsafePointer<eo_depthwise_run>) -> Void,
        lines: (@convention(c) (UnsafePointer<eo_f32_depthwise_lines>) -> Void)? = nil,
        elementSizes: (input: Int, output: Int), padding value: UInt8 = 0, slots: Int
    ) throws(Failure) {
        context = eo_depthwise()
        context.window = shape.window
        context.input_element_size = elementSizes.input
        context.output_element_size = elementSizes.output
        context.run = run
        context.lines = lines
        context.slot_size =
            lines == nil ? eo_depthwise_slot_size(&context.window) : EO_DEPTHWISE_SCRATCH
        padding = try Storage.allocate(shape.inputChannels * elementSizes.input)
        let base = UnsafeMutableRawPointer(mutating: Bytes(padding).baseAddress)
        memset(base, Int32(value), padding.count)
        context.padding = UnsafeRawPointer(base)
        inputCount = shape.inputCount
        outputCount = shape.outputCount
        self.slots = slots
    }

    var scratchByteCount: Int { context.slot_size * slots }
    var inputBytes: Int { inputCount * context.input_element_size }
    var outputBytes: Int { outputCount * context.output_element_size }

    func run(
        input: UnsafeRawPointer?, output: UnsafeMutableRawPointer?, weights: UnsafeRawPointer,
        parameters: UnsafeRawPointer, finish: eo_finish = eo_finish(), scratch: UnsafeMutableRawBufferPointer,
        pool: ThreadPool
    ) {
        precondition(scratch.count >= context.slot_size, "scratch memory of a depthwise convolution is too small")
        var context = context
        context.input = input
        context.output = output
        context.weights = weights
        context.parameters = parameters
        context.finish = finish
        context.scratch = scratch.baseAddress
        let units = eo_depthwise_start(&context, min(pool.threadCount, scratch.count / context.slot_size))
        let workers = context.workers
        withUnsafePointer(to: &context) { job in
            pool.run(units, workers: workers, job) { context, unit, worker in
                eo_depthwise_work(context.assumingMemoryBound(to: eo_depthwise.self), unit, worker)
            }
        }
    }
}

extension ConvolutionShape {
    /// DEPTHWISE_CONV_2D with several output channels per input channel is a convolution with a group per channel.
    var grouped: ConvolutionShape {
        var shape = self
        shape.groups = inputChannels
        return shape
    }

    func checkDepthwise() throws(Failure) {
        guard inputChannels > 0, outputChannels % inputChannels == 0 else {
            throw .invalidModel(
                "depthwise convolution: \(outputChannels) output channels are no multiple of \(inputChannels) input "
                    + "channels")
        }
        try grouped.check()
    }

    /// Weights [taps][outputChannels] of DEPTHWISE_CONV_2D in the order of CONV_2D, [outputChannels][taps].
    func channelMajor(_ weights: Bytes, elementSize: Int, cache: PackedWeightCache) throws(Failure) -> Bytes {
        try cache.transposed(weights, rows: taps, columns: outputChannels, elementSize: elementSize)
    }
}
