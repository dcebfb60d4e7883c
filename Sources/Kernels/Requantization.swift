import Model

/// How an integer operator's sums become its output (arithmetic contract of the library): with the zero points of input
/// and weights taken off, `f = Float(sum) * scale`, limited to outputMinimum...outputMaximum less the zero point, rounded
/// to nearest with ties to even, plus the zero point.
package struct Requantization: Sendable {
    /// input scale * weight scale / output scale: one per output channel, or exactly one for all.
    package var scales: [Float]
    package var inputZeroPoint: Int
    package var weightZeroPoint: Int
    package var outputZeroPoint: Int
    package var outputMinimum: Int
    package var outputMaximum: Int

    package init(
        scales: [Float], inputZeroPoint: Int, weightZeroPoint: Int = 0, outputZeroPoint: Int, outputMinimum: Int,
        outputMaximum: Int
    ) {
        self.scales = scales
        self.inputZeroPoint = inputZeroPoint
        self.weightZeroPoint = weightZeroPoint
        self.outputZeroPoint = outputZeroPoint
        self.outputMinimum = outputMinimum
        self.outputMaximum = outputMaximum
    }

    /// One scale for each of `channels`, after checking that every number is one the kernels compute with.
    func channelScales(
        _ channels: Int, inputs: ClosedRange<Int>, weights: ClosedRange<Int>, outputs: ClosedRange<Int>
    ) throws(Failure) -> [Float] {
        guard inputs.contains(inputZeroPoint), weights.contains(weightZeroPoint), outputs.contains(outputZeroPoint),
            outputs.contains(outputMinimum), outputs.contains(outputMaximum), outputMinimum <= outputMaximum
        else {
            throw .invalidModel(
                "zero points \(inputZeroPoint) (input), \(weightZeroPoint) (weights), \(outputZeroPoint) (output) or "
                    + "output limits \(outputMinimum)...\(outputMaximum) are outside their types")
        }
        return try eachChannel(scales, channels)
    }
}

/// One scale for each of `channels` from as many, or from one for all.
func eachChannel(_ scales: [Float], _ channels: Int) throws(Failure) -> [Float] {
    guard scales.count == channels || scales.count == 1 else {
        throw .invalidModel("\(scales.count) scales for \(channels) channels")
    }
    guard scales.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
        throw .invalidModel("a scale is negative or not finite")
    }
    return scales.count == channels ? scales : [Float](repeating: scales[0], count: channels)
}
