import Kernels
import Model

/// Geometry of the pools: windows over each channel by itself.
struct PoolingWindows: Sendable {
    let shape: ConvolutionShape
    let activation: FusedActivation
    /// Places in the padding count as zero: a PAD before a maximum has become part of it.
    let countsPadding: Bool

    /// Pool2DOptions: padding, stride (w, h), filter (w, h), activation.
    init(_ options: Options, input: TensorInfo, operator name: String) throws(Failure) {
        try requireRank(4, input, operator: name)
        let filter = TensorInfo(type: input.type, shape: [1, options.int(4), options.int(3), input.shape[3]])
        let convolution = try ConvolutionOptions(
            options, strideHeight: 2, strideWidth: 1, activation: 5, operator: name)
        shape = try convolution.shape(
            input: input, filter: filter, outputChannels: input.shape[3], groups: 1, operator: name)
        activation = convolution.activation
        countsPadding = convolution.margins != .none
    }

    /// Of images that `RoundImages` made bfloat16.
    func rounded(_ op: Preparation, averages: Bool) throws(Failure) -> Kernel {
        guard op.arithmetic == .fast, activation.isClamp, op.outputs.count == 1, try op.output().type == .bfloat16
        else { throw op.unsupportedTypes() }
        let (shape, range, margin) = (poolShape, activation.floatRange, countsPadding ? 0 as Float : nil)
        let scratch = op.scratch(bytes: Pooling.roundedBytes(shape) * op.threadCount)
        return { io throws(Failure) in
            var y = io.output(as: UInt16.self)
            var work = io.scratch(scratch, as: UInt8.self)
            Pooling.rounded(
                shape, io.input(0), &y, clamp: range, averages: averages, margin: margin, scratch: &work,
                pool: io.pool)
        }
    }

    /// The same for the kernels.
    var poolShape: PoolShape {
        var pool = PoolShape()
        (pool.batch, pool.channels) = (shape.batch, shape.inputChannels)
        (pool.inputHeight, pool.inputWidth) = (shape.inputHeight, shape.inputWidth)
        (pool.outputHeight, pool.outputWidth) = (shape.outputHeight, shape.outputWidth)
        (pool.filterHeight, pool.filterWidth) = (shape.kernelHeight, shape.kernelWidth)
        (pool.strideHeight, pool.strideWidth) = (shape.strideHeight, shape.strideWidth)
        (pool.paddingTop, pool.paddingLeft) = (shape.paddingTop, shape.paddingLeft)
        return pool
    }

    /// A window with `count` places inside the image has some in margins that count as zero.
    func reachesMargin(_ count: Int) -> Bool { countsPadding && count < shape.taps }

    /// Folds `add` over the inputs of one output element; `count` is how many there are: places in the padding do not
    /// count. Never zero: padding is smaller than the window.
    @inline(__always)
    func fold<X: BitwiseCopyable, Result>(
        _ at: OutputPosition, _ input: Span<X>, from start: Result, add: (Result, X) -> Result
    ) -> (result: Result, count: Int) {
        let top = at.y * shape.strideHeight - shape.paddingTop
        let left = at.x * shape.strideWidth - shape.paddingLeft
        let rows = max(0, top)..<min(shape.inputHeight, top + shape.kernelHeight)
        let columns = max(0, left)..<min(shape.inputWidth, left + shape.kernelWidth)
        var result = start
        for y in rows {
            for x in columns {
                let pixel = (at.image * shape.inputHeight + y) * shape.inputWidth + x
                result = add(result, input[pixel * shape.inputChannels + at.channel])
            }
        }
        return (result, rows.count * columns.count)
    }
}

extension Preparation {
    /// Type, scale and zero point of the output must be the input's, as a pool does not requantize.
    func checkSameQuantization() throws(Failure) {
        let (input, output) = (try input(0), try output())
        guard input.type == output.type else { throw unsupportedTypes() }
        guard input.type == .float32 || input.zeroPoint == output.zeroPoint,
            abs(input.scale - output.scale) <= 1e-6 * max(1, abs(input.scale))
        else {
            throw invalid("\(input.described) and \(output.described) must have the same scale and zero point")
        }
    }

    /// Quantized values that pass the fused activation.
    func range<T: FixedWidthInteger>(
        of activation: FusedActivation, as type: T.Type
    ) throws(Failure) -> (minimum: T, maximum: T) {
        guard let (minimum, maximum) = activation.integerRange(of: try output()) else {
            throw unsupported("the fused activation cannot be applied to \(try output().described)")
        }
        return (T(clamping: minimum), T(clamping: maximum))
    }
}
