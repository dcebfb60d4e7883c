/// Numbers of the float element types as Float.
package enum FloatValues {
    /// The elements of a FLOAT32, FLOAT16 or BFLOAT16 buffer; empty for another type.
    package static func read(_ data: Bytes, _ type: TensorType) -> [Float] {
        switch type {
        case .float32: data.array(of: Float.self)
        case .float16: data.array(of: UInt16.self).map { float(half: $0) }
        case .bfloat16: data.array(of: UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }
        default: []
        }
    }

    /// IEEE 754 binary16 to binary32, exact.
    package static func float(half bits: UInt16) -> Float {
        let sign: Float = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10) & 31
        let fraction = UInt32(bits) & 0x3ff
        switch exponent {
        case 0: return sign * Float(fraction) * Float(bitPattern: 0x3380_0000)  // 2^-24
        case 31: return fraction == 0 ? sign * .infinity : .nan
        default: return sign * Float(bitPattern: UInt32(exponent + 112) << 23 | fraction << 13)
        }
    }
}
