import Kernels
import Model

/// A layer made of micro-kernels: packed weights and everything else decided.
protocol PackedLayer: AnyObject {
    associatedtype Input: BitwiseCopyable
    associatedtype Output: BitwiseCopyable
    var kernelName: String { get }
    var scratchByteCount: Int { get }
    func run(
        _ input: Span<Input>, _ output: inout MutableSpan<Output>, scratch: inout MutableSpan<UInt8>, pool: ThreadPool)
}

extension FloatConvolution: PackedLayer {}
extension FloatDepthwise: PackedLayer {}

/// The fast arithmetic by micro-kernels. They take constant weights and clamping activations; other layers run by the
/// plain definition, which gives the same bits for integers.
extension LinearLayer {
    func fastKernel() throws(Failure) -> Kernel? {
        guard let (weights, bias) = packable() else { return nil }
        return switch (input.type, filter.type, output.type) {
        case (.float32, .float32, .float32): try floatKernel(weights, bias)
        default: nil
        }
    }

    private func floatKernel(_ weights: Bytes, _ bias: Bytes?) throws(Failure) -> Kernel? {
        let (minimum, maximum) = activation.floatRange
        switch windows.form {
        case .convolution:
            return launch(
                try FloatConvolution(
                    shape, weights: weights, bias: bias, minimum: minimum, maximum: maximum, cache: op.weights,
                    threads: op.threadCount))
        case .depthwise:
            return launch(
                try FloatDepthwise(
                    depthwiseShape, weights: weights, bias: bias, minimum: minimum, maximum: maximum, cache: op.weights,
                    threads: op.threadCount))
        case .transposed: return nil
        }
    }

    /// The depthwise kernels take it for granted that each channel is a group.
    private var depthwiseShape: ConvolutionShape {
        var shape = shape
        shape.groups = 1
        return shape
    }

    /// The constants to pack, cut to size.
    private func packable() -> (weights: Bytes, bias: Bytes?)? {
        guard op.arithmetic == .fast, activation.isClamp, input.count > 0, output.count > 0, filter.count > 0,
            let weights = filter.bytes
        else { return nil }
        guard let bias else { return (weights, nil) }
        guard let bytes = bias.bytes else { return nil }
        return (weights, bytes)
    }

    private func launch<Layer: PackedLayer>(_ layer: Layer) -> Kernel {
        op.kernelName = layer.kernelName
        let scratch = op.scratch(bytes: layer.scratchByteCount)
        let inputIndex = roles.input
        return { io throws(Failure) in
            var y = io.output(as: Layer.Output.self)
            var workspace = io.scratch(scratch, as: UInt8.self)
            layer.run(io.input(inputIndex, as: Layer.Input.self), &y, scratch: &workspace, pool: io.pool)
        }
    }
}

extension TensorInfo {
    /// The data of a constant, no longer than the shape says.
    fileprivate var bytes: Bytes? {
        guard let constant, let size = type.byteCount(count) else { return nil }
        return constant.slice(offset: 0, count: size)
    }
}
