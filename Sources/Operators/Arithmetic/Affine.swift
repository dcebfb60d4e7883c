import Model

/// Per-tensor quantization: real = scale (stored - zeroPoint).
struct Affine: Equatable, Sendable {
    let scale: Float
    let zeroPoint: Int
    /// All values of the stored type.
    let minimum: Int
    let maximum: Int

    var zero: Int32 { Int32(truncatingIfNeeded: zeroPoint) }

    /// The nearest stored value.
    @inline(__always)
    func clamped(_ value: Int32) -> Int32 {
        min(Int32(truncatingIfNeeded: maximum), max(Int32(truncatingIfNeeded: minimum), value))
    }
}

extension Preparation {
    /// The quantization of an int8, uint8 or int16 tensor, checked: one positive scale, a zero point that is a value of
    /// the type.
    func affine(_ tensor: TensorInfo) throws(Failure) -> Affine {
        guard let range = FusedActivation.range(of: tensor.type) else { throw unsupportedTypes() }
        guard let quantization = tensor.quantization, quantization.scales.count == 1,
            quantization.zeroPoints.count <= 1
        else {
            throw invalid("\(tensor.described) needs one scale and one zero point for the whole tensor")
        }
        let scale = tensor.scale
        guard scale > 0, scale.isFinite, scale.isNormal else {
            throw invalid("\(tensor.described) has scale \(scale), expected a positive number")
        }
        guard tensor.zeroPoint >= range.minimum, tensor.zeroPoint <= range.maximum else {
            throw invalid(
                "\(tensor.described) has zero point \(tensor.zeroPoint), expected \(range.minimum)...\(range.maximum)")
        }
        return Affine(scale: scale, zeroPoint: tensor.zeroPoint, minimum: range.minimum, maximum: range.maximum)
    }

    /// Same type for all, or a Failure.
    func requireType(_ type: TensorType, of tensors: TensorInfo...) throws(Failure) {
        for tensor in tensors where tensor.type != type { throw unsupportedTypes() }
    }

    /// A quotient of scales that the float arithmetic can work with.
    func finite(_ factor: Float) throws(Failure) -> Float {
        guard factor.isFinite else { throw invalid("the scales of inputs and output are too far apart") }
        return factor
    }
}
