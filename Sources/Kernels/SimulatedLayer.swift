import CKernels
import Model

/// A linear layer whose quantization is simulated: float activations and weights that are whole numbers times a scale.
/// Computed by the integer kernels of the layer that it stands for, with weights packed each time. Its results are in
/// steps of their own scale, as those kernels have them before they limit and round: the same bits. Immutable: any
/// thread.
package final class SimulatedLayer: @unchecked Sendable {
    /// What the numbers count in. The zero points of weights are 0, and those of 16-bit activations.
    package struct Grids {
        let input: Float
        let inputZero: Float
        let output: Float

        package init(input: Float, inputZero: Float, output: Float) {
            (self.input, self.inputZero, self.output) = (input, inputZero, output)
        }
    }

    /// What packs weights. Plain depthwise layers have a kernel of their own.
    fileprivate enum Form {
        case bytes(UnsafePointer<eo_hybrid_gemm_kernel>, pieces: Int)
        case shorts(UnsafePointer<eo_s16_gemm_kernel>)
        case depthwise
    }

    package let kernelName: String
    package let scratchByteCount: Int

    fileprivate let shape: ConvolutionShape
    fileprivate let form: Form
    /// Weights are [taps][outputChannels].
    fileprivate let isTapMajor: Bool
    /// Of packed weights.
    fileprivate let block: (columns: Int, bytes: Int)
    fileprivate let blocksOfGroup: Int
    private let blocks: Int
    private let parts: Parts
    /// One of both.
    private let product: ConvolutionPlan?
    private let depthwise: DepthwisePlan?
    /// Of rows of bytes.
    private let grid: eo_hybrid_row

    /// `depthwise`: weights are [taps][outputChannels], maybe several filters for an input channel, else OHWI. `bits`: of
    /// the activations, 8 or 16.
    package init(_ given: ConvolutionShape, depthwise: Bool, bits: Int, threads: Int) throws(Failure) {
        let shape = depthwise ? given.grouped : given
        try shape.check()
        self.shape = shape
        isTapMajor = depthwise
        if depthwise, shape.inputChannels == shape.outputChannels {
            var plain = shape
            plain.groups = 1
            let row = eo_s16_depthwise_for(false)
            let kernel = row.pointee
            let plan = try DepthwisePlan(plain, run: kernel.run, elementSizes: (2, 4), slots: threads)
            (self.depthwise, product, form, grid) = (plan, nil, .depthwise, eo_hybrid_row())
            block = (shape.outputChannels, eo_s16_depthwise_packed_size(row, shape.taps, shape.outputChannels))
            (blocks, blocksOfGroup) = (1, 1)
            kernelName = String(cString: kernel.name)
            parts = Parts(shape, packed: block.bytes)
            scratchByteCount = parts.work + plan.scratchByteCount
            return
        }
        var rows = ConvolutionPlan.Rows(inputSize: bits / 8, outputSize: 4)
        let isa: kernels_isa
        let run: eo_gemm
        let (mr, nr): (Int32, Int32)
        if bits == 8 {
            let kernel = eo_hybrid_gemm_best()
            (isa, run, mr, nr) = (kernel.pointee.isa, kernel.pointee.run, kernel.pointee.mr, kernel.pointee.nr)
            rows.byLines = isa == ISA_AMX ? shape.wholePieces(ofSize: 1) : 0
            rows.multiple = eo_gemm_depth_step(isa)
            rows.isa = isa
            rows.flip = eo_gemm_takes_unsigned_rows(isa) ? 0 : 0x80
            let pieces = max(1, rows.byLines)
            form = .bytes(kernel, pieces: pieces)
            block = (Int(nr), eo_hybrid_gemm_packed_size(kernel, shape.depth, 1, pieces))
            kernelName = String(cString: kernel.pointee.name)
        } else {
            let kernel = eo_s16_gemm_for(shape.depth)
            (isa, run, mr, nr) = (kernel.pointee.isa, kernel.pointee.run, kernel.pointee.mr, kernel.pointee.nr)
            rows.multiple = eo_s16_depth_step(isa)
            rows.split = eo_gemm_takes_split_rows(isa)
            form = .shorts(kernel)
            block = (Int(nr), eo_s16_gemm_packed_size(kernel, shape.depth, 1))
            kernelName = String(cString: kernel.pointee.name)
        }
        let plan = ConvolutionPlan(shape, run: run, mr: mr, nr: nr, blockSize: block.bytes, rows: rows, slots: threads)
        (self.depthwise, product) = (nil, plan)
        grid = eo_hybrid_one_grid(isa)
        blocksOfGroup = plan.context.group_size / block.bytes
        blocks = blocksOfGroup * shape.groups
        parts = Parts(shape, packed: block.bytes * blocks)
        scratchByteCount = parts.work + plan.scratchByteCount
    }

    private typealias eo_gemm = @convention(c) (UnsafePointer<eo_gemm_tile>) -> Void

    /// Where things begin in the scratch memory.
    private struct Parts {
        let checks: Int
        let weights: Int
        let scales: Int
        let biases: Int
        let packed: Int
        let work: Int

        init(_ shape: ConvolutionShape, packed size: Int) {
            func lines(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }
            // Activations of up to 16 bits, and biases of up to 64.
            checks = lines(2 * shape.inputCount)
            weights = checks + lines(4 * QuantizingJob.pieces(shape.inputCount))
            scales = weights + lines(shape.depth * shape.outputChannels)
            biases = scales + lines(4 * shape.outputChannels)
            packed = biases + lines(8 * shape.outputChannels)
            work = packed + lines(size)
        }
    }

    /// `input` and `output`: NHWC; `weightScales`: one, or one for each output channel. `scratch`: of `scratchByteCount`
    /// bytes, 64-byte aligned. Numbers that are not finite make results NaN.
    package func run(
        _ input: Span<Float>, weights: Span<Float>, bias: Span<Float>?, _ grids: Grids, weightScales: Span<Float>,
        _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        precondition(input.count >= shape.inputCount && output.count >= shape.outputCount)
        precondition(scratch.count >= scratchByteCount, "scratch memory of a simulated layer is too small")
        precondition(weights.count >= shape.depth * shape.outputChannels)
        precondition(weightScales.count == 1 || weightScales.count >= shape.outputChannels)
        precondition(bias == nil || (bias?.count ?? 0) >= shape.outputChannels)
        scratch.withUnsafeMutableBytes { scratch in
            let memory = scratch.baseAddress!
            let isFinite = input.withUnsafeBufferPointer { quantize($0.baseAddress!, grids, memory, pool) }
            weights.withUnsafeBufferPointer { weights in
                weightScales.withUnsafeBufferPointer { weightScales in
                    var job = WeightJob(
                        layer: self, grids: grids, isFinite: isFinite, source: weights.baseAddress!, bias: nil,
                        weightScales: weightScales, weights: memory + parts.weights,
                        scales: (memory + parts.scales).assumingMemoryBound(to: Float.self),
                        biases: memory + parts.biases, packed: memory + parts.packed)
                    guard let bias else { return pack(job, pool) }
                    bias.withUnsafeBufferPointer {
                        job.bias = $0.baseAddress
                        pack(job, pool)
                    }
                }
            }
            output.withUnsafeMutableBufferPointer {
                multiply(
                    memory, $0.baseAddress!, grids, UnsafeMutableRawBufferPointer(rebasing: scratch[parts.work...]),
                    pool)
            }
        }
    }

    /// False if an activation is not finite.
    private func quantize(
        _ input: UnsafePointer<Float>, _ grids: Grids, _ memory: UnsafeMutableRawPointer, _ pool: ThreadPool
    ) -> Bool {
        var isBytes = false
        if case .bytes = form { isBytes = true }
        let checks = (memory + parts.checks).assumingMemoryBound(to: Float.self)
        var job = QuantizingJob(
            count: shape.inputCount, input: input, numbers: memory, checks: checks,
            bytes: isBytes
                ? eo_grid(inverse: 1 / grids.input, offset: Float(grids.byteZero), low: -128) : nil,
            inverse: 1 / grids.input)
        let pieces = QuantizingJob.pieces(shape.inputCount)
        pool.run(pieces, &job) { context, piece, _ in
            context.assumingMemoryBound(to: QuantizingJob.self).pointee.run(piece)
        }
        return (0..<pieces).allSatisfy { checks[$0].isFinite }
    }

    private func pack(_ job: WeightJob, _ pool: ThreadPool) {
        withUnsafePointer(to: job) {
            pool.run(blocks, $0) { context, index, _ in
                context.assumingMemoryBound(to: WeightJob.self).pointee.run(index)
            }
        }
    }

    private func multiply(
        _ memory: UnsafeMutableRawPointer, _ output: UnsafeMutablePointer<Float>, _ grids: Grids,
        _ work: UnsafeMutableRawBufferPointer, _ pool: ThreadPool
    ) {
        var limits = eo_hybrid_gemm_parameters(minimum: -.infinity, maximum: .infinity, block: 0)
        var whole = eo_s16_parameters(
            minimum: 0, maximum: 0, output_zero_point: 0, sums_fit_32: false, leaves_f: true)
        let packed = UnsafeRawPointer(memory + parts.packed)
        if let depthwise {
            depthwise.run(input: memory, output: output, weights: packed, parameters: &whole, scratch: work, pool: pool)
        }
        guard var product else { return }
        let isBytes = if case .bytes = form { true } else { false }
        if isBytes { product.context.padding = UInt8(truncatingIfNeeded: grids.byteZero + 128) ^ product.context.flip }
        withUnsafePointer(to: grid) { grid in
            product.context.row_parameters = UnsafeRawPointer(grid)
            withUnsafeBytes(of: &limits) { limits in
                withUnsafeBytes(of: &whole) { whole in
                    product.run(
                        input: memory, output: output, weights: packed,
                        parameters: (isBytes ? limits : whole).baseAddress!,
                        scratch: work, pool: pool)
                }
            }
        }
    }
}

