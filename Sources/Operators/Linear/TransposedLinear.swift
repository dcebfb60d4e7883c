import Kernels
import Model

/// Output elements of a transposed convolution along one dimension that meet the same taps: every `stride`-th from
/// `first` on. They are the output of a convolution of stride 1 with those taps, in reverse order.
private struct Phase {
    let first: Int
    let count: Int
    /// Taps of the full kernel, in the order of the small one.
    let taps: [Int]
    let padding: Int

    /// The phases of one dimension; nil if they are very many, or one has no taps or would need to cut the input.
    static func all(output: Int, kernel: Int, stride: Int, padding: Int) -> [Phase]? {
        guard stride <= 64 else { return nil }
        var phases: [Phase] = []
        for first in 0..<min(stride, output) {
            let (quotient, remainder) = (first + padding).quotientAndRemainder(dividingBy: stride)
            guard remainder < kernel else { return nil }
            let taps = [Int](Swift.stride(from: remainder, to: kernel, by: stride).reversed())
            let before = taps.count - 1 - quotient
            guard before >= 0 else { return nil }
            phases.append(
                Phase(first: first, count: (output - first + stride - 1) / stride, taps: taps, padding: before))
        }
        return phases
    }
}

/// The convolution of a phase of rows and one of columns, and where its dense result goes.
struct PhasePart {
    let shape: ConvolutionShape
    let weights: Bytes
    let spread: StridedCopy
}

/// The convolution of a part. What it is made of is left behind here: the kernel around it exists once for all types.
struct DenseLayer {
    let kernelName: String
    let scratchByteCount: Int
    /// The layer's result goes to the first scratch memory; the second one is the layer's own.
    let run: (borrowing Invocation, Scratch, Scratch) -> Void

    /// `input`: which input of the operator the layer reads.
    init<Layer: PackedLayer>(_ layer: Layer, input: Int) {
        kernelName = layer.kernelName
        scratchByteCount = layer.scratchByteCount
        run = { io, dense, work in
            var result = io.scratch(dense, as: Layer.Output.self)
            var workspace = io.scratch(work, as: UInt8.self)
            layer.run(
                io.input(input, as: Layer.Input.self), &result, scratch: &workspace, finish: Finish(), pool: io.pool)
        }
    }
}

/// TRANSPOSE_CONV by the kernels of CONV_2D: one small convolution for each position within a stride, whose dense
/// result is then spread over the output.
extension LinearLayer {
    private var outputSize: Int { (output.type.bits ?? 8) / 8 }

    /// `layers`: of `parts`, of which there is one at least.
    func transposedKernel(_ parts: [PhasePart], _ layers: [DenseLayer]) -> Kernel {
        var (workBytes, denseCount) = (0, 0)
        for (part, layer) in zip(parts, layers) {
            workBytes = max(workBytes, layer.scratchByteCount)
            denseCount = max(denseCount, part.shape.batch * part.shape.outputsPerImage)
        }
        op.kernelName = parts.count.description + " x " + layers[0].kernelName
        let work = op.scratch(bytes: workBytes)
        let dense = op.scratch(bytes: denseCount * outputSize)
        return { io throws(Failure) in
            for index in 0..<parts.count {
                layers[index].run(io, dense, work)
                var y = io.output(as: UInt8.self)
                parts[index].spread.run(from: io.written(dense), to: &y, pool: io.pool)
            }
        }
    }

    /// One convolution for each pair of phases; nil if there are too many.
    func parts(_ weights: Bytes, elementSize: Int) throws(Failure) -> [PhasePart]? {
        guard
            let rows = Phase.all(
                output: shape.outputHeight, kernel: shape.kernelHeight, stride: shape.strideHeight,
                padding: shape.paddingTop),
            let columns = Phase.all(
                output: shape.outputWidth, kernel: shape.kernelWidth, stride: shape.strideWidth,
                padding: shape.paddingLeft),
            rows.count * columns.count <= 64
        else { return nil }
        var parts: [PhasePart] = []
        for row in rows {
            for column in columns {
                parts.append(
                    PhasePart(
                        shape: shape(row, column), weights: try phaseWeights(weights, elementSize, row, column),
                        spread: spread(row, column, elementSize: outputSize)))
            }
        }
        return parts
    }

    private func shape(_ row: Phase, _ column: Phase) -> ConvolutionShape {
        var part = shape
        (part.outputHeight, part.outputWidth) = (row.count, column.count)
        (part.kernelHeight, part.kernelWidth) = (row.taps.count, column.taps.count)
        (part.strideHeight, part.strideWidth) = (1, 1)
        (part.paddingTop, part.paddingLeft) = (row.padding, column.padding)
        return part
    }

    /// The taps of a phase, cut out of OHWI weights.
    private func phaseWeights(
        _ weights: Bytes, _ elementSize: Int, _ row: Phase, _ column: Phase
    ) throws(Failure) -> Bytes {
        let run = shape.inputChannels * elementSize
        let taps = row.taps.count * column.taps.count
        let form: Sentence =
            "\(row.taps.count)x\(column.taps.count) taps from \(row.taps[0]), \(column.taps[0]) by "
            + "\(shape.strideHeight), \(shape.strideWidth) of \(shape.kernelHeight)x\(shape.kernelWidth)x\(run)"
        let (rowTaps, columnTaps, channels, shape) = (row.taps, column.taps, channels, shape)
        let storage = try op.weights.derived(weights, form: form) { () throws(Failure) in
            let storage = try Storage.allocate(channels * taps * run)
            try storage.withMutableBytes { bytes throws(Failure) in
                let source = weights.span
                var to = 0
                for channel in 0..<channels {
                    for tapY in rowTaps {
                        for tapX in columnTaps {
                            let from = ((channel * shape.kernelHeight + tapY) * shape.kernelWidth + tapX) * run
                            for index in 0..<run {
                                let byte = unsafe source.unsafeLoad(fromByteOffset: from + index, as: UInt8.self)
                                bytes.storeBytes(of: byte, toByteOffset: to, as: UInt8.self)
                                to += 1
                            }
                        }
                    }
                }
            }
            return storage
        }
        return Bytes(storage)
    }

    /// From the dense result of a phase to its places in the output.
    private func spread(_ row: Phase, _ column: Phase, elementSize: Int) -> StridedCopy {
        let (width, channels) = (shape.outputWidth, shape.outputChannels)
        return StridedCopy(
            elementBits: elementSize * 8,
            dimensions: [
                .init(
                    count: shape.batch, source: row.count * column.count * channels, target: shape.outputsPerImage),
                .init(count: row.count, source: column.count * channels, target: shape.strideHeight * width * channels),
                .init(count: column.count, source: channels, target: shape.strideWidth * channels),
                .init(count: channels, source: 1, target: 1),
            ], targetOffset: (row.first * width + column.first) * channels)
    }
}
