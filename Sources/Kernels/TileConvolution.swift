import CKernels
import Model

/// A float32 convolution on tiles, in parts of bfloat16 (`gemm.h`), whose weights are known only when it runs: input and
/// weights are cut up once each, rows are read from the input as they lie. Also a transposed one, as several of stride 1.
/// One thread at a time.
final class TileConvolution: @unchecked Sendable {
    private struct Part {
        var context: eo_tile_convolution
        /// Places of the taps among the weights, in elements.
        let taps: [Int]
        /// First elements in the image and in the output.
        let origin: Int
        let output: Int
        /// First number of its packed weights.
        var packed = 0
    }

    let kernelName: String
    let scratchByteCount: Int
    private let shape: ConvolutionShape
    private let strides: WeightStrides
    private let parts: [Part]
    /// Of some images at a time, whose parts stay in the second-level cache.
    private let image: BfloatImage
    private let images: Int
    /// Of each number of the images.
    private let partCount: Int
    private let packedBytes: Int
    /// Packed weights, then what they were made of; nil: they are packed in scratch memory each time.
    private let kept: Storage?
    private var isPacked = false
    private static let keptBytes = 1 << 20
    /// Packing costs as much as so many rows.
    private static let fewestRows = 64
    /// What is cut up at a time for a thread.
    private static let cutBytes = 256 << 10

    /// As `LiveConvolution`.
    /// nil: this machine has no tiles, or floats are faster.
    init?(
        _ shape: ConvolutionShape, _ strides: WeightStrides, _ phases: [ConvolutionPhase], minimum: Float,
        maximum: Float, gradient: LiveConvolution.Gradient?, threads: Int
    ) throws(Failure) {
        let kernel = eo_bf16_tiles_best().pointee
        let partCount = Int(gradient == nil ? EO_BF16_PARTS : EO_BF16_GRADIENT_PARTS)
        let wholeWeights = gradient?.wholeWeights ?? false
        let rows = shape.batch * shape.outputHeight * shape.outputWidth
        var some = shape
        some.batch = Self.images(shape, partCount, threads)
        guard kernel.isa != ISA_SCALAR, shape.groups == 1, rows >= Self.fewestRows,
            let image = BfloatImage(some, for: phases.map { $0.shape })
        else { return nil }
        var parts: [Part] = []
        var numbers = 0
        for phase in phases {
            var context = eo_tile_convolution()
            context.window = image.framed(phase.shape).window
            context.window.batch = some.batch
            (context.x_parts, context.w_parts) = (partCount, wholeWeights ? 1 : partCount)
            (context.run, context.part) = (kernel.run, image.byteCount / 2)
            (context.minimum, context.maximum) = (minimum, maximum)
            let line = shape.outputWidth * shape.outputChannels
            context.pixel_step = phase.step.column * shape.outputChannels
            (context.line_step, context.image_step) = (phase.step.row * line, shape.outputHeight * line)
            guard eo_tile_convolution_plan(&context) else { return nil }
            parts.append(
                Part(
                    context: context, taps: phase.taps.map { $0 * strides.tap }, origin: image.origin(of: phase.shape),
                    output: phase.first.row * line + phase.first.column * shape.outputChannels, packed: numbers))
            numbers += context.block * Self.blocks(shape)
        }
        packedBytes = (numbers * 2 + 63) / 64 * 64
        let isKept = packedBytes <= Self.keptBytes
        if !isKept, rows < 8 * Self.fewestRows { return nil }
        let sources = Self.lines(shape.weightCount) + Self.lines(shape.inputChannels)
        kept = isKept ? try Storage.allocate(packedBytes + sources) : nil
        kernelName = (parts.count > 1 ? parts.count.description + " x " : "") + String(cString: kernel.name)
        let scales =
            wholeWeights ? Self.lines(shape.inputWidth * shape.inputChannels) + Self.lines(shape.inputChannels) : 0
        scratchByteCount = partCount * image.byteCount + scales + (kept == nil ? packedBytes : 0)
        (self.shape, self.strides, self.parts, self.image, images) = (shape, strides, parts, image, some.batch)
        self.partCount = partCount
    }

