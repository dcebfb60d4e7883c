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

/// A float32 convolution whose weights are known only when it runs: they are packed each time. Also a transposed one
/// (the gradient of a convolution by its input), which falls into one convolution of stride 1 for each position within
/// a stride. Immutable: any thread.
package final class LiveConvolution: @unchecked Sendable {
    /// The convolution of some output positions: every `stride`-th.
    private struct Part {
        let plan: ConvolutionPlan
        /// Places of the taps among the weights, in elements.
        let taps: [Int]
        /// From the dense result to the places in the output; nil: the result is the output.
        let spread: StridedCopy?
        let resultCount: Int
    }

    package let kernelName: String
    package let scratchByteCount: Int

    private let shape: ConvolutionShape
    private let strides: WeightStrides
    private let parts: [Part]
    /// Some outputs are reached by no tap.
    private let hasGaps: Bool
    private let nr: Int32
    private let parameters: eo_f32_gemm_parameters
    private let packedBytes: Int
    private let resultBytes: Int
    /// Instead of the parts, of which there is one then.
    private let winograd: eo_winograd?
    private let slots: Int
    /// Winograd's transform of the weights, done each time, costs as much as it saves on about half as many pixels.
    private static let winogradPixels = 2048

    /// `transposed`: `shape` has the output of the convolution as input, and the other way round; strides, dilation and
    /// padding are those of the convolution that leads from this one's output to its input. `sumsInOrder`: by the
    /// definition, also where Winograd's transform is faster.
    package init(
        _ shape: ConvolutionShape, _ strides: WeightStrides, transposed: Bool, minimum: Float = -.infinity,
        maximum: Float = .infinity, sumsInOrder: Bool = false, threads: Int
    ) throws(Failure) {
        try shape.check()
        let kernel = eo_f32_gemm_best().pointee
        var parts: [Part] = []
        let (rows, columns) =
            transposed
            ? (
                TapPhase.all(
                    output: shape.outputHeight, kernel: shape.kernelHeight, stride: shape.strideHeight,
                    dilation: shape.dilationHeight, padding: shape.paddingTop),
                TapPhase.all(
                    output: shape.outputWidth, kernel: shape.kernelWidth, stride: shape.strideWidth,
                    dilation: shape.dilationWidth, padding: shape.paddingLeft)
            ) : ([], [])
        for row in rows where !row.taps.isEmpty {
            for column in columns where !column.taps.isEmpty {
                let taps = row.taps.flatMap { y in column.taps.map { x in (y * shape.kernelWidth + x) * strides.tap } }
                let isWhole = rows.count == 1 && columns.count == 1
                parts.append(
                    Self.part(
                        shape.phase(row, column), taps, isWhole ? nil : shape.spread(row, column), kernel, threads))
            }
        }
        if !transposed {
            parts = [Self.part(shape, (0..<shape.taps).map { $0 * strides.tap }, nil, kernel, threads)]
        }
        hasGaps = transposed && parts.count < shape.strideHeight * shape.strideWidth
        parameters = eo_f32_gemm_parameters(minimum: minimum, maximum: maximum)
        slots = max(1, threads)
        nr = kernel.nr
        (self.shape, self.strides, self.parts) = (shape, strides, parts)
        if !sumsInOrder, !hasGaps, parts.count == 1, parts[0].spread == nil,
            shape.batch * shape.outputHeight * shape.outputWidth >= Self.winogradPixels,
            let winograd = WinogradPlan.context(parts[0].plan.context.window, clamp: parameters)
        {
            packedBytes = eo_winograd_packed_size(nr, winograd.m, shape.inputChannels, shape.outputChannels)
            resultBytes = 0
            scratchByteCount = Self.lines(packedBytes) + winograd.slot_size * slots
            kernelName = WinogradPlan.name(winograd)
            self.winograd = winograd
            return
        }
        winograd = nil
        packedBytes = parts.reduce(0) { max($0, $1.plan.context.group_size) } * shape.groups
        resultBytes = parts.reduce(0) { max($0, $1.spread == nil ? 0 : $1.resultCount * 4) }
        scratchByteCount =
            Self.lines(packedBytes) + Self.lines(resultBytes) + parts.reduce(0) { max($0, $1.plan.scratchByteCount) }
        kernelName = (parts.count > 1 ? parts.count.description + " x " : "") + String(cString: kernel.name)
    }

    private static func part(
        _ shape: ConvolutionShape, _ taps: [Int], _ spread: StridedCopy?, _ kernel: eo_f32_gemm_kernel, _ threads: Int
    ) -> Part {
        let plan = ConvolutionPlan(
            shape, run: kernel.run, mr: kernel.mr, nr: kernel.nr,
            blockSize: eo_f32_gemm_packed_size(kernel.nr, shape.depth, 1),
            rows: .init(inputSize: 4, outputSize: 4, pieces: true), slots: threads)
        return Part(plan: plan, taps: taps, spread: spread, resultCount: shape.outputCount)
    }

    private static func lines(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }

    /// `input`, `output`: NHWC. `scratch`: of `scratchByteCount` bytes, 64-byte aligned.
    package func run(
        _ input: Span<Float>, weights: Span<Float>, bias: Span<Float>?, _ output: inout MutableSpan<Float>,
        scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        precondition(input.count >= shape.inputCount && output.count >= shape.outputCount)
        precondition(scratch.count >= scratchByteCount, "scratch memory of a convolution is too small")
        precondition(weights.count >= shape.taps * shape.inputChannels * shape.groupOutputs)
        precondition(bias == nil || (bias?.count ?? 0) >= shape.outputChannels)
        input.withUnsafeBufferPointer { input in
            weights.withUnsafeBufferPointer { weights in
                output.withUnsafeMutableBufferPointer { output in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        let memory = UnsafeMutableRawPointer(scratch.baseAddress!)
                        if hasGaps { output.update(repeating: 0) }
                        guard let bias else {
                            run(input.baseAddress!, weights.baseAddress!, nil, output.baseAddress!, memory, pool)
                            return
                        }
                        bias.withUnsafeBufferPointer {
                            run(
                                input.baseAddress!, weights.baseAddress!, $0.baseAddress, output.baseAddress!, memory,
                                pool)
                            if hasGaps { fillGaps($0, output) }
                        }
                    }
                }
            }
        }
    }

    private func run(
        _ input: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?,
        _ output: UnsafeMutablePointer<Float>, _ memory: UnsafeMutableRawPointer, _ pool: ThreadPool
    ) {
        if let winograd { return run(winograd, input, weights, bias, output, memory, pool) }
        let dense = memory + Self.lines(packedBytes)
        let work = UnsafeMutableRawBufferPointer(
            start: dense + Self.lines(resultBytes),
            count: scratchByteCount - Self.lines(packedBytes) - Self.lines(resultBytes))
        withUnsafePointer(to: parameters) { parameters in
            for part in parts {
                pack(part, weights, bias, memory, pool)
                let result = part.spread == nil ? UnsafeMutableRawPointer(output) : dense
                part.plan.run(
                    input: input, output: result, weights: memory, parameters: parameters, scratch: work, pool: pool)
                guard let spread = part.spread else { continue }
                let values = UnsafeRawBufferPointer(start: dense, count: part.resultCount * 4)
                let target = UnsafeMutableRawBufferPointer(start: output, count: shape.outputCount * 4)
                var bytes = target.bindMemory(to: UInt8.self).mutableSpan
                spread.run(from: values.bindMemory(to: UInt8.self).span, to: &bytes, pool: pool)
            }
        }
    }

    private func run(
        _ winograd: eo_winograd, _ input: UnsafePointer<Float>, _ weights: UnsafePointer<Float>,
        _ bias: UnsafePointer<Float>?, _ output: UnsafeMutablePointer<Float>, _ memory: UnsafeMutableRawPointer,
        _ pool: ThreadPool
    ) {
        parts[0].taps.withUnsafeBufferPointer { taps in
            var strided = strided(weights, bias, taps)
            eo_winograd_pack_strided(nr, winograd.m, &strided, memory)
        }
        let scratch = UnsafeMutableRawBufferPointer(
            start: memory + Self.lines(packedBytes), count: winograd.slot_size * slots)
        WinogradPlan.run(
            winograd, input: input, output: output, finish: eo_finish(),
            weights: memory.assumingMemoryBound(to: Float.self), scratch: scratch, pool: pool)
    }

    private func strided(
        _ weights: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?, _ taps: UnsafeBufferPointer<Int>
    ) -> eo_strided_weights {
        eo_strided_weights(
            weights: weights, tap: UnsafeRawPointer(taps.baseAddress!).assumingMemoryBound(to: Int.self),
            taps: taps.count, channels: shape.inputChannels / shape.groups, columns: shape.groupOutputs,
            depth_stride: strides.input, column_stride: strides.output, bias: bias)
    }

    /// Packs the weights of all groups, block by block, on all threads.
    private func pack(
        _ part: Part, _ weights: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?, _ packed: UnsafeMutableRawPointer,
        _ pool: ThreadPool
    ) {
        part.taps.withUnsafeBufferPointer { taps in
            var job = PackingJob(
                weights: strided(weights, bias, taps), groupStride: strides.group, nr: Int(nr),
                blocks: part.plan.context.group_size / max(1, part.plan.context.block_size),
                blockSize: part.plan.context.block_size, packed: packed)
            pool.run(job.blocks * shape.groups, &job) { context, index, _ in
                context.assumingMemoryBound(to: PackingJob.self).pointee.run(index)
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
struct PackingJob {
    var weights: eo_strided_weights
    let groupStride: Int
    let nr: Int
    let blocks: Int
    let blockSize: Int
    let packed: UnsafeMutableRawPointer

    func run(_ index: Int) {
        var weights = weights
        let group = index / blocks
        weights.weights += group * groupStride
        if let bias = weights.bias { weights.bias = bias + group * weights.columns }
        eo_f32_gemm_pack_block(
            Int32(nr), &weights, index % blocks * nr,
            (packed + index * blockSize).assumingMemoryBound(to: Float.self))
    }
}

/// Outputs of a transposed convolution along one dimension that meet the same taps: every `stride`-th from `first` on.
/// They are the output of a convolution of stride 1 with those taps, in reverse order.
struct TapPhase {
    let first: Int
    let count: Int
    /// Taps of the full kernel, in the order of the small one.
    let taps: [Int]
    let dilation: Int
    /// Negative: the first inputs meet no tap.
    let padding: Int

    /// Output o meets tap t in the input (o + padding - t dilation) / stride, where that is a whole number.
    static func all(output: Int, kernel: Int, stride: Int, dilation: Int, padding: Int) -> [TapPhase] {
        (0..<min(stride, output)).map { first in
            let taps = (0..<kernel).filter { (first + padding - $0 * dilation) % stride == 0 }
            let last = taps.last ?? 0
            let step = taps.count > 1 ? (taps[1] - taps[0]) * dilation / stride : 1
            return TapPhase(
                first: first, count: (output - first + stride - 1) / stride, taps: taps.reversed(), dilation: step,
                padding: (last * dilation - first - padding) / stride)
        }
    }

    /// Whether any tap reaches an output.
    static func reached(_ output: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ padding: Int) -> (Int) -> Bool {
        { place in (0..<kernel).contains { (place % stride + padding - $0 * dilation) % stride == 0 } }
    }
}

extension ConvolutionShape {
    fileprivate func phase(_ row: TapPhase, _ column: TapPhase) -> ConvolutionShape {
        var part = self
        (part.outputHeight, part.outputWidth) = (row.count, column.count)
        (part.kernelHeight, part.kernelWidth) = (row.taps.count, column.taps.count)
        (part.strideHeight, part.strideWidth) = (1, 1)
        (part.dilationHeight, part.dilationWidth) = (row.dilation, column.dilation)
        (part.paddingTop, part.paddingLeft) = (row.padding, column.padding)
        return part
    }

    /// From the dense result of a phase to its places in the output.
    fileprivate func spread(_ row: TapPhase, _ column: TapPhase) -> StridedCopy {
        let image = outputHeight * outputWidth * outputChannels
        return StridedCopy(
            elementBits: 32,
            dimensions: [
                .init(count: batch, source: row.count * column.count * outputChannels, target: image),
                .init(
                    count: row.count, source: column.count * outputChannels,
                    target: strideHeight * outputWidth * outputChannels),
                .init(count: column.count, source: outputChannels, target: strideWidth * outputChannels),
                .init(count: outputChannels, source: 1, target: 1),
            ], sourceOffset: 0, targetOffset: (row.first * outputWidth + column.first) * outputChannels)
    }
}
