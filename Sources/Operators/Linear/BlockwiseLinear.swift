import Kernels
import Model

/// Weights with a scale for each block of a row (int4, "sub-channel"), float activations: each row of the input is
/// quantized on the fly, blocks are summed in int32 and joined in float.
extension LinearLayer {
    /// Elements of a block; nil if the weights are quantized otherwise.
    var blockSize: Int? {
        guard case .blockwise(_, _, let size) = filter.quantization?.details else { return nil }
        return size
    }

    /// A scale for each block of each row, checked.
    func blockScales(_ blockSize: Int) throws(Failure) -> [Float] {
        guard shape.taps == 1, shape.groups == 1 else {
            throw op.unsupported("weights \(filter.described) have blockwise scales: only FULLY_CONNECTED can")
        }
        if case .blockwise(_, let zeroPoints, _) = filter.quantization?.details, zeroPoints >= 0 {
            throw op.unsupported("weights \(filter.described) have blockwise zero points")
        }
        let depth = shape.inputChannels
        guard blockSize > 0, depth % blockSize == 0, let scales = filter.blockScales,
            scales.count == channels * (depth / blockSize)
        else {
            throw op.invalid(
                "weights \(filter.described) with blocks of \(blockSize) have \(filter.blockScales?.count ?? 0) scales")
        }
        return scales
    }

    /// By the definition.
    func blockwiseKernel(_ blockSize: Int) throws(Failure) -> Kernel {
        let (scales, depth) = (try blockScales(blockSize), shape.inputChannels)
        let weights = try WeightSource(op, input: roles.filter, filter: filter)
        let quantized = op.scratch(bytes: depth)
        let (shape, stage, inputIndex) = (shape, floatStage, roles.input)
        return { io throws(Failure) in
            let x = io.input(inputIndex, as: Float.self)
            let w = weights.span(io, as: Int8.self)
            var q = io.scratch(quantized, as: Int8.self)
            var y = io.output(as: Float.self)
            for row in 0..<shape.batch {
                let grid = DynamicQuantization(x, from: row * depth, count: depth, asymmetric: true, into: &q)
                for channel in 0..<shape.outputChannels {
                    var sum: Float = 0
                    for start in stride(from: channel * depth, to: (channel + 1) * depth, by: blockSize) {
                        var block: Int32 = 0
                        for index in 0..<blockSize {
                            let input = Int32(q[start - channel * depth + index]) &- grid.zeroPoint
                            block = block &+ input &* Int32(w[start + index])
                        }
                        sum += Float(block) * scales[start / blockSize]
                    }
                    y[row * shape.outputChannels + channel] = stage.value(sum * grid.scale, io, channel: channel)
                }
            }
        }
    }
}
