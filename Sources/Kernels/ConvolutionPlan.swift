import CKernels
import Model

extension ConvolutionShape {
    /// Refuses geometry that the kernels cannot run: everything positive, groups that divide the channels, sizes whose
    /// products are numbers.
    func check() throws(Failure) {
        let positive = [
            batch, inputHeight, inputWidth, inputChannels, outputHeight, outputWidth, outputChannels, kernelHeight,
            kernelWidth, strideHeight, strideWidth, dilationHeight, dilationWidth, groups,
        ]
        let limit = 1 << 31
        guard positive.allSatisfy({ $0 > 0 && $0 < limit }), (0..<limit).contains(paddingTop),
            (0..<limit).contains(paddingLeft)
        else { throw .invalidModel("convolution: sizes must be positive and below 2^31: \(self.described)") }
        guard inputChannels % groups == 0, outputChannels % groups == 0 else {
            throw .invalidModel("convolution: \(groups) groups do not divide the channels: \(self.described)")
        }
        // 2^48 elements are more than any memory holds, and leave room for the products formed from them.
        for factors in [
            [batch, inputHeight, inputWidth, inputChannels], [batch, outputHeight, outputWidth, outputChannels],
            [kernelHeight, kernelWidth, inputChannels, outputChannels],
        ] {
            var product = 1
            for factor in factors {
                let (value, overflow) = product.multipliedReportingOverflow(by: factor)
                guard !overflow, value < 1 << 48 else {
                    throw .invalidModel("convolution: too large: \(self.described)")
                }
                product = value
            }
        }
    }

    private var described: String {
        "\(batch)x\(inputHeight)x\(inputWidth)x\(inputChannels) -> "
            + "\(batch)x\(outputHeight)x\(outputWidth)x\(outputChannels), kernel \(kernelHeight)x\(kernelWidth), "
            + "stride \(strideHeight)x\(strideWidth), dilation \(dilationHeight)x\(dilationWidth), \(groups) groups"
    }

    var inputCount: Int { batch * inputHeight * inputWidth * inputChannels }
    var outputCount: Int { batch * outputHeight * outputWidth * outputChannels }
    /// Products per output element of CONV_2D.
    var depth: Int { taps * (inputChannels / groups) }
    var groupOutputs: Int { outputChannels / groups }

    /// Rows of the product are pixels of the input as they lie.
    var isPointwise: Bool {
        taps == 1 && strideHeight == 1 && strideWidth == 1 && paddingTop == 0 && paddingLeft == 0
            && outputHeight == inputHeight && outputWidth == inputWidth
    }

    var window: eo_window {
        eo_window(
            batch: batch, input_height: inputHeight, input_width: inputWidth, input_channels: inputChannels / groups,
            output_height: outputHeight, output_width: outputWidth, output_channels: groupOutputs,
            kernel_height: kernelHeight, kernel_width: kernelWidth, stride_height: strideHeight,
            stride_width: strideWidth, dilation_height: dilationHeight, dilation_width: dilationWidth,
            padding_top: paddingTop, padding_left: paddingLeft, groups: groups)
    }
}

/// A convolution as matrix product with everything decided but the addresses.
struct ConvolutionPlan {
    var context: eo_convolution
    let inputCount: Int
    let outputCount: Int
    let slots: Int

    /// `direct`: the kernel may read its rows straight from the image if the shape is pointwise. `slots`: how many
    /// threads get scratch memory to gather rows in.
    init(
        _ shape: ConvolutionShape, run: @escaping eo_gemm_function_pointer, mr: Int32, nr: Int32, depth: Int,
        blockSize: Int, elementSizes: (input: Int, output: Int), direct: Bool, padding: UInt8 = 0, flip: UInt8 = 0,
        slots: Int
    ) {
        context = eo_convolution()
        context.window = shape.window
        context.input_element_size = elementSizes.input
        context.output_element_size = elementSizes.output
        context.run = run
        context.mr = Int(mr)
        context.nr = Int(nr)
        context.depth = depth
        context.block_size = blockSize
        context.group_size = (shape.groupOutputs + Int(nr) - 1) / Int(nr) * blockSize
        context.padding = padding
        context.flip = flip
        if !(direct && shape.isPointwise) {
            context.gather = eo_gather_best().pointee.run
            // Whole cache lines, and no multiple of the 4096 bytes after which addresses share a set of the cache.
            let lines = (depth * elementSizes.input + 63) / 64
            context.row_stride = (lines % 16 == 0 ? lines + 1 : lines) * 64
            context.slot_size = context.row_stride * context.mr
        }
        inputCount = shape.inputCount
        outputCount = shape.outputCount
        self.slots = slots
    }

    var scratchByteCount: Int { context.slot_size * slots }

    /// Runs on the threads of `pool`, on as many as there is scratch memory for.
    func run(
        input: UnsafeRawPointer?, output: UnsafeMutableRawPointer?, weights: UnsafeRawPointer,
        parameters: UnsafeRawPointer, rowParameters: (UnsafeRawPointer, size: Int)? = nil,
        scratch: UnsafeMutableRawBufferPointer, pool: ThreadPool
    ) {
        var context = context
        context.input = input
        context.output = output
        context.weights = weights
        context.parameters = parameters
        context.row_parameters = rowParameters?.0
        context.row_parameters_size = rowParameters?.size ?? 0
        context.scratch = scratch.baseAddress
        var workers = pool.threadCount
        if context.slot_size > 0 {
            precondition(scratch.count >= context.slot_size, "scratch memory of a convolution is too small")
            workers = min(workers, scratch.count / context.slot_size)
        }
        withUnsafeMutablePointer(to: &context) { context in
            pool.run(eo_convolution_start(context, workers), context) { context, worker in
                eo_convolution_work(
                    UnsafeMutableRawPointer(mutating: context).assumingMemoryBound(to: eo_convolution.self), worker)
            }
        }
    }
}

typealias eo_gemm_function_pointer = @convention(c) (UnsafePointer<eo_gemm_tile>) -> Void

/// FNV-1a: tells packed forms apart that hold different folded constants.
func digest(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return hash
}

func digest(_ bytes: Bytes?) -> UInt64 {
    guard let bytes else { return 0 }
    return digest(UnsafeRawBufferPointer(start: bytes.baseAddress, count: bytes.count))
}
