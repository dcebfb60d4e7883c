import CKernels

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

/// A convolution for some output positions of another.
struct ConvolutionPhase {
    let shape: ConvolutionShape
    /// By their numbers in the whole kernel.
    let taps: [Int]
    /// From the dense result to the places in the output; nil: the result is the output.
    let spread: StridedCopy?
    /// Its first output, and how far the next ones are.
    var first = (row: 0, column: 0)
    var step = (row: 1, column: 1)
}

extension ConvolutionShape {
    var wholePhase: ConvolutionPhase { ConvolutionPhase(shape: self, taps: Array(0..<taps), spread: nil) }

    /// The convolutions of stride 1 that a transposed one falls into, those that any tap reaches.
    var phases: [ConvolutionPhase] {
        let rows = TapPhase.all(
            output: outputHeight, kernel: kernelHeight, stride: strideHeight, dilation: dilationHeight,
            padding: paddingTop)
        let columns = TapPhase.all(
            output: outputWidth, kernel: kernelWidth, stride: strideWidth, dilation: dilationWidth,
            padding: paddingLeft)
        let isWhole = rows.count == 1 && columns.count == 1
        var phases: [ConvolutionPhase] = []
        for row in rows where !row.taps.isEmpty {
            for column in columns where !column.taps.isEmpty {
                phases.append(
                    ConvolutionPhase(
                        shape: phase(row, column),
                        taps: row.taps.flatMap { y in column.taps.map { x in y * kernelWidth + x } },
                        spread: isWhole ? nil : spread(row, column), first: (row.first, column.first),
                        step: (strideHeight, strideWidth)))
            }
        }
        return phases
    }

    var weightCount: Int { taps * inputChannels * groupOutputs }

    private func phase(_ row: TapPhase, _ column: TapPhase) -> ConvolutionShape {
        var part = self
        (part.outputHeight, part.outputWidth) = (row.count, column.count)
        (part.kernelHeight, part.kernelWidth) = (row.taps.count, column.taps.count)
        (part.strideHeight, part.strideWidth) = (1, 1)
        (part.dilationHeight, part.dilationWidth) = (row.dilation, column.dilation)
        (part.paddingTop, part.paddingLeft) = (row.padding, column.padding)
        return part
    }

    /// From the dense result of a phase to its places in the output.
    private func spread(_ row: TapPhase, _ column: TapPhase) -> StridedCopy {
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
