/// Activations quantized while the model runs, to 8 bits, each run of values with its own scale: what dynamic range
/// quantization does before it multiplies by integer weights.
struct DynamicQuantization {
    /// NaN where a value is not finite: products become NaN, as they would in float.
    let scale: Float
    let zeroPoint: Int32

    /// Quantizes `count` values of `x` from `start` on into the beginning of `q`.
    ///
    /// Symmetric: scale = max |x| / 127, rounded to nearest, ties away from zero. Asymmetric: the range of the values
    /// and zero is spread over -128...127, and zero is exact.
    init(_ x: Span<Float>, from start: Int, count: Int, asymmetric: Bool, into q: inout MutableSpan<Int8>) {
        var (low, high): (Float, Float) = (0, 0)
        var finite = true
        for index in start..<(start + count) {
            low = min(low, x[index])
            high = max(high, x[index])
            finite = finite && x[index].isFinite
        }
        guard finite, low != high else {
            for index in 0..<count { q[index] = 0 }
            (scale, zeroPoint) = (finite ? 1 : .nan, 0)
            return
        }
        (scale, zeroPoint) = asymmetric ? Self.spread(low, high) : (max(-low, high) / 127, 0)
        let inverse = asymmetric ? 1 / scale : 127 / max(-low, high)
        let limit: Float = asymmetric ? -128 : -127
        let offset = Float(zeroPoint)
        for index in 0..<count {
            let value = (offset + x[start + index] * inverse).rounded(.toNearestOrAwayFromZero)
            // A denormal range has an infinite inverse, and infinity times zero is not a number.
            q[index] = value.isNaN ? Int8(truncatingIfNeeded: zeroPoint) : Int8(min(127, max(limit, value)))
        }
    }

    /// The zero point is taken from the end of the range that gives the smaller error.
    private static func spread(_ low: Float, _ high: Float) -> (Float, Int32) {
        let (low, high) = (Double(low), Double(high))
        let scale = (high - low) / 255
        let fromLow = -128 - low / scale
        let fromHigh = 127 - high / scale
        let zeroPoint = 128 + abs(low / scale) < 127 + abs(high / scale) ? fromLow : fromHigh
        return (Float(scale), Int32(min(127, max(-128, zeroPoint.rounded(.toNearestOrAwayFromZero)))))
    }
}
