/// Functions of fixed-point numbers, as the reference kernels compute them. "Qm.n" is a 32-bit number with m integer
/// and n fraction bits. Products are rounded (`saturatingRoundingDoublingHighMultiply`), so Qa times Qb is Q(a + b).
enum FixedPointFunctions {
    @inline(__always)
    private static func multiply(_ a: Int32, _ b: Int32) -> Int32 { saturatingRoundingDoublingHighMultiply(a, b) }

    @inline(__always)
    private static func shift(_ x: Int32, _ exponent: Int) -> Int32 {
        saturatingRoundingMultiplyByPowerOfTwo(x, exponent)
    }

    /// exp(a) for a <= 0 in Q5.26, the result in Q0.31: a is split into a multiple of 1/4 and a rest in [-1/4, 0); the
    /// rest goes through a Taylor series about -1/8, the multiple through the factors exp(-2^k).
    static func exp(onNegative a: Int32) -> Int32 {
        guard a != 0 else { return .max }
        let quarter: Int32 = 1 << 24
        let rest = (a & (quarter - 1)) - quarter
        var result = expOfRest(shift(rest, 5))
        let multiple = rest &- a
        // exp(-2^k), k = -2 ... 4, in Q0.31.
        let factors: [7 of Int32] = [
            1_672_461_947, 1_302_514_674, 790_015_084, 290_630_308, 39_332_535, 720_401, 242,
        ]
        for index in 0..<7 where multiple & (1 << (24 + Int32(index))) != 0 {
            result = multiply(result, factors[index])
        }
        return result
    }

    /// exp(a) for -1/4 <= a < 0 in Q0.31.
    private static func expOfRest(_ a: Int32) -> Int32 {
        let center: Int32 = 1_895_147_668  // exp(-1/8)
        let third: Int32 = 715_827_883
        let x = a &+ (1 << 28)
        let square = multiply(x, x)
        let cube = multiply(square, x)
        let fourth = shift(multiply(square, square), -2)
        let tail = shift(multiply(fourth &+ cube, third) &+ square, -1)
        return center &+ multiply(center, x &+ tail)
    }

    /// 1 / (1 + a) for 0 <= a < 1 in Q0.31, by Newton's iteration on half the denominator.
    static func oneOverOnePlus(_ a: Int32) -> Int32 {
        let sum = Int64(a) + Int64(Int32.max)
        let half = Int32((sum + (sum >= 0 ? 1 : -1)) / 2)
        var x: Int32 = 1_515_870_810 &+ multiply(half, -1_010_580_540)  // 48/17 - 32/17 half, in Q2.29
        for _ in 0..<3 {
            let error = (1 << 29) &- multiply(half, x)
            x = x &+ shift(multiply(x, error), 2)
        }
        return shift(x, 1)
    }

    /// 1 / x for x > 0 with `integerBits` integer bits: the result times 2^-bits, in Q0.31.
    static func reciprocal(_ x: Int32, integerBits: Int) -> (value: Int32, bits: Int) {
        let headroom = x.leadingZeroBitCount
        let fraction = Int32(bitPattern: (UInt32(bitPattern: x) << UInt32(headroom)) &- (1 << 31))
        return (oneOverOnePlus(fraction), integerBits - headroom)
    }

    /// 1 / sqrt(x) for an integer x >= 0 as a multiplier; 0 counts as 1.
    static func inverseSquareRoot(_ x: Int32) -> (significand: Int32, shift: Int) {
        guard x > 1 else { return (.max, 0) }
        var input = x
        var rightShift = 11
        while input >= 1 << 29 {
            input /= 4
            rightShift += 1
        }
        let pairs = (input.leadingZeroBitCount - 1) / 2 - 1
        rightShift -= pairs
        input <<= Int32(2 * pairs)
        // Newton's iteration x = 3/2 x - a/2 x^3 from 1, in Q3.28.
        let a = input >> 1
        let halfA = shift(a, -1)
        let threeHalves: Int32 = (1 << 28) + (1 << 27)
        var y: Int32 = 1 << 28
        for _ in 0..<5 {
            let cube = shift(multiply(multiply(y, y), y), 6)
            y = shift(multiply(threeHalves, y) &- multiply(halfA, cube), 3)
        }
        var significand = multiply(y, 1_518_500_250)  // sqrt(1/2)
        if rightShift < 0 {
            significand <<= Int32(-rightShift)
            rightShift = 0
        }
        return (significand, -rightShift)
    }

    /// log(x) for x >= 1 in Q12.19, the result in Q5.26. x is taken as 2^n r twice, with r about the fourth root of
    /// 1/2, and log r as a rational function about that point.
    static func log(_ x: Int32) -> Int32 {
        let integerBits = 12
        let log2: Int32 = 1_488_522_236
        let center: Int32 = 1_805_811_301  // 2^(-1/4)
        let rootHalf: Int32 = 1_518_500_250
        let quarter = shift(536_870_912, -6)  // 1/4 in Q6.25

        let headroomA = x.leadingZeroBitCount
        let restA = shift(multiply(shift(x, headroomA - 1), rootHalf), 1)
        let powerA = saturatingAdd(shift(Int32(integerBits - headroomA), 25), quarter)
        let scaled = multiply(x, rootHalf)
        let headroomB = scaled.leadingZeroBitCount - 1
        let restB = shift(x, headroomB)
        let powerB = saturatingSubtract(shift(Int32(integerBits - headroomB), 25), quarter)
        let rest = min(restA, restB)
        let power = max(powerA, powerB)

        let half = Int64(rest) + Int64(center)
        let p = Int32((half + (half >= 0 ? 1 : -1)) / 2)
        var q = rest &- center
        q = q &+ q
        let square = multiply(q, q)
        let numerator = multiply(q, rest) &+ multiply(multiply(q, square), 117_049_297)
        let denominator =
            multiply(p, 1_057_819_769 &+ q &+ multiply(127_690_142, square)) &+ multiply(638_450_708, q)
        let quotient = multiply(shift(numerator, -6), oneOverOnePlus(denominator))
        return shift(multiply(power, log2) &+ quotient, 1)
    }

    private static func saturatingAdd(_ a: Int32, _ b: Int32) -> Int32 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? (a < 0 ? .min : .max) : sum
    }

    private static func saturatingSubtract(_ a: Int32, _ b: Int32) -> Int32 {
        let (difference, overflow) = a.subtractingReportingOverflow(b)
        return overflow ? (a < 0 ? .min : .max) : difference
    }
}
