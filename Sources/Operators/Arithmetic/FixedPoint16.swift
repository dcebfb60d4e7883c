/// Functions of 16-bit fixed-point numbers, as the reference kernels of LSTM layers compute them: those of
/// `FixedPointFunctions` with products, constants and sums of 16 bits. Results are Q0.15.
enum FixedPoint16 {
    @inline(__always)
    private static func multiply(_ a: Int16, _ b: Int16) -> Int16 { saturatingRoundingDoublingHighMultiply(a, b) }

    @inline(__always)
    private static func shift(_ x: Int16, _ exponent: Int) -> Int16 {
        saturatingRoundingMultiplyByPowerOfTwo(x, exponent)
    }

    /// 1 / (1 + exp(-a)) of a number in Q3.12.
    static func logistic(_ a: Int16) -> Int16 {
        guard a != 0 else { return 1 << 14 }
        let positive = shift(reciprocal(exp(onNegative: a > 0 ? 0 &- a : a, integerBits: 3)), 1)
        return a > 0 ? positive : Int16.max &- positive
    }

    /// tanh(a) of a number with `integerBits` bits before the point, 0 to 6: (1 - x) / (1 + x) with x = exp(-2 |a|).
    static func tanh(_ a: Int16, integerBits: Int) -> Int16 {
        guard a != 0 else { return 0 }
        let x = exp(onNegative: a > 0 ? 0 &- a : a, integerBits: integerBits + 1)
        let positive = shift(reciprocal(x) &- (1 << 13), 2)
        return a > 0 ? positive : 0 &- positive
    }

    /// exp(a) for a <= 0: a is split into a multiple of 1/4 and a rest in [-1/4, 0).
    private static func exp(onNegative a: Int16, integerBits: Int) -> Int16 {
        guard a != 0 else { return .max }
        let fractionBits = 15 - integerBits
        guard integerBits <= 5 || a >= -(32 << Int16(fractionBits)) else { return 0 }
        let quarter: Int16 = 1 << Int16(fractionBits - 2)
        let rest = (a & (quarter - 1)) - quarter
        var result = expOfRest(shift(rest, integerBits))
        let multiple = rest &- a
        // exp(-2^k), k = -2 ... 3.
        let factors: [6 of Int16] = [25_520, 19_875, 12_055, 4_435, 600, 11]
        for index in 0..<6 where index < integerBits + 2 && multiple >> Int16(fractionBits - 2 + index) & 1 != 0 {
            result = multiply(result, factors[index])
        }
        // exp(-16) is less than half a step.
        return multiple >> Int16(fractionBits + 4) & 1 != 0 && integerBits > 4 ? 0 : result
    }

    /// exp(a) for -1/4 <= a < 0 in Q0.15: a Taylor series about -1/8.
    private static func expOfRest(_ a: Int16) -> Int16 {
        let center: Int16 = 28_918  // exp(-1/8)
        let third: Int16 = 10_923
        let x = a &+ (1 << 12)
        let square = multiply(x, x)
        let cube = multiply(square, x)
        let fourth = shift(multiply(square, square), -2)
        let tail = shift(multiply(fourth &+ cube, third) &+ square, -1)
        let (sum, overflow) = center.addingReportingOverflow(multiply(center, x &+ tail))
        return overflow ? .max : sum
    }

    /// 2 / (1 + a) for 0 <= a < 1 as Q2.13, by Newton's iteration on half the denominator.
    private static func reciprocal(_ a: Int16) -> Int16 {
        let sum = Int32(a) + Int32(Int16.max)
        let half = Int16((sum + 1) / 2)
        var x: Int16 = 23_130 &+ multiply(half, -15_420)  // 48/17 - 32/17 half
        for _ in 0..<3 { x = x &+ shift(multiply(x, (1 << 13) &- multiply(half, x)), 2) }
        return x
    }
}
