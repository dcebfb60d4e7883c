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

    var quantization: Quantization { Quantization(scale: scale, zeroPoint: zeroPoint) }

    /// Narrower ranges than this are taken as "always zero": a product of two scales must stay a normal float.
    private static let narrowest = 1e-16

    /// Asymmetric int8 over the whole range [-128, 127], or symmetric int16 over [-32767, 32767].
    init(_ range: ValueRange, type: TensorType) {
        self.type = type
        if type == .int16 {
            let largest = Double(Swift.max(-range.min, range.max))
            scale = Float((largest < Self.narrowest ? 1 : largest) / 32767)
            zeroPoint = 0
            return
        }
        let width = range.width < Self.narrowest ? 1 : range.width
        let scale = width / 255
        self.scale = Float(scale)
        zeroPoint = Self.nudgedZeroPoint(range, scale)
    }

    init(type: TensorType, scale: Float, zeroPoint: Int) {
        self.type = type
        self.scale = scale
        self.zeroPoint = zeroPoint
    }

    /// The integer nearest to the real zero, reckoned from that end of the range where it comes out more exactly
    /// (Jacob et al., 2018, section 3; the converter's choice of the end).
    private static func nudgedZeroPoint(_ range: ValueRange, _ scale: Double) -> Int {
        let low = Double(range.min) / scale
        let high = Double(range.max) / scale
        let fromLow = -128 - low
        let fromHigh = 127 - high
        let zero = 128 + low.magnitude < 127 + high.magnitude ? fromLow : fromHigh
        return Int(Swift.min(Swift.max(zero.rounded(), -128), 127))
    }

    /// The same numbers stored as uint8.
    var asUInt8: Parameters { Parameters(type: .uint8, scale: scale, zeroPoint: zeroPoint + 128) }

    /// The stored number nearest to a finite real one, ties away from zero, clamped to the type.
    func quantize(_ value: Float) -> Int {
        let stored = (Double(value) / Double(scale)).rounded() + Double(zeroPoint)
        let (low, high): (Double, Double) =
            switch type {
            case .int16: (-32768, 32767)
            case .uint8: (0, 255)
            default: (-128, 127)
            }
        return Int(Swift.min(Swift.max(stored, low), high))
    }
}
