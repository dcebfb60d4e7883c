import CKernels
import Model

/// How the weights of a convolution lie in memory: the weight of group g, tap t, input channel i, output channel o (both
/// of the group) is element g * group + t * tap + i * input + o * output.
package struct WeightStrides: Sendable {
    package var group: Int
    package var tap: Int
    package var input: Int
    package var output: Int

    package init(group: Int, tap: Int, input: Int, output: Int) {
        (self.group, self.tap, self.input, self.output) = (group, tap, input, output)
    }
}

/// A float32 convolution whose weights are known only when it runs: they are packed then, unless they are few and those
/// of the run before. Also a transposed one (the gradient of a convolution by its input), which falls into one
/// convolution of stride 1 for each position within a stride. One thread at a time.
package final class LiveConvolution: @unchecked Sendable {
    /// The convolution of some output positions: every `stride`-th.
    private struct Part {
        let plan: ConvolutionPlan
        /// Places of the taps among the weights, in elements.
        let taps: [Int]
        /// From the dense result to the places in the output; nil: the result is the output.
        let spread: StridedCopy?
        let resultCount: Int
        /// Pieces that its rows are read in, and its first element in the rounded image.
        var pieces = 1
        var origin = 0
        /// Where its packed weights begin.
        var packed = 0
    }

    package struct Gradient {
        /// The weights are whole numbers up to 256 times a scale for each input channel, which `run` is told.
        let wholeWeights: Bool
        package init(wholeWeights: Bool) { self.wholeWeights = wholeWeights }
    }

    package let kernelName: String
    package let scratchByteCount: Int

    private let shape: ConvolutionShape
    private let strides: WeightStrides
    private let parts: [Part]
    /// Some outputs are reached by no tap.
    private let hasGaps: Bool
    /// Instead of float32: the kernel, and the input rounded for it.
    private let bfloat: (kernel: UnsafePointer<eo_bf16_gemm_kernel>, image: BfloatImage)?
    private let nr: Int
    private let parameters: eo_f32_gemm_parameters
    private let packedBytes: Int
    private let resultBytes: Int
    /// Instead of the parts, of which there is one then.
    private let winograd: eo_winograd?
    /// Instead of all that.
    private let tiles: TileConvolution?
    private let slots: Int
    /// Packed weights, then what they were made of, bias included; nil: they are packed in scratch memory each time.
    private let kept: Storage?
    private var isPacked = false
    /// Winograd's transform of the weights, done each time, costs as much as it saves on about half as many pixels.
    private static let winogradPixels = 2048
    /// What packing takes longer than comparing is kept, up to so much: many weights have still more products.
    private static let keptBytes = 1 << 20
    /// Shorter rows of bfloat16 fill so little of a tile that gathering them costs more than it saves.
    private static let bfloatDepth = 16

    /// `transposed`: `shape` has the output of the convolution as input, and the other way round; strides, dilation and
    /// padding are those of the convolution that leads from this one's output to its input. `sumsInOrder`: by the
    /// definition, also where Winograd's transform is faster. `roundsToBfloat`: input and weights, as
    /// `BfloatConvolution` does, unless there are few products for each result. `gradient`: 16 bits of each number are
    /// enough, because it is a gradient.
    package init(
        _ shape: ConvolutionShape, _ strides: WeightStrides, transposed: Bool, minimum: Float = -.infinity,
        maximum: Float = .infinity, sumsInOrder: Bool = false, roundsToBfloat: Bool = false,
        gradient: Gradient? = nil, threads: Int
    ) throws(Failure) {
        try shape.check()
        let phases = transposed ? shape.phases : [shape.wholePhase]
        tiles =
            sumsInOrder || roundsToBfloat
            ? nil
            : try TileConvolution(
                shape, strides, phases, minimum: minimum, maximum: maximum, gradient: gradient, threads: threads)
        var parts: [Part] = []
        let isBfloat = roundsToBfloat && shape.depth >= Self.bfloatDepth
        if isBfloat, let image = BfloatImage(shape, for: phases.map { $0.shape }) {
            let kernel = eo_bf16_gemm_best()
            for phase in phases { parts.append(Self.part(phase, strides, kernel, image, threads)) }
            bfloat = (kernel, image)
            (nr, kernelName) = (Int(kernel.pointee.nr), Self.name(parts, kernel.pointee.name))
        } else {
            let kernel = eo_f32_gemm_best().pointee
            for phase in phases { parts.append(Self.part(phase, strides, kernel, threads)) }
            bfloat = nil
            (nr, kernelName) = (Int(kernel.nr), tiles?.kernelName ?? Self.name(parts, kernel.name))
        }
        hasGaps = transposed && parts.count < shape.strideHeight * shape.strideWidth
        parameters = eo_f32_gemm_parameters(minimum: minimum, maximum: maximum)
        slots = max(1, threads)
        var packedBytes = 0
        for index in parts.indices {
            parts[index].packed = packedBytes
            packedBytes += Self.lines(parts[index].plan.context.group_size * shape.groups)
        }
        winograd =
            !sumsInOrder && bfloat == nil && tiles == nil && !hasGaps && parts.count == 1 && parts[0].spread == nil
                && shape.batch * shape.outputHeight * shape.outputWidth >= Self.winogradPixels
            ? WinogradPlan.context(parts[0].plan.context.window, clamp: parameters) : nil
        var work = parts.reduce(0) { max($0, $1.plan.scratchByteCount) }
        if let winograd {
            packedBytes = Self.lines(
                eo_winograd_packed_size(Int32(nr), winograd.m, shape.inputChannels, shape.outputChannels))
            work = winograd.slot_size * slots
        }
        resultBytes = Self.lines(parts.reduce(0) { max($0, $1.spread == nil ? 0 : $1.resultCount * 4) })
        let sources = (shape.weightCount + shape.outputChannels) * 4
        let isKept = (bfloat != nil || winograd != nil) && packedBytes <= Self.keptBytes
        kept = isKept ? try Storage.allocate(packedBytes + sources) : nil
        scratchByteCount =
            tiles?.scratchByteCount
            ?? (kept == nil ? packedBytes : 0) + resultBytes + (bfloat?.image.byteCount ?? 0) + work
        (self.shape, self.strides, self.parts, self.packedBytes) = (shape, strides, parts, packedBytes)
    }

    private static func part(
        _ phase: ConvolutionPhase, _ strides: WeightStrides, _ kernel: eo_f32_gemm_kernel, _ threads: Int
    ) -> Part {
        let plan = ConvolutionPlan(
            phase.shape, run: kernel.run, mr: kernel.mr, nr: kernel.nr,
            blockSize: eo_f32_gemm_packed_size(kernel.nr, phase.shape.depth, 1),
            rows: .init(inputSize: 4, outputSize: 4, pieces: true), slots: threads)
        return Part(
            plan: plan, taps: phase.taps.map { $0 * strides.tap }, spread: phase.spread,
            resultCount: phase.shape.outputCount)
    }

    private static func part(
        _ phase: ConvolutionPhase, _ strides: WeightStrides, _ kernel: UnsafePointer<eo_bf16_gemm_kernel>,
        _ image: BfloatImage, _ threads: Int
    ) -> Part {
        let shape = image.framed(phase.shape)
        let pieces = kernel.pointee.isa == ISA_AMX ? shape.wholePieces(ofSize: 2) : 0
        let plan = ConvolutionPlan(
            shape, run: kernel.pointee.run, mr: kernel.pointee.mr, nr: kernel.pointee.nr,
            blockSize: eo_bf16_gemm_packed_size(kernel, shape.depth, max(1, pieces)),
            rows: .init(inputSize: 2, outputSize: 4, multiple: 2, byLines: pieces), slots: threads)
        return Part(
            plan: plan, taps: phase.taps.map { $0 * strides.tap }, spread: phase.spread,
            resultCount: shape.outputCount, pieces: max(1, pieces), origin: image.origin(of: phase.shape))
    }

    private static func name(_ parts: [Part], _ kernel: UnsafePointer<CChar>) -> String {
        (parts.count > 1 ? parts.count.description + " x " : "") + String(cString: kernel)
    }

    private static func lines(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }

    /// `input`, `output`: NHWC. `scratch`: of `scratchByteCount` bytes, 64-byte aligned. `weightScales`: of whole weights.
    package func run(
        _ input: Span<Float>, weights: Span<Float>, weightScales: Span<Float>? = nil, bias: Span<Float>?,
        _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        precondition(input.count >= shape.inputCount && output.count >= shape.outputCount)
        precondition(scratch.count >= scratchByteCount, "scratch memory of a convolution is too small")
        precondition(weights.count >= shape.weightCount)
        precondition(bias == nil || (bias?.count ?? 0) >= shape.outputChannels)
        var scales: UnsafeBufferPointer<Float>?
        if let weightScales { scales = weightScales.withUnsafeBufferPointer { $0 } }
        input.withUnsafeBufferPointer { input in
            weights.withUnsafeBufferPointer { weights in
                output.withUnsafeMutableBufferPointer { output in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        let memory = UnsafeMutableRawPointer(scratch.baseAddress!)
                        if hasGaps { output.update(repeating: 0) }
                        guard let bias else {
                            run(
                                input.baseAddress!, weights.baseAddress!, scales, nil, output.baseAddress!, memory, pool
                            )
                            return
                        }
                        bias.withUnsafeBufferPointer {
                            run(
                                input.baseAddress!, weights.baseAddress!, scales, $0.baseAddress, output.baseAddress!,
                                memory, pool)
                            if hasGaps { fillGaps($0, output) }
                        }
                    }
                }
            }
        }
    }

    private func run(
        _ input: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ scales: UnsafeBufferPointer<Float>?,
        _ bias: UnsafePointer<Float>?, _ output: UnsafeMutablePointer<Float>, _ memory: UnsafeMutableRawPointer,
        _ pool: ThreadPool
    ) {
        if let tiles { return tiles.run(input, weights, bias, scales: scales, output, memory, pool) }
        var (packed, free) = (memory, memory + packedBytes)
        if let kept { (packed, free) = (UnsafeMutableRawPointer(mutating: Bytes(kept).baseAddress), memory) }
        pack(weights, bias, packed, pool)
        let scratch = UnsafeMutableRawBufferPointer(start: free, count: scratchByteCount - (free - memory))
        if let winograd {
            return WinogradPlan.run(
                winograd, input: input, output: output, finish: eo_finish(),
                weights: packed.assumingMemoryBound(to: Float.self), scratch: scratch, pool: pool)
        }
        var image = UnsafeRawPointer(input)
        if let bfloat {
            let to = (free + resultBytes).assumingMemoryBound(to: UInt16.self)
            bfloat.image.cut(input, parts: 1, scale: nil, to, pool)
            image = UnsafeRawPointer(to)
        }
        let work = UnsafeMutableRawBufferPointer(rebasing: scratch[(resultBytes + (bfloat?.image.byteCount ?? 0))...])
        withUnsafePointer(to: parameters) { parameters in
            for part in parts {
                part.plan.run(
                    input: image + part.origin * 2, output: part.spread == nil ? UnsafeMutableRawPointer(output) : free,
                    weights: packed + part.packed, parameters: parameters, scratch: work, pool: pool)
                guard let spread = part.spread else { continue }
                let values = UnsafeRawBufferPointer(start: free, count: part.resultCount * 4)
                let target = UnsafeMutableRawBufferPointer(start: output, count: shape.outputCount * 4)
                var bytes = target.bindMemory(to: UInt8.self).mutableSpan
                spread.run(from: values.bindMemory(to: UInt8.self).span, to: &bytes, pool: pool)
            }
        }
    }

    private func pack(
        _ weights: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?, _ packed: UnsafeMutableRawPointer,
        _ pool: ThreadPool
    ) {
        if kept != nil {
            let copy = packed + packedBytes
            let isNew = eo_renew(copy, weights, shape.weightCount * 4)
            let isBiasNew = bias.map { eo_renew(copy + shape.weightCount * 4, $0, shape.outputChannels * 4) } ?? false
            if isPacked, !isNew, !isBiasNew { return }
            isPacked = true
        }
        for part in parts {
            part.taps.withUnsafeBufferPointer { taps in
                var strided = eo_strided_weights(
                    weights: weights, tap: UnsafeRawPointer(taps.baseAddress!).assumingMemoryBound(to: Int.self),
                    taps: taps.count, channels: shape.inputChannels / shape.groups, columns: shape.groupOutputs,
                    depth_stride: strides.input, column_stride: strides.output, bias: bias)
                if let winograd { return eo_winograd_pack_strided(Int32(nr), winograd.m, &strided, packed) }
                let context = part.plan.context
                var job = PackingJob(
                    weights: strided, groupStride: strides.group, bfloat: bfloat?.kernel, pieces: part.pieces, nr: nr,
                    blocks: context.group_size / max(1, context.block_size), blockSize: context.block_size,
                    packed: packed + part.packed)
                pool.run(job.blocks * shape.groups, &job) { context, index, _ in
                    context.assumingMemoryBound(to: PackingJob.self).pointee.run(index)
                }
            }
        }
    }

    /// Where no tap reaches, the sum is the bias alone.
    private func fillGaps(_ bias: UnsafeBufferPointer<Float>, _ output: UnsafeMutableBufferPointer<Float>) {
        let rows = TapPhase.reached(
            shape.outputHeight, shape.kernelHeight, shape.strideHeight, shape.dilationHeight, shape.paddingTop)
        let columns = TapPhase.reached(
            shape.outputWidth, shape.kernelWidth, shape.strideWidth, shape.dilationWidth, shape.paddingLeft)
        let channels = shape.outputChannels
        for line in 0..<(shape.batch * shape.outputHeight) {
            for column in 0..<shape.outputWidth
            where !rows(line % shape.outputHeight) || !columns(column) {
                let pixel = (line * shape.outputWidth + column) * channels
                for channel in 0..<channels {
                    output[pixel + channel] = min(max(bias[channel], parameters.minimum), parameters.maximum)
                }
            }
        }
    }
}

/// Packs one block of columns of one group at a time.
private struct PackingJob {
    var weights: eo_strided_weights
    let groupStride: Int
    /// nil: float32.
    let bfloat: UnsafePointer<eo_bf16_gemm_kernel>?
    let pieces: Int
    let nr: Int
    let blocks: Int
    let blockSize: Int
    let packed: UnsafeMutableRawPointer

    func run(_ index: Int) {
        var weights = weights
        let (group, first, block) = (index / blocks, index % blocks * nr, packed + index * blockSize)
        weights.weights += group * groupStride
        if let bias = weights.bias { weights.bias = bias + group * weights.columns }
        if let bfloat { return eo_bf16_gemm_pack_block(bfloat, pieces, &weights, first, block) }
        eo_f32_gemm_pack_block(Int32(nr), &weights, first, block.assumingMemoryBound(to: Float.self))
    }
}
