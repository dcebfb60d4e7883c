import Kernels
import Model

/// The values a tensor takes, zero included: zero must be representable exactly, for padding and for ReLU.
package struct ValueRange: Equatable, Sendable {
    package private(set) var min: Float
    package private(set) var max: Float

    package init(_ min: Float, _ max: Float) {
        self.min = Swift.min(min, 0)
        self.max = Swift.max(max, 0)
    }

    /// The range of some numbers; nil if one of them is not finite.
    package init?(of values: [Float]) {
        var low: Float = 0
        var high: Float = 0
        for value in values {
            guard value.isFinite else { return nil }
            low = Swift.min(low, value)
            high = Swift.max(high, value)
        }
        self.init(low, high)
    }

    var width: Double { Double(max) - Double(min) }
    func contains(_ other: ValueRange) -> Bool { min <= other.min && max >= other.max }
}

/// Per-tensor quantization: real = scale * (stored - zeroPoint).
struct Parameters: Equatable {
    var type: TensorType
    var scale: Float
    var zeroPoint: Int
    /// Fewer than the type has: the values use the upper end of int8, so that ReLU and saturation cut most of them off,
    /// or the middle of int16.
    var bits: Int

    /// The stored numbers in use.
    var low: Int {
        switch type {
        case .int16: -(1 << (bits - 1))
        case .uint8: 256 - (1 << bits)
        default: 128 - (1 << bits)
        }
    }
    var high: Int { low + (1 << bits) - 1 }

    /// Numbers of the type that are not in use, below and above.
    var isCutBelow: Bool { bits < (type == .int16 ? 16 : 8) }
    var isCutAbove: Bool { isCutBelow && type == .int16 }

    var quantization: Quantization { Quantization(scale: scale, zeroPoint: zeroPoint) }

    /// Asymmetric int8, all of it [-128, 127] with 8 bits, or symmetric int16, [-32767, 32767] with 16.
    init(_ range: ValueRange, type: TensorType, bits: Int? = nil) {
        self.init(type: type, scale: 1, zeroPoint: 0, bits: bits)
        let (scale, zeroPoint) = affineParameters(
            min: range.min, max: range.max, low: Float(low), high: Float(high), isSymmetric: type == .int16)
        self.scale = scale
        self.zeroPoint = Int(zeroPoint)
    }

    /// `bits` nil: all that the type has.
    init(type: TensorType, scale: Float, zeroPoint: Int, bits: Int? = nil) {
        self.type = type
        self.scale = scale
        self.zeroPoint = zeroPoint
        self.bits = bits ?? (type == .int16 ? 16 : 8)
    }

    /// The same numbers stored as uint8.
    var asUInt8: Parameters { Parameters(type: .uint8, scale: scale, zeroPoint: zeroPoint + 128, bits: bits) }

    /// The stored number nearest to a finite real one, clamped to those in use.
    func quantize(_ value: Float) -> Int {
        let steps = quantizationSteps(value, scale: scale)
        return Int(Swift.min(Swift.max(steps, Float(low - zeroPoint)), Float(high - zeroPoint))) + zeroPoint
    }
}
