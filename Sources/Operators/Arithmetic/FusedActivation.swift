import Kernels
import Model

/// What a fused activation lets pass.
extension FusedActivation {
    /// The option's value, or a Failure that begins with the operator's name.
    package init(option: Int, operator name: String) throws(Failure) {
        guard let activation = FusedActivation(rawValue: option) else {
            throw .invalidModel("\(name): the fused activation has code \(option), 0...5 are known")
        }
        self = activation
    }

    /// True where clamping to `floatRange` is the whole activation.
    package var isClamp: Bool { self != .tanh && self != .signBit }

    /// Real values that pass.
    package var floatRange: (minimum: Float, maximum: Float) {
        switch self {
        case .relu: (0, .infinity)
        case .reluN1To1: (-1, 1)
        case .relu6: (0, 6)
        case .none, .tanh, .signBit: (-.infinity, .infinity)
        }
    }

    /// The activation of a real number, but for SIGN_BIT.
    func apply(_ x: Float) -> Float {
        if self == .tanh { return Real.tanh(x) }
        let (low, high) = floatRange
        return min(max(x, low), high)
    }

    /// Quantized values of an output with this type, scale and zero point that pass. The type is one of int8, uint8
    /// and int16; anything else, a scale that cannot be used, and an activation that is not a clamp give nil.
    package func integerRange(of output: TensorInfo) -> (minimum: Int, maximum: Int)? {
        guard isClamp, let type = Self.range(of: output.type) else { return nil }
        let (low, high) = floatRange
        guard let minimum = low.isFinite ? Self.quantize(low, output) : type.minimum,
            let maximum = high.isFinite ? Self.quantize(high, output) : type.maximum
        else { return nil }
        return (max(type.minimum, minimum), min(type.maximum, maximum))
    }

    /// All values of a quantized type.
    package static func range(of type: TensorType) -> (minimum: Int, maximum: Int)? {
        switch type {
        case .int8: (-128, 127)
        case .uint8: (0, 255)
        case .int16: (-32768, 32767)
        default: nil
        }
    }

    private static func quantize(_ value: Float, _ tensor: TensorInfo) -> Int? {
        let steps = (value / tensor.scale).rounded(.toNearestOrAwayFromZero)
        guard abs(steps) <= 0x1p31 else { return nil }
        return Int(steps) + tensor.zeroPoint
    }
}