extension SimulatedLayer.Grids {
    /// As int8.
    fileprivate var byteZero: Int32 { inputZero.isFinite ? Int32(min(max(inputZero, -128), 127)) : 0 }
}

/// Activations become the numbers that they stand for.
private struct QuantizingJob {
    let count: Int
    let input: UnsafePointer<Float>
    let numbers: UnsafeMutableRawPointer
    /// One for each piece: NaN if one of its numbers is not finite.
    let checks: UnsafeMutablePointer<Float>
    /// nil: 16 bits, less the zero point.
    let bytes: eo_grid?
    let inverse: Float

    /// What is looked at twice stays in the nearest cache.
    private static let piece = 4096
    static func pieces(_ count: Int) -> Int { (count + piece - 1) / piece }

    func run(_ piece: Int) {
        let start = piece * Self.piece
        let count = min(Self.piece, count - start)
        if var grid = bytes {
            let numbers = numbers.assumingMemoryBound(to: UInt8.self) + start
            checks[piece] = eo_f32_to_u8_best().pointee.run(&grid, input + start, numbers, count)
        } else {
            checks[piece] = eo_f32_range_best().pointee.run(input + start, count).check
            var parameters = eo_quantize_params(offset: 0, zero: 0, scale: inverse, low: -32768, high: 32767)
            kernelTable.pointee.f32_to_s16(count, input + start, numbers + 2 * start, &parameters)
        }
    }
}

