import Kernels
import Model

/// MUL: y = clamp(a b). Options: 0 fused activation.
enum Multiply {
    static var definition: OperatorDefinition {
        .binary(.mul, maxVersion: 8, quantization: .binary, activationField: 0) { binary throws(Failure) in
            switch binary.a.type {
            case .float32: return try binary.float(.multiply)
            case .int32, .int64: return binary.combine(.multiply)
            case .uint32: return binary.integer { (a: UInt32, b: UInt32) in a &* b }
            case .int16 where binary.a.quantization == nil: return binary.combine(.multiply)
            case .int8: return try quantized(Int8.self, binary)
            case .uint8: return try quantized(UInt8.self, binary)
            case .int16: return try quantized(Int16.self, binary)
            default: throw binary.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let dz = try g.beforeActivation(0)
            return [try dz * g.b, try dz * g.x]
        }
    }

    private static func quantized<T: QuantizedInteger>(_ type: T.Type, _ binary: Binary) throws(Failure) -> Kernel {
        let (a, b, y) = try binary.affines()
        let (minimum, maximum) = try binary.outputRange()
        let factor = try binary.op.finite(a.scale * b.scale / y.scale)
        if binary.op.arithmetic == .reference {
            let multiplier = QuantizedMultiplier(Double(factor))
            let (low, high) = (Int32(truncatingIfNeeded: minimum), Int32(truncatingIfNeeded: maximum))
            return binary.reference(type) {
                let product = multiplier.scale(($0 &- a.zero) &* ($1 &- b.zero))
                return min(high, max(low, product &+ y.zero))
            }
        }
        let arithmetic = QuantizedArithmetic(
            scaleA: factor, zeros: (a.zeroPoint, b.zeroPoint, y.zeroPoint), minimum: minimum, maximum: maximum)
        let shape = binary.shape
        return { io in
            var y = io.output(as: T.self)
            Elementwise.multiply(shape, io.input(0), io.input(1), &y, arithmetic, pool: io.pool)
        }
    }
}
