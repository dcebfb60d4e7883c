import Kernels
import Model

/// Weights with a scale for each block of a row (int4, "sub-channel"), float activations: each image's inputs are
/// quantized on the fly, blocks are summed in int32 and joined in float.
extension LinearLayer {
    /// Elements of a block; nil if the weights are quantized otherwise.
    var blockSize: Int? {
        guard case .blockwise(_, _, let size) = filter.quantization?.details else { return nil }
        return size
    }

    /// A scale for each block of each row, checked.
    private func blockScales(_ blockSize: Int) throws(Failure) -> [Float] {
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

    /// Sums of blocks that are made before they are joined: a part of the second-level cache.
    private static let blockSums = 1 << 17

    /// The blocks are groups of a convolution, the sum of whose results is that of the layer; a few rows at a time.
    func blockwiseKernel(_ blockSize: Int, _ weights: Bytes, bias: [Float]?) throws(Failure) -> Kernel {
        let scales = try blockScales(blockSize)
        let (rows, depth, channels, blocks) = (
            shape.batch, shape.inputChannels, channels, shape.inputChannels / blockSize
        )
        var part = shape
        part.batch = min(rows, max(1, Self.blockSums / (blocks * channels)))
        (part.groups, part.outputChannels) = (blocks, blocks * channels)
        let layer = try HybridConvolution(
            part, weights: op.weights.transposed(weights, rows: channels, columns: blocks, elementSize: blockSize),
            weightScales: scales.indices.map { scales[$0 % channels * blocks + $0 / channels] },
            bias: bias.map { $0 + [Float](repeating: 0, count: (blocks - 1) * channels) },
            minimum: -.infinity, maximum: .infinity, asymmetric: true, cache: op.weights, threads: op.threadCount)
        let join = ReductionShape([part.batch, blocks, channels], axes: [1])
        op.kernelName = layer.kernelName
        let work = op.scratch(bytes: layer.scratchByteCount)
        let made = op.scratch(bytes: 4 * part.batch * blocks * channels)
        let parts = op.scratch(bytes: 4 * join.scratchCount)
        let (activation, inputIndex, batch) = (activation, roles.input, part.batch)
        return { io throws(Failure) in
            var y = io.output(as: Float.self)
            for start in stride(from: 0, to: rows, by: batch) {
                // The last ones with some of those before: all parts have one size.
                let row = min(start, rows - batch)
                var workspace = io.scratch(work, as: UInt8.self)
                var sums = io.scratch(made, as: Float.self)
                let x = io.input(inputIndex, as: Float.self).extracting(row * depth..<(row + batch) * depth)
                layer.run(x, &sums, scratch: &workspace, pool: io.pool)
                var result = y._mutatingExtracting(row * channels..<(row + batch) * channels)
                var rest = io.scratch(parts, as: Float.self)
                Reduction.sum.run(join, sums.span, &result, scratch: &rest, pool: io.pool)
            }
            guard activation != .none else { return }
            for index in 0..<y.count { y[index] = activation.apply(y[index]) }
        }
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
