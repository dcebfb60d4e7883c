import CKernels
import Model

/// CONV_2D and FULLY_CONNECTED of dynamic range models: float32 activations are quantized to 8 bits while the model runs,
/// each image of the batch with its own scale, and multiplied by int8 weights. A fully connected layer whose rows are
/// the batch has a scale for each row. Instances are immutable: any thread.
package final class HybridConvolution: @unchecked Sendable {
    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package let scratchByteCount: Int
    package let quantizer: DynamicRangeQuantizer

    /// Of all images if each is a single pixel, otherwise of one image after the other. Not copied when it runs.
    private enum Form: ~Copyable {
        case direct(ConvolutionPlan)
        case winograd(ByteWinogradPlan)
    }
    private let form: Form
    private let passes: Int
    /// Of a pass.
    private let inputCount: Int
    private let outputCount: Int
    private let packed: Storage
    private let parameters: eo_hybrid_gemm_parameters

    /// `bias`: [outputChannels] or nil. `asymmetric`: activations use the whole int8 range with a zero point, otherwise
    /// -127...127 with zero point 0. `threads`: for how many threads scratch memory is asked. `isFiltered`: by Winograd's
    /// filtering, where that is possible; nil: where it is thought faster.
    package init(
        _ shape: ConvolutionShape, weights: HybridWeights, bias: [Float]?, minimum: Float, maximum: Float,
        asymmetric: Bool, cache: PackedWeightCache, threads: Int = 4, isFiltered: Bool? = nil
    ) throws(Failure) {
        try shape.check()
        let bias = bias ?? [Float](repeating: 0, count: shape.outputChannels)
        guard bias.count == shape.outputChannels else {
            throw .invalidModel("bias: \(shape.outputChannels) elements expected, \(bias.count) found")
        }
        let product = try HybridProduct(shape, weights, bias: bias)
        let isPixel = shape.isPointwise && shape.inputHeight * shape.inputWidth == 1
        var pass = shape
        if !isPixel { pass.batch = 1 }
        passes = shape.batch / pass.batch
        (inputCount, outputCount) = (pass.inputCount, pass.outputCount)
        quantizer = DynamicRangeQuantizer(
            rows: isPixel ? shape.batch : 1, length: isPixel ? shape.inputChannels : pass.inputCount,
            asymmetric: asymmetric)
        parameters = eo_hybrid_gemm_parameters(minimum: minimum, maximum: maximum, block: product.block)
        var window = pass.window
        if weights.bits == 8, isFiltered ?? eo_u8_winograd_is_faster(&window, product.isa),
            let (plan, packed) = try Self.filter(pass, weights, bias, cache, slots: threads)
        {
            form = .winograd(plan)
            self.packed = packed
            kernelName = ByteWinogradPlan.kernelName
            scratchByteCount = quantizer.byteCount + plan.scratchByteCount
            return
        }
        let plan = ConvolutionPlan(
            pass, run: product.run, mr: product.mr, nr: product.nr, blockSize: product.packedSize,
            rows: .init(
                inputSize: 1, outputSize: 4, multiple: product.depthStep, isa: product.isa,
                flip: eo_gemm_takes_unsigned_rows(product.isa) ? 0 : 0x80),
            slots: threads)
        let groupSize = plan.context.group_size
        let name: Sentence =
            "\(product.name) \(weights.bits) \(product.block) \(shape.depth)x\(shape.groupOutputs)x\(shape.groups) \(digest(bias)) \(digest(weights.scales))"
        packed = try cache.packed(weights.stored, form: name, count: groupSize * shape.groups) { base in
            for group in 0..<shape.groups { product.pack(group, base + group * groupSize) }
        }
        kernelName = product.name
        scratchByteCount = quantizer.byteCount + plan.scratchByteCount
        form = .direct(plan)
    }

    /// Winograd's filtering and its weights; nil: sums may be too large for it.
    private static func filter(
        _ shape: ConvolutionShape, _ weights: HybridWeights, _ bias: [Float], _ cache: PackedWeightCache, slots: Int
    ) throws(Failure) -> (ByteWinogradPlan, Storage)? {
        let (stored, outputs) = (weights.stored, shape.outputChannels)
        let scales = try eachChannel(weights.scales, outputs)
        let form: Sentence = "hybrid_winograd \(shape.depth)x\(outputs) \(digest(bias)) \(digest(scales))"
        return try ByteWinogradPlan.packing(shape, stored, nil, bias: bias, form: form, cache, slots: slots) { body in
            scales.withUnsafeBufferPointer { scales in
                var source = eo_u8_gemm_weights(
                    depth: shape.depth, columns: outputs,
                    weights: stored.baseAddress.assumingMemoryBound(to: UInt8.self),
                    flip: 0, weight_zero_point: 0, input_zero_point: 0, bias: nil, scale: scales.baseAddress!, pieces: 1
                )
                body(&source)
            }
        }
    }

    /// Does a layer multiply weights of fewer than 8 bits as they are? Otherwise it wants them as int8: tiles take those
    /// only, and are worth it where many rows share them.
    package static func multipliesHalves(_ shape: ConvolutionShape, blockSize: Int?, scales: [Float]?) -> Bool {
        if let blockSize { return HybridProduct.suits(blockSize: blockSize, scales: scales ?? []) }
        let rows = shape.batch * shape.outputHeight * shape.outputWidth
        return rows < 16 || eo_hybrid_gemm_best().pointee.isa != ISA_AMX
    }

    /// All activations are quantized at once: another layer that reads them may find them so.
    package var sharesQuantized: Bool { passes == 1 }
    /// What `run` needs besides `quantizer.byteCount`.
    package var productByteCount: Int { scratchByteCount - quantizer.byteCount }

    /// `input` and `output`: NHWC. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<Float>, _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        precondition(scratch.count >= scratchByteCount, "scratch memory of a convolution is too small")
        scratch.withUnsafeMutableBufferPointer { scratch in
            let scratch = UnsafeMutableRawBufferPointer(scratch)
            for pass in 0..<passes {
                runPass(
                    pass, input, &output, quantized: scratch.baseAddress!, isQuantized: false,
                    scratch: UnsafeMutableRawBufferPointer(rebasing: scratch[quantizer.byteCount...]), finish, pool)
            }
        }
    }

    /// The same where `sharesQuantized`. `quantized`: of `quantizer.byteCount` bytes, from which an equal quantizer's
    /// results are taken (`isQuantized`), or where they are left. `scratch`: of `productByteCount` bytes.
    package func run(
        _ input: Span<Float>, _ output: inout MutableSpan<Float>, quantized: inout MutableSpan<UInt8>,
        isQuantized: Bool, scratch: inout MutableSpan<UInt8>, finish: Finish, pool: ThreadPool
    ) {
        precondition(passes == 1 && quantized.count >= quantizer.byteCount && scratch.count >= productByteCount)
        quantized.withUnsafeMutableBufferPointer { quantized in
            scratch.withUnsafeMutableBufferPointer { scratch in
                runPass(
                    0, input, &output, quantized: UnsafeMutableRawPointer(quantized.baseAddress!),
                    isQuantized: isQuantized, scratch: UnsafeMutableRawBufferPointer(scratch), finish, pool)
            }
        }
    }

    private func runPass(
        _ pass: Int, _ input: Span<Float>, _ output: inout MutableSpan<Float>, quantized: UnsafeMutableRawPointer,
        isQuantized: Bool, scratch: UnsafeMutableRawBufferPointer, _ finish: Finish, _ pool: ThreadPool
    ) {
        precondition(input.count >= inputCount * passes && output.count >= outputCount * passes)
        withUnsafePointer(to: parameters) { parameters in
            input.withUnsafeBufferPointer { input in
                output.withUnsafeMutableBufferPointer { output in
                    if !isQuantized { quantizer.run(input.baseAddress! + pass * inputCount, quantized, pool: pool) }
                    let results = quantizer.results(quantized)
                    let (to, weights) = (output.baseAddress! + pass * outputCount, Bytes(packed).baseAddress)
                    let finish = finish.advanced(by: pass * outputCount * 4).raw
                    switch form {
                    case .direct(let plan):
                        plan.run(
                            input: results.bytes, output: to, weights: weights, parameters: parameters,
                            grids: .init(results.rows, stride: quantizer.rowStride), finish: finish, scratch: scratch,
                            pool: pool)
                    case .winograd(let plan):
                        plan.run(
                            input: results.bytes, output: to, weights: weights, parameters: parameters,
                            grid: results.rows, finish: finish, scratch: scratch, pool: pool)
                    }
                }
            }
        }
    }
}

