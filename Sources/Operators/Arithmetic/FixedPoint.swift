/// Integer arithmetic of the reference kernels: real factors as 32-bit fixed-point numbers, rounded twice (once in the
/// high multiplication, once in the shift), as in Jacob et al., "Quantization and Training of Neural Networks for
/// Efficient Integer-Arithmetic-Only Inference" (2018), section 2.2 and appendix B.

/// A real factor as `significand * 2^(shift - 31)`, the significand in [2^30, 2^31) unless the factor is zero.
package struct QuantizedMultiplier: Equatable, Sendable {
    package let significand: Int32
    package let shift: Int

    package init(significand: Int32, shift: Int) {
        self.significand = significand
        self.shift = shift
    }

    /// Factors too small to leave a trace in 32 bits, and NaN or infinite ones, become zero.
    package init(_ real: Double) {
        guard real != 0, real.isFinite else {
            (significand, shift) = (0, 0)
            return
        }
        let sign: Double = real < 0 ? -1 : 1
        var fixed = (sign * real.significand * 0x1p30).rounded(.toNearestOrAwayFromZero)
        var exponent = Int(real.exponent) + 1
        if abs(fixed) == 0x1p31 {
            fixed /= 2
            exponent += 1
        }
        (significand, shift) = exponent < -31 ? (0, 0) : (Int32(fixed), exponent)
    }

    /// `x` times the factor. Wraps where the reference kernels would (a product beyond 32 bits before the right shift).
    @inline(__always)
    package func scale(_ x: Int32) -> Int32 {
        let left = shift > 0 ? shift : 0
        let product = saturatingRoundingDoublingHighMultiply(x << Int32(truncatingIfNeeded: left), significand)
        return roundingDivideByPowerOfTwo(product, shift > 0 ? 0 : -shift)
    }

    /// `x` times the factor, for 64-bit accumulators of up to 48 bits: a 16-bit significand, rounded once.
    @inline(__always)
    package func scale(_ x: Int64) -> Int32 {
        let reduced: Int64 = significand < 0x7FFF_0000 ? (Int64(significand) + (1 << 15)) >> 16 : 0x7FFF
        let total = Int64(15 - shift)
        let rounded = x &* reduced &+ (Int64(1) << (total - 1))
        return Int32(truncatingIfNeeded: rounded >> total)
    }
}

/// The high 32 bits of `2 a b`, rounded to nearest, ties away from zero; the one overflow (both the least number) gives
/// the greatest number.
@inline(__always)
package func saturatingRoundingDoublingHighMultiply(_ a: Int32, _ b: Int32) -> Int32 {
    if a == .min && b == .min { return .max }
    let product = Int64(a) &* Int64(b)
    let nudge: Int64 = product >= 0 ? 1 << 30 : 1 - (1 << 30)
    return Int32(truncatingIfNeeded: (product &+ nudge) / (1 << 31))
}

/// The same for 16-bit numbers.
@inline(__always)
package func saturatingRoundingDoublingHighMultiply(_ a: Int16, _ b: Int16) -> Int16 {
    if a == .min && b == .min { return .max }
    let product = Int32(a) &* Int32(b)
    let nudge: Int32 = product >= 0 ? 1 << 14 : 1 - (1 << 14)
    return Int16(truncatingIfNeeded: (product &+ nudge) / (1 << 15))
}

/// `x / 2^exponent` rounded to nearest, ties away from zero; `exponent` in 0...31.
@inline(__always)
package func roundingDivideByPowerOfTwo<T: FixedWidthInteger & SignedInteger>(_ x: T, _ exponent: Int) -> T {
    let mask = ((1 as T) << exponent) &- 1
    let threshold = (mask >> 1) &+ (x < 0 ? 1 : 0)
    return (x >> exponent) &+ (x & mask > threshold ? 1 : 0)
}

/// `x * 2^exponent` with saturation (a left shift), or rounded to nearest (a right shift, for a negative exponent).
@inline(__always)
package func saturatingRoundingMultiplyByPowerOfTwo<T: FixedWidthInteger & SignedInteger>(
    _ x: T, _ exponent: Int
) -> T {
    guard exponent > 0 else { return roundingDivideByPowerOfTwo(x, -exponent) }
    let limit = T.max >> exponent
    if x > limit { return .max }
    if x < -limit - 1 { return .min }
    return x << exponent
}
