import Kernels

/// Tables by which the reference kernels compute functions of quantized numbers.
enum ReferenceTables {
    /// A function of 8-bit numbers: in float at every input, rounded to nearest, ties away from zero.
    static func entry(_ x: Int32, _ input: Affine, _ output: Affine, _ function: (Float) -> Float) -> Int32 {
        let real = function(input.scale * Float(x - input.zero))
        let scaled = (real * (1 / output.scale)).rounded(.toNearestOrAwayFromZero) + Float(output.zeroPoint)
        guard !scaled.isNaN else { return Int32(output.minimum) }
        return output.clamped(Int32(max(-0x1p30, min(0x1p30, scaled))))
    }

    /// A function of 16-bit numbers: 513 samples over the whole range, linear between them. Half of the interpolation
    /// error in the middle of each step is taken off its sample.
    struct Interpolated: Sendable {
        private let samples: [Int16]

        init<F: BinaryFloatingPoint>(
            input: (scale: F, zeroPoint: F), output: (scale: F, zeroPoint: F), _ function: (F) -> F
        ) {
            let low = input.scale * (-32768 - input.zeroPoint)
            let high = input.scale * (32767 - input.zeroPoint)
            let outputLow = output.scale * (-32768 - output.zeroPoint)
            let outputHigh = output.scale * (32767 - output.zeroPoint)
            let step = (high - low) / 512
            let inverse = 65536 / (outputHigh - outputLow)
            var samples: [Int16] = []
            samples.reserveCapacity(513)
            for index in 0..<512 {
                let x = low + F(index) * step
                let sample = Self.round(function(x) * inverse)
                let middle = Self.round(function(x + step / 2) * inverse)
                let next = function(low + F(index + 1) * step)
                let line = Self.round((next * inverse + sample) / 2)
                samples.append(Self.saturated(sample - Self.round((line - middle) / 2)))
            }
            samples.append(Self.saturated(Self.round(function(high) * inverse)))
            self.samples = samples
        }

        private static func round<F: BinaryFloatingPoint>(_ x: F) -> F { x.rounded(.toNearestOrAwayFromZero) }

        private static func saturated<F: BinaryFloatingPoint>(_ x: F) -> Int16 {
            x.isNaN ? 0 : Int16(min(32767, max(-32768, x)))
        }

        @inline(__always)
        func callAsFunction(_ x: Int32) -> Int32 {
            let index = Int(256 + (x >> 7))
            let base = Int32(samples[index])
            // The slope wraps to 16 bits as the reference's does.
            let slope = Int32(Int16(truncatingIfNeeded: Int32(samples[index + 1]) - base))
            return Int32(Int16(truncatingIfNeeded: base + ((slope * (x & 0x7f) + 64) >> 7)))
        }
    }

    /// The logistic function at i / 24, i = 0 ... 255, times 65536, half of the error of linear interpolation taken off.
    static let logistic: [UInt32] = {
        func sigma(_ x: Double) -> Double { 65536 / (1 + Real.exp(-x)) }
        return (0..<256).map { index in
            let (x, step) = (Double(index) / 24, 1.0 / 24)
            let error = (sigma(x) + sigma(x + step)) / 2 - sigma(x + step / 2)
            return index == 255 ? 65535 : UInt32((sigma(x) - error / 2).rounded())
        }
    }()
}

/// A positive 16-bit scale for the logistic table: 2^17 stands for 10 2/3. Powers of two are exact.
struct LogisticScale: Sendable {
    let multiplier: Int32
    let shift: Int32

    /// `exactShifts`: left shifts of Q3.12 numbers that are taken as exact.
    init(_ scale: Float, exactShifts: ClosedRange<Int>) {
        if let exponent = powerOfTwoExponent(scale), exactShifts.contains(12 + exponent) {
            (multiplier, shift) = (3 << Int32(12 + exponent), 0)
            return
        }
        var multiplier = Double(scale) * 4096 * 3
        var shift: Int32 = 0
        while multiplier <= 32767.0 / 2, shift <= 30 {
            shift += 1
            multiplier *= 2
        }
        self.multiplier = Int32(min(multiplier, 0x1p30))
        self.shift = shift
    }

    @inline(__always)
    func callAsFunction(_ x: Int32) -> Int32 {
        let rounding: Int32 = shift > 0 ? 1 << (shift - 1) : 0
        return (x &* multiplier &+ rounding) >> shift
    }
}

/// e if the scale is 2^e, within a thousandth of e.
func powerOfTwoExponent(_ scale: Float) -> Int? {
    let exponent = Real.log(scale) * (1 / Real.log(2 as Float))
    let rounded = exponent.rounded(.toNearestOrAwayFromZero)
    return abs(exponent - rounded) < 1e-3 ? Int(rounded) : nil
}
