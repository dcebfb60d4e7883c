import Kernels
import Model

/// MUL and ADD (or SUB) with constants for each channel, such as a batch normalization that no convolution has taken up,
/// in one pass. Inputs: 0 x, 1 factors, 2 shifts, the constants with one element or one for each channel. The bits are
/// those of the two operators.
package struct ScaleShift: Sendable {
    package static let name = "MUL+ADD"
    /// The tensor between the two operators.
    let middle: TensorInfo
    let multiplication: FusedActivation
    let addition: FusedActivation
    /// -1: the shifts are subtracted.
    let sign: Float
    private static let rowLength = 512

    /// nil if the operators cannot be joined: `factors` and `shifts` must be constants along the channels of `x`, and
    /// the types float32, int8, uint8, or int16 without zero points (one more bit, and products would not fit 32).
    package init?(
        x: TensorInfo, factors: TensorInfo, middle: TensorInfo, shifts: TensorInfo, output: TensorInfo,
        multiplication: Int, addition: Int, subtracts: Bool
    ) {
        guard let first = FusedActivation(rawValue: multiplication), let second = FusedActivation(rawValue: addition),
            first.isClamp, second.isClamp, x.shape == middle.shape, x.shape == output.shape, x.count > 0,
            [.float32, .int8, .uint8, .int16].contains(x.type),
            [factors.type, middle.type, shifts.type, output.type].allSatisfy({ $0 == x.type })
        else { return nil }
        if x.type == .int16 {
            let isSymmetric = [x, factors, middle, shifts, output].allSatisfy {
                $0.quantization != nil && $0.zeroPoint == 0
            }
            guard isSymmetric else { return nil }
        }
        for constant in [factors, shifts] {
            guard constant.isConstant, constant.rank <= x.rank,
                constant.count == 1 || constant.count == x.shape.last && constant.shape.last == x.shape.last
            else { return nil }
        }
        self.middle = middle
        (self.multiplication, self.addition, sign) = (first, second, subtracts ? -1 : 1)
    }

    package var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: Self.name, maxVersion: 1, inPlace: true) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            let channels = max(1, try op.input(0).shape.last ?? 1)
            op.finish = try Finish(
                second: try constants(op, channels), elementSize: (try op.input(0).type.bits ?? 8) / 8)
            let rows = try constants(op, channels * Self.repeats(channels, pixels: try op.input(0).count / channels))
            op.kernelName = "scale and shift"
            return { io in
                var y = io.output(as: UInt8.self)
                rows.run(io.input(0), &y, pool: io.pool)
            }
        }
    }

    /// How often few channels are repeated, because a row of three numbers costs as much as one of many: whole rows make
    /// up the tensor.
    private static func repeats(_ channels: Int, pixels: Int) -> Int {
        (1...max(1, rowLength / channels)).last { pixels % $0 == 0 } ?? 1
    }

    /// `length`: of a row, a multiple of the channels.
    private func constants(_ op: Preparation, _ length: Int) throws(Failure) -> RowConstants {
        let (x, factors, shifts, y) = (try op.input(0), try op.input(1), try op.input(2), try op.output())
        guard x.type != .float32 else {
            return try RowConstants(
                factors: spread(factors.constant?.array(of: Float.self) ?? [], length),
                shifts: spread((shifts.constant?.array(of: Float.self) ?? []).map { sign * $0 }, length),
                middle: multiplication.floatRange, clamp: addition.floatRange)
        }
        let (a, b, m, c, d) = (
            try op.affine(x), try op.affine(factors), try op.affine(middle), try op.affine(shifts), try op.affine(y)
        )
        guard let first = multiplication.integerRange(of: middle), let second = addition.integerRange(of: y) else {
            throw op.unsupportedTypes()
        }
        return try RowConstants(
            x.type, factors: spread(stored(factors), length),
            QuantizedArithmetic(
                scaleA: try op.finite(a.scale * b.scale / m.scale), zeros: (a.zeroPoint, b.zeroPoint, m.zeroPoint),
                minimum: first.minimum, maximum: first.maximum),
            shifts: spread(stored(shifts), length),
            QuantizedArithmetic(
                scaleA: try op.finite(m.scale / d.scale), scaleB: sign * (try op.finite(c.scale / d.scale)),
                zeros: (m.zeroPoint, c.zeroPoint, d.zeroPoint), minimum: second.minimum, maximum: second.maximum))
    }

    private func stored(_ tensor: TensorInfo) -> [Int] {
        guard let bytes = tensor.constant else { return [] }
        switch tensor.type {
        case .int16: return bytes.array(of: Int16.self).map { Int($0) }
        case .int8: return bytes.array(of: Int8.self).map { Int($0) }
        default: return bytes.array(of: UInt8.self).map { Int($0) }
        }
    }

    private func spread<T>(_ values: [T], _ length: Int) -> [T] {
        (0..<(values.isEmpty ? 0 : length)).map { values[$0 % values.count] }
    }
}