/// Weights and biases become the numbers that they stand for, and are packed, a block of columns at a time.
private struct WeightJob {
    let layer: SimulatedLayer
    let grids: SimulatedLayer.Grids
    /// Otherwise no result shall be.
    let isFinite: Bool
    let source: UnsafePointer<Float>
    var bias: UnsafePointer<Float>?
    let weightScales: UnsafeBufferPointer<Float>
    let weights: UnsafeMutableRawPointer
    let scales: UnsafeMutablePointer<Float>
    let biases: UnsafeMutableRawPointer
    let packed: UnsafeMutableRawPointer

    func run(_ index: Int) {
        let (shape, block) = (layer.shape, layer.block)
        let (group, number) = index.quotientAndRemainder(dividingBy: layer.blocksOfGroup)
        let columns = layer.isPlainDepthwise ? shape.outputChannels : shape.groupOutputs
        let first = group * columns + number * block.columns
        let count = min(block.columns, columns - number * block.columns)
        for column in first..<(first + count) { quantize(column) }
        let depth = shape.depth
        let from = UnsafePointer(weights.assumingMemoryBound(to: UInt8.self)) + first * depth
        let to = packed + index * block.bytes
        let wide = UnsafePointer(biases.assumingMemoryBound(to: Int64.self)) + first
        switch layer.form {
        case .bytes(let kernel, let pieces):
            let zero = grids.byteZero + (eo_gemm_takes_unsigned_rows(kernel.pointee.isa) ? 128 : 0)
            var source = eo_u8_gemm_weights(
                depth: depth, columns: count, weights: from, flip: 0, weight_zero_point: 0, input_zero_point: zero,
                bias: UnsafePointer(biases.assumingMemoryBound(to: Int32.self)) + first, scale: scales + first,
                pieces: pieces)
            eo_hybrid_gemm_pack_one_grid(kernel, &source, to)
        case .shorts(let kernel):
            eo_s16_gemm_pack(kernel, depth, count, from, scales + first, wide, to)
        case .depthwise:
            eo_s16_depthwise_pack(eo_s16_depthwise_for(false), shape.taps, count, from, scales, wide, to)
        }
    }

    private func quantize(_ column: Int) {
        let shape = layer.shape
        let scale = weightScales[weightScales.count == 1 ? 0 : column]
        var parameters = eo_quantize_params(offset: 0, zero: 0, scale: 1 / scale, low: -128, high: 127)
        let convert = kernelTable.pointee.f32_to_s8
        var check: Float = 0
        if layer.isTapMajor {
            for tap in 0..<shape.taps {
                let from = tap * shape.outputChannels + column
                check += source[from] * 0
                convert(
                    1, source + from, weights + (layer.isPlainDepthwise ? from : column * shape.taps + tap), &parameters
                )
            }
        } else {
            let row = source + column * shape.depth
            check = eo_f32_range_best().pointee.run(row, shape.depth).check
            convert(shape.depth, row, weights + column * shape.depth, &parameters)
        }
        let step = Double(max(scale * grids.input, .leastNormalMagnitude))
        let steps = (Double(bias?[column] ?? 0) / step).rounded()
        let isUsual = isFinite && check.isFinite && steps.isFinite
        scales[column] = isUsual ? Float(Double(grids.input) * Double(scale) / Double(grids.output)) : .nan
        store(isUsual ? steps : 0, column)
    }

    private func store(_ steps: Double, _ column: Int) {
        if case .bytes = layer.form {
            let limit = Double(Int32.max)
            biases.assumingMemoryBound(to: Int32.self)[column] = Int32(min(max(steps, -limit), limit))
        } else {
            biases.assumingMemoryBound(to: Int64.self)[column] = Int64(min(max(steps, -0x1p62), 0x1p62))
        }
    }
}

extension SimulatedLayer {
    fileprivate var isPlainDepthwise: Bool {
        if case .depthwise = form { true } else { false }
    }
}
