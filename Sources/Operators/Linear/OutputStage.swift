import Model

/// From a sum of integer products to a quantized output: scale, round, add the zero point, clamp.
struct OutputStage: Sendable {
    enum Factors: Sendable {
        /// Fixed point, rounded twice: the reference kernels of most operators.
        case fixedPoint([QuantizedMultiplier])
        /// IEEE double, ties away from zero: the reference kernels of FULLY_CONNECTED.
        case double([Double])
        /// IEEE single, ties to even: the fast arithmetic.
        case single([Float])
    }
    let factors: Factors
    let zeroPoint: Int
    let minimum: Int
    let maximum: Int

    /// Sums that are not `wide` wrap at 32 bits.
    @inline(never)
    func quantize(_ exact: Int64, wide: Bool, channel: Int) -> Int {
        let sum = wide ? exact : Int64(Int32(truncatingIfNeeded: exact))
        switch factors {
        case .fixedPoint(let multipliers):
            let scaled =
                wide
                ? multipliers[channel].scale(sum) : multipliers[channel].scale(Int32(truncatingIfNeeded: sum))
            return min(maximum, max(minimum, Int(scaled) + zeroPoint))
        case .double(let scales):
            let scaled = (Double(sum) * scales[channel]).rounded(.toNearestOrAwayFromZero)
            return min(maximum, max(minimum, Int(min(0x1p31, max(-0x1p31, scaled))) + zeroPoint))
        case .single(let scales):
            let scaled = Float(sum) * scales[channel]
            let clamped = min(Float(maximum - zeroPoint), max(Float(minimum - zeroPoint), scaled))
            return Int(clamped.rounded(.toNearestOrEven)) + zeroPoint
        }
    }
}
