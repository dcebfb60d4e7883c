import Model
import Testing

@testable import Operators

@Suite struct FixedPointTests {
    private static let decompositions: [(real: Double, significand: Int, shift: Int)] = [
        (1, 0x4000_0000, 1), (0.5, 0x4000_0000, 0), (0.75, 0x6000_0000, 0), (3, 0x6000_0000, 2),
        (0x1p-31, 0x4000_0000, -30), (0x1p-40, 0, 0), (0x1p-1074, 0, 0), (0, 0, 0), (-0.75, -0x6000_0000, 0),
        (1 - 0x1p-53, 0x4000_0000, 1), (.infinity, 0, 0), (.nan, 0, 0),
    ]

    @Test(arguments: decompositions)
    func decomposes(real: Double, significand: Int, shift: Int) {
        let multiplier = QuantizedMultiplier(real)
        #expect(Int(multiplier.significand) == significand)
        #expect(multiplier.shift == shift)
    }

    /// Both roundings go to nearest, so the result is never further than one from the real product.
    @Test func scalesWithinOneOfTheRealProduct() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let real = Double.random(in: 0...1, using: &generator) * 0x1p-4
            let x = Int32.random(in: -(1 << 24)...(1 << 24), using: &generator)
            let multiplier = QuantizedMultiplier(real)
            let exact = Double(x) * real
            #expect(abs(Double(multiplier.scale(x)) - exact) <= 1, "\(x) * \(real)")
            #expect(abs(Double(multiplier.scale(Int64(x))) - exact) <= 1 + abs(exact) * 0x1p-14, "\(x) * \(real)")
        }
    }

    /// A product of 0.4999... that the first rounding lifts to one half becomes 1: the mark of rounding twice.
    @Test func roundsTwice() {
        let multiplier = QuantizedMultiplier(0.25 - 0x1p-33)
        #expect(Int(multiplier.significand) == (1 << 31) - 1)
        #expect(multiplier.scale(Int32(2)) == 1)
        #expect(roundingDivideByPowerOfTwo(Int32(-6), 2) == -2)
        #expect(roundingDivideByPowerOfTwo(Int32(6), 2) == 2)
        #expect(roundingDivideByPowerOfTwo(Int32(5), 2) == 1)
    }

    @Test func saturates() {
        #expect(saturatingRoundingDoublingHighMultiply(Int32.min, Int32.min) == .max)
        #expect(saturatingRoundingDoublingHighMultiply(Int16.min, Int16.min) == .max)
        #expect(saturatingRoundingDoublingHighMultiply(Int16(1 << 14), Int16(1 << 14)) == 1 << 13)
        #expect(saturatingRoundingMultiplyByPowerOfTwo(Int16(200), 10) == .max)
        #expect(saturatingRoundingMultiplyByPowerOfTwo(Int16(-200), 10) == .min)
        #expect(saturatingRoundingMultiplyByPowerOfTwo(Int16(5), -1) == 3)
    }

    @Test func activationRanges() throws {
        let output = TensorInfo(type: .int8, shape: [1], quantization: Quantization(scale: 0.05, zeroPoint: -28))
        #expect(try #require(FusedActivation.relu6.integerRange(of: output)) == (-28, 92))
        #expect(try #require(FusedActivation.relu.integerRange(of: output)) == (-28, 127))
        #expect(try #require(FusedActivation.reluN1To1.integerRange(of: output)) == (-48, -8))
        #expect(try #require(FusedActivation.none.integerRange(of: output)) == (-128, 127))
        #expect(FusedActivation.tanh.integerRange(of: output) == nil)
        let tiny = TensorInfo(type: .int8, shape: [1], quantization: Quantization(scale: 1e-30, zeroPoint: 0))
        #expect(FusedActivation.relu6.integerRange(of: tiny) == nil)
        #expect(throws: Failure.self) { try FusedActivation(option: 9, operator: "CONV_2D") }
    }
}
