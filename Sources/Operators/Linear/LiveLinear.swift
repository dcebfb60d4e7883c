import Kernels
import Model

/// Float layers whose weights or bias are known only at run time: the micro-kernels of the constant ones, with weights
/// packed at each invoke.
extension LinearLayer {
    func liveKernel() throws(Failure) -> Kernel? {
        guard op.arithmetic == .fast, activation.isClamp, input.type == .float32, filter.type == .float32,
            output.type == .float32, !filter.isConstant || bias?.isConstant == false, input.count > 0,
            output.count > 0, filter.count > 0
        else { return nil }
        let (minimum, maximum) = activation.floatRange
        if windows.form == .depthwise, shape.inputChannels == shape.outputChannels {
            var plain = shape
            plain.groups = 1
            let layer = try LiveDepthwise(plain, minimum: minimum, maximum: maximum, threads: op.threadCount)
            op.kernelName = layer.kernelName
            let scratch = op.scratch(bytes: layer.scratchByteCount)
            return run { io, x, w, bias, y throws(Failure) in
                var work = io.scratch(scratch, as: UInt8.self)
                layer.run(x, weights: w, bias: bias, &y, scratch: &work, pool: io.pool)
            }
        }
        let layer = try LiveConvolution(
            shape, strides, transposed: windows.form == .transposed, minimum: minimum, maximum: maximum,
            sumsInOrder: op.customOptions != nil, roundsToBfloat: op.roundsToBfloat && op.customOptions == nil,
            threads: op.threadCount)
        op.kernelName = layer.kernelName
        let scratch = op.scratch(bytes: layer.scratchByteCount)
        return run { io, x, w, bias, y throws(Failure) in
            var work = io.scratch(scratch, as: UInt8.self)
            layer.run(x, weights: w, bias: bias, &y, scratch: &work, pool: io.pool)
        }
    }

    private typealias Run = (
        borrowing Invocation, Span<Float>, Span<Float>, Span<Float>?, inout MutableSpan<Float>
    ) throws(Failure) -> Void

    private func run(_ body: @escaping Run) -> Kernel {
        let (roles, hasBias) = (roles, bias != nil)
        return { io throws(Failure) in
            var y = io.output(as: Float.self)
            try body(
                io, io.input(roles.input), io.input(roles.filter), hasBias ? io.input(roles.bias) : nil, &y)
        }
    }

    /// Depthwise filters are 1HWC, others OHWI.
    private var strides: WeightStrides {
        let (inputs, outputs) = (shape.inputChannels / shape.groups, shape.outputChannels / shape.groups)
        if windows.form == .depthwise {
            return WeightStrides(group: outputs, tap: shape.outputChannels, input: 1, output: 1)
        }
        return WeightStrides(
            group: outputs * shape.taps * inputs, tap: inputs, input: 1, output: shape.taps * inputs)
    }
}