/// Quantizes rows of activations, each with its own scale, into scratch memory.
package struct DynamicRangeQuantizer: Sendable {
    let rows: Int
    let length: Int
    let asymmetric: Bool
    private let pieces: Int
    /// Where in scratch memory what begins; the quantized numbers are its beginning.
    private let entries: Int
    private let grids: Int
    private let ranges: Int
    /// Scratch memory it takes, a multiple of 64.
    package let byteCount: Int

    init(rows: Int, length: Int, asymmetric: Bool) {
        func lines(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }
        (self.rows, self.length, self.asymmetric) = (rows, length, asymmetric)
        pieces = (length + Self.cut - 1) / Self.cut
        entries = lines(rows * length)
        grids = entries + lines(rows * MemoryLayout<eo_hybrid_row>.stride)
        ranges = grids + lines(rows * MemoryLayout<eo_grid>.stride)
        byteCount = ranges + lines(rows * pieces * MemoryLayout<eo_range>.stride)
    }

    /// Quantizers of the same tensor that have the same form do the same.
    package var form: Int { rows << 1 | (asymmetric ? 1 : 0) }

    /// Floats that a thread takes at a time.
    private static let cut = 8192

    /// Bytes from one row's numbers to the next; 0: a product's rows all come from one row of this.
    var rowStride: Int { rows == 1 ? 0 : MemoryLayout<eo_hybrid_row>.stride }

    /// `scratch`: of `byteCount` bytes. `rounded`: where wanted, the floats that the quantized numbers stand for.
    func run(
        _ input: UnsafePointer<Float>, _ scratch: UnsafeMutableRawPointer,
        rounded: UnsafeMutablePointer<Float>? = nil, pool: ThreadPool
    ) {
        let results = results(scratch)
        let context = eo_dynamic_range(
            x: input, q: results.bytes, rows: results.rows, length: length, cut: Self.cut, asymmetric: asymmetric,
            range: eo_f32_range_best().pointee.run, quantize: eo_f32_to_u8_best().pointee.run,
            ranges: (scratch + ranges).assumingMemoryBound(to: eo_range.self),
            grids: (scratch + grids).assumingMemoryBound(to: eo_grid.self), rounded: rounded)
        withUnsafePointer(to: context) { context in
            pool.run(rows * pieces, context) { context, piece, _ in
                eo_dynamic_range_survey(context.assumingMemoryBound(to: eo_dynamic_range.self), piece)
            }
            for row in 0..<rows { eo_dynamic_range_spread(context, row) }
            pool.run(rows * pieces, context) { context, piece, _ in
                eo_dynamic_range_quantize(context.assumingMemoryBound(to: eo_dynamic_range.self), piece)
            }
        }
    }

    /// What `run` has left in `scratch`.
    func results(
        _ scratch: UnsafeMutableRawPointer
    ) -> (bytes: UnsafeMutablePointer<UInt8>, rows: UnsafeMutablePointer<eo_hybrid_row>) {
        (
            scratch.assumingMemoryBound(to: UInt8.self),
            (scratch + entries).assumingMemoryBound(to: eo_hybrid_row.self)
        )
    }
}
