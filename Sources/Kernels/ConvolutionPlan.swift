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

    var described: Sentence {
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

    /// Pieces of a row that a tile kernel takes straight from the image, 0 if it is better gathered.
    var pieces: Int {
        guard !isPointwise else { return 0 }
        var window = window
        return eo_convolution_pieces(&window)
    }

    /// The same for kernels whose pieces are whole words: 0 also for those that are not, and for those of few bytes,
    /// which take as long as many.
    func wholePieces(ofSize elementSize: Int) -> Int {
        let piece = kernelWidth * inputChannels * elementSize
        return piece % 4 == 0 && piece >= 48 ? pieces : 0
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

/// Which images of a float layer are bfloat16 in memory; the others are float32.
package struct RoundedImages: Sendable {
    package var input = false
    package var output = false
    package init() {}

    var inputSize: Int { input ? 2 : 4 }
    var outputSize: Int { output ? 2 : 4 }
}

/// A convolution as matrix product with everything decided but the addresses.
struct ConvolutionPlan: LayerPlan {
    var context: eo_convolution
    let inputCount: Int
    let outputCount: Int
    let slots: Int

    /// What a family of kernels wants of its rows.
    struct Rows {
        /// Bytes of an element in the image, and of one in the output.
        var inputSize: Int
        var outputSize: Int
        /// Rows are filled up with zeros to a multiple of so many elements.
        var multiple = 1
        /// Bytes are gathered as products of this instruction set take them.
        var isa: kernels_isa?
        /// Numbers of 16 bits come in halves.
        var split = false
        /// Floats come in three parts of bfloat16.
        var parts = false
        /// Floats come rounded to bfloat16, in tiles.
        var rounded = false
        /// The kernel takes rows in pieces, straight from the image.
        var pieces = false
        /// A tile kernel takes rows in so many pieces, line by line straight from the image; 0: it does not.
        var byLines = 0
        var padding: UInt8 = 0
        /// Xored into every byte.
        var flip: UInt8 = 0
    }

    /// What rows of dynamic range were quantized with, `stride` bytes apart.
    struct Grids {
        let rows: UnsafePointer<eo_hybrid_row>
        let stride: Int

        init(_ rows: UnsafePointer<eo_hybrid_row>, stride: Int) { (self.rows, self.stride) = (rows, stride) }
    }

    /// `blockSize`: bytes of packed weights for `nr` columns. `slots`: how many threads get scratch memory to gather
    /// rows in.
    init(
        _ shape: ConvolutionShape, run: @escaping @convention(c) (UnsafePointer<eo_gemm_tile>) -> Void, mr: Int32,
        nr: Int32, blockSize: Int, rows: Rows, slots: Int
    ) {
        context = eo_convolution()
        context.window = shape.window
        context.input_element_size = rows.inputSize
        context.output_element_size = rows.outputSize
        context.run = run
        context.nr = Int(nr)
        let pieces = max(1, rows.byLines)
        let depth = (shape.depth / pieces + rows.multiple - 1) / rows.multiple * rows.multiple * pieces
        context.depth = depth
        context.block_size = blockSize
        context.group_size = (shape.groupOutputs + Int(nr) - 1) / Int(nr) * blockSize
        context.fill = (depth - shape.depth) * rows.inputSize
        context.padding = rows.padding
        context.flip = rows.flip
        let size = rows.isa.map { eo_gemm_row_size($0, depth) } ?? depth * rows.inputSize
        let isStraight =
            rows.pieces || rows.byLines > 0
            || shape.isPointwise && size == shape.depth * rows.inputSize && !rows.split && rows.flip == 0
        context.parts = rows.parts ? Int(EO_BF16X3_PARTS) : rows.rounded ? 1 : 0
        if context.parts > 0 {
            context.gather = eo_gather_bf16x3_best().pointee.run
            context.row_stride = eo_bf16_row_size(context.depth) * context.parts
        } else if !isStraight {
            context.gather =
                rows.isa.map(eo_gather_for)
                ?? (rows.split ? eo_gather_split_best().pointee.run : eo_gather_best().pointee.run)
            // Whole cache lines, in each half too, and no multiple of the 4096 bytes after which addresses share a set of
            // the cache.
            let unit = rows.split ? 128 : 64
            let stride = (size + unit - 1) / unit * unit
            context.row_stride = stride % 1024 == 0 ? stride + unit : stride
        }
        context.mr = eo_convolution_rows(&context, Int(mr), slots)
        if context.parts > 0 {
            // Tiles come in pairs.
            let pair = 2 * Int(EO_BF16X3_SIDE)
            context.slot_size = context.row_stride * ((context.mr + pair - 1) / pair * pair)
        } else if context.gather != nil {
            context.gathered_tiles = eo_convolution_gathered(&context)
            context.slot_size = context.row_stride * context.mr * context.gathered_tiles
        }
        if rows.pieces && !shape.isPointwise { eo_convolution_segment(&context) }
        if rows.byLines > 0 { eo_convolution_by_lines(&context, rows.byLines, slots) }
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
        run(
            input: input, output: output, weights: weights, parameters: parameters, grids: nil, finish: finish,
            scratch: scratch, pool: pool)
    }

    /// `grids`: what each row was quantized with, the first one also what padding is.
    func run(
        input: UnsafeRawPointer?, output: UnsafeMutableRawPointer?, weights: UnsafeRawPointer,
        parameters: UnsafeRawPointer, grids: Grids?, finish: eo_finish, scratch: UnsafeMutableRawBufferPointer,
        pool: ThreadPool
    ) {
        var context = context
        if let grids {
            context.row_parameters = UnsafeRawPointer(grids.rows)
            context.row_parameters_stride = grids.stride
            context.padding = UInt8(grids.rows.pointee.zero_point) ^ context.flip
        }
        context.input = input
        context.output = output
        context.weights = weights
        context.parameters = parameters
        context.finish = finish
        context.scratch = scratch.baseAddress
        var workers = pool.threadCount
        if context.slot_size > 0 {
            precondition(scratch.count >= context.slot_size, "scratch memory of a convolution is too small")
            workers = min(workers, scratch.count / context.slot_size)
        }
        let units = eo_convolution_start(&context, workers)
        workers = context.workers
        withUnsafePointer(to: &context) { job in
            pool.run(units, workers: workers, job) { context, unit, worker in
                eo_convolution_work(context.assumingMemoryBound(to: eo_convolution.self), unit, worker)
            }
        }
    }
}

/// Tells packed forms apart that hold different folded constants.
func digest(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    guard let base = bytes.baseAddress else { return 0 }
    return eo_digest(base, bytes.count, 0)
}

func digest(_ bytes: Bytes?) -> UInt64 {
    guard let bytes else { return 0 }
    return digest(UnsafeRawBufferPointer(start: bytes.baseAddress, count: bytes.count))
}

package func digest<T: BitwiseCopyable>(_ elements: [T]) -> UInt64 { elements.withUnsafeBytes { digest($0) } }

/// Weights or bias of a layer must have exactly `count` elements of `size` bytes.
func expect(_ bytes: Bytes, _ what: String, count: Int, size: Int) throws(Failure) {
    guard bytes.count == count * size else {
        throw .invalidModel("\(what): \(count * size) bytes expected, \(bytes.count) found")
    }
}

/// `bias`, or zeros.
func expect<T: FixedWidthInteger>(_ bias: [T]?, count: Int) throws(Failure) -> [T] {
    guard let bias else { return [T](repeating: 0, count: count) }
    guard bias.count == count else { throw .invalidModel("bias: \(count) elements expected, \(bias.count) found") }
    return bias
}

/// Memory for packed weights, filled by `pack`.
func allocatePacked(_ count: Int, _ pack: (UnsafeMutableRawPointer) -> Void) throws(Failure) -> Storage {
    let storage = try Storage.allocate(count)
    pack(UnsafeMutableRawPointer(mutating: Bytes(storage).baseAddress))
    return storage
}