    /// A divisor of the batch.
    private static func images(_ shape: ConvolutionShape, _ parts: Int, _ threads: Int) -> Int {
        let batch = max(1, shape.batch)
        let bytes = max(1, shape.inputCount / batch * 2 * parts)
        var images = min(batch, max(1, cutBytes * max(1, threads) / bytes))
        while batch % images > 0 { images -= 1 }
        return images * shape.outputHeight * shape.outputWidth < fewestRows ? batch : images
    }

    private static func blocks(_ shape: ConvolutionShape) -> Int { (shape.outputChannels + 15) / 16 }
    private static func lines(_ floats: Int) -> Int { (floats * 4 + 63) / 64 * 64 }

    /// `scales`: of the weights if they are whole numbers, one, or one for each input channel. `memory`: of
    /// `scratchByteCount` bytes, 64-byte aligned.
    func run(
        _ input: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?,
        scales: UnsafeBufferPointer<Float>?, _ output: UnsafeMutablePointer<Float>, _ memory: UnsafeMutableRawPointer,
        _ pool: ThreadPool
    ) {
        let cut = memory.assumingMemoryBound(to: UInt16.self)
        var free = memory + partCount * image.byteCount
        var (pattern, inverse): (UnsafePointer<Float>?, UnsafePointer<Float>?)
        if let scales {
            let channels = shape.inputChannels
            let line = free.assumingMemoryBound(to: Float.self)
            free += Self.lines(shape.inputWidth * channels)
            let inverses = free.assumingMemoryBound(to: Float.self)
            free += Self.lines(channels)
            for channel in 0..<channels { inverses[channel] = 1 / scales[scales.count == 1 ? 0 : channel] }
            for index in 0..<shape.inputWidth * channels {
                line[index] = scales[scales.count == 1 ? 0 : index % channels]
            }
            (pattern, inverse) = (UnsafePointer(line), UnsafePointer(inverses))
        }
        let packed = kept.map { UnsafeMutableRawPointer(mutating: Bytes($0).baseAddress) } ?? free
        pack(weights, inverse, packed, pool)
        let (from, to) = (shape.inputCount / shape.batch, shape.outputCount / shape.batch)
        for first in stride(from: 0, to: shape.batch, by: images) {
            image.cut(input + first * from, parts: partCount, scale: pattern, cut, pool)
            for part in parts {
                var context = part.context
                context.image = UnsafePointer(cut + part.origin)
                context.weights = UnsafePointer(packed.assumingMemoryBound(to: UInt16.self) + part.packed)
                (context.bias, context.output) = (bias, output + part.output + first * to)
                pool.run(eo_tile_convolution_units(&context), &context) { context, unit, _ in
                    eo_tile_convolution_work(context.assumingMemoryBound(to: eo_tile_convolution.self), unit)
                }
            }
        }
    }

    private func pack(
        _ weights: UnsafePointer<Float>, _ inverse: UnsafePointer<Float>?, _ packed: UnsafeMutableRawPointer,
        _ pool: ThreadPool
    ) {
        if kept != nil {
            let copy = packed + packedBytes
            let isNew = eo_renew(copy, weights, shape.weightCount * 4)
            let isScaledAnew =
                inverse.map { eo_renew(copy + Self.lines(shape.weightCount), $0, shape.inputChannels * 4) } ?? false
            if isPacked, !isNew, !isScaledAnew { return }
            isPacked = true
        }
        for part in parts {
            part.taps.withUnsafeBufferPointer { taps in
                let strided = eo_strided_weights(
                    weights: weights, tap: UnsafeRawPointer(taps.baseAddress!).assumingMemoryBound(to: Int.self),
                    taps: taps.count, channels: shape.inputChannels, columns: shape.outputChannels,
                    depth_stride: strides.input, column_stride: strides.output, bias: nil)
                var job = PackingTiles(
                    context: part.context, weights: strided, inverse: inverse,
                    packed: packed.assumingMemoryBound(to: UInt16.self) + part.packed)
                pool.run(Self.blocks(shape), &job) { context, block, _ in
                    context.assumingMemoryBound(to: PackingTiles.self).pointee.run(block)
                }
            }
        }
    }
}

private struct PackingTiles {
    var context: eo_tile_convolution
    var weights: eo_strided_weights
    let inverse: UnsafePointer<Float>?
    let packed: UnsafeMutablePointer<UInt16>

    func run(_ block: Int) {
        var (context, weights) = (context, weights)
        eo_tile_convolution_pack(&context, &weights, inverse, block, packed + block * context.block)
    }
}
