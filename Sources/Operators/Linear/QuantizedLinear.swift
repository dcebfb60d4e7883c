import Kernels
import Model

/// Scales and zero point of integer weights, checked, and the requantization that follows from them.
struct WeightQuantization: Sendable {
    /// How an operator's reference kernel requantizes.
    enum Reference: Sendable {
        /// In fixed point.
        case fixedPoint
        /// In fixed point, from a product of scales that is rounded to a float: the older kernels.
        case fixedPointOfFloat
        /// In IEEE double.
        case double
    }

    /// One for each output channel.
    let scales: [Float]
    let zeroPoint: Int

    /// `dimension`: where per-channel scales must run along.
    init(_ op: Preparation, _ weights: TensorInfo, channels: Int, dimension: Int) throws(Failure) {
        guard let quantization = weights.quantization, let first = quantization.scales.first else {
            throw op.invalid("weights \(weights.described) have no quantization parameters")
        }
        let given = quantization.scales
        guard given.allSatisfy({ $0 > 0 && $0.isFinite }) else {
            throw op.invalid("weights \(weights.described) have a scale that is not a positive number")
        }
        guard given.count == 1 || given.count == channels && quantization.dimension == dimension else {
            throw op.invalid(
                "weights \(weights.described) have \(given.count) scales along dimension \(quantization.dimension), "
                    + "expected 1, or \(channels) along dimension \(dimension)")
        }
        guard given.count == 1 || weights.type != .uint8 else {
            throw op.unsupported("uint8 weights \(weights.described) have a scale for each channel")
        }
        scales = given.count == 1 ? [Float](repeating: first, count: channels) : given
        zeroPoint = try Self.zeroPoint(op, weights, quantization.zeroPoints)
    }

    private static func zeroPoint(
        _ op: Preparation, _ weights: TensorInfo, _ zeroPoints: [Int]
    ) throws(Failure) -> Int {
        guard let first = zeroPoints.first, zeroPoints.contains(where: { $0 != 0 }) else { return 0 }
        guard zeroPoints.count == 1 else {
            throw op.invalid("per-channel weights \(weights.described) have a zero point that is not 0")
        }
        guard let range = FusedActivation.range(of: weights.type), first >= range.minimum, first <= range.maximum else {
            throw op.invalid("weights \(weights.described) have zero point \(first)")
        }
        return first
    }

    /// Requantization from sums of products with `input` to `output`, in the arithmetic asked for.
    func outputStage(
        _ op: Preparation, input: TensorInfo, output: TensorInfo, activation: FusedActivation, reference: Reference
    ) throws(Failure) -> OutputStage {
        try op.checkActivation(input)
        try op.checkActivation(output)
        guard let (minimum, maximum) = activation.integerRange(of: output) else {
            throw op.unsupported("the fused activation cannot be applied to output \(output.described)")
        }
        let exact = scales.map { Double(input.scale) * Double($0) / Double(output.scale) }
        let single = exact.map { Float($0) }
        guard single.allSatisfy({ $0.isFinite }) else {
            throw op.invalid("the scales of \(input.described), weights and \(output.described) are too far apart")
        }
        let factors: OutputStage.Factors =
            switch (op.arithmetic, reference) {
            case (.fast, _): .single(single)
            case (.reference, .double): .double(exact)
            case (.reference, .fixedPoint): .fixedPoint(exact.map { QuantizedMultiplier($0) })
            case (.reference, .fixedPointOfFloat):
                .fixedPoint(scales.map { QuantizedMultiplier(Double(input.scale * $0) / Double(output.scale)) })
            }
        return OutputStage(factors: factors, zeroPoint: output.zeroPoint, minimum: minimum, maximum: maximum)
    }
}

extension Preparation {
    /// An activation tensor of integers needs one scale and a zero point of its type (16 bits: zero).
    func checkActivation(_ tensor: TensorInfo) throws(Failure) {
        guard let range = FusedActivation.range(of: tensor.type), let quantization = tensor.quantization,
            quantization.scales.count == 1, quantization.zeroPoints.count <= 1
        else { throw invalid("\(tensor.described) needs one scale and one zero point") }
        guard tensor.scale > 0, tensor.scale.isFinite else {
            throw invalid("\(tensor.described) has scale \(tensor.scale)")
        }
        let allowed = tensor.type == .int16 ? 0...0 : range.minimum...range.maximum
        guard allowed.contains(tensor.zeroPoint) else {
            throw invalid("\(tensor.described) has zero point \(tensor.zeroPoint)")
        }
    }
}

extension LinearLayer {
    func weightQuantization() throws(Failure) -> WeightQuantization {
        try WeightQuantization(op, filter, channels: channels, dimension: roles.channelDimension)
    }

    /// Requantization for the arithmetic asked for.
    func outputStage(_ weights: WeightQuantization) throws(Failure) -> OutputStage {
        try weights.outputStage(
            op, input: input, output: output, activation: activation,
            reference: conventions.requantizesInDouble
                ? .double : input.type == .uint8 ? .fixedPointOfFloat : .fixedPoint)
    }

    var integerBias: IntegerBias { IntegerBias(input: bias == nil ? nil : roles.bias, isWide: bias?.type == .int64) }

    /// Integer inputs, weights and outputs, by the definition.
    func integerKernel<X, W, Y>(
        _: X.Type, _: W.Type, _: Y.Type, wideSums: Bool
    ) throws(Failure) -> Kernel
    where
        X: FixedWidthInteger & BitwiseCopyable, W: FixedWidthInteger & BitwiseCopyable,
        Y: FixedWidthInteger & BitwiseCopyable
    {
        let quantization = try weightQuantization()
        let stage = try outputStage(quantization)
        let weights = try WeightSource(op, input: roles.filter, filter: filter)
        let weightZero = Int64(quantization.zeroPoint)
        let inputZero = Int64(input.zeroPoint)
        let (windows, bias, inputIndex) = (windows, integerBias, roles.input)
        return { io throws(Failure) in
            let x = io.input(inputIndex, as: X.self)
            let w = weights.span(io, as: W.self)
            var y = io.output(as: Y.self)
            for index in 0..<y.count {
                let at = windows.shape.position(index)
                let products = windows.sum(at, x, w, from: 0 as Int64) { sum, x, w in
                    sum &+ (Int64(x) &- inputZero) &* (Int64(w) &- weightZero)
                }
                let sum = products &+ bias.value(io, at.channel)
                y[index] = Y(truncatingIfNeeded: stage.quantize(sum, wide: wideSums, channel: at.channel))
            }
        }
    }
}
