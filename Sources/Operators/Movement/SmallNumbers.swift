import Model

/// Elements of less than a byte: the first in the lowest bits, signed ones in two's complement.
struct PackedElements: Sendable {
    private let perByte: Int
    private let bits: Int32
    private let mask: Int32
    private let signed: Bool

    init(_ type: TensorType) {
        let bits = type == .int2 ? 2 : 4
        self.bits = Int32(bits)
        perByte = 8 / bits
        mask = 1 << Int32(bits) - 1
        signed = type != .uint4
    }

    @inline(__always)
    func value(_ bytes: Span<UInt8>, _ index: Int) -> Int32 {
        let raw = Int32(bytes[index / perByte]) >> (Int32(index % perByte) &* bits) & mask
        return signed && raw > mask >> 1 ? raw &- mask &- 1 : raw
    }

    @inline(__always)
    func store(_ value: Int32, _ bytes: inout MutableSpan<UInt8>, _ index: Int) {
        let shift = Int32(index % perByte) &* bits
        let byte = index / perByte
        let old = Int32(bytes[byte]) & ~(mask << shift)
        bytes[byte] = UInt8(truncatingIfNeeded: old | (value & mask) << shift)
    }
}

/// The 8-bit floating-point numbers of Micikevicius et al., "FP8 Formats for Deep Learning" (2022): all 256 values.
enum SmallFloat {
    /// 4 exponent bits, bias 7; no infinities, NaN is all ones.
    static let e4m3 = (0..<256).map { value($0, mantissaBits: 3, bias: 7, top: $0 & 0x7F == 0x7F ? .nan : nil) }
    /// 5 exponent bits, bias 15; infinities and NaN as in IEEE 754.
    static let e5m2 = (0..<256).map {
        value($0, mantissaBits: 2, bias: 15, top: $0 & 0x7F < 0x7C ? nil : $0 & 3 == 0 ? .infinity : .nan)
    }

    /// The bits of the nearest of a format's values, ties to even; what rounds beyond the greatest gives `overflow`.
    static func nearest(_ x: Float, in values: [Float], greatest: Int, overflow: UInt8) -> UInt8 {
        let sign: UInt8 = x.sign == .minus ? 0x80 : 0
        guard x == x else { return sign | 0x7F }
        let magnitude = abs(x)
        var (low, high) = (0, greatest)
        while low < high {
            let middle = (low + high + 1) / 2
            if values[middle] <= magnitude { low = middle } else { high = middle - 1 }
        }
        guard low < greatest else {
            let halfway = values[greatest] + (values[greatest] - values[greatest - 1]) / 2
            return sign
                | (magnitude > halfway || greatest & 1 == 1 && magnitude == halfway ? overflow : UInt8(greatest))
        }
        let (below, above) = (magnitude - values[low], values[low + 1] - magnitude)
        let isUp = above < below || above == below && low & 1 == 1
        return sign | UInt8(isUp ? low + 1 : low)
    }

    /// Bits of the nearest bfloat16, ties to even.
    static func bfloat16(_ x: Float) -> UInt16 {
        guard x == x else { return 0x7FC0 }
        let bits = x.bitPattern
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }

    private static func value(_ bits: Int, mantissaBits: Int, bias: Int, top: Float?) -> Float {
        let sign: Float = bits & 0x80 == 0 ? 1 : -1
        if let top { return sign * top }
        let exponent = (bits & 0x7F) >> mantissaBits
        let mantissa = Float(bits & (1 << mantissaBits - 1)) / Float(1 << mantissaBits)
        let scale = Float(sign: .plus, exponent: max(exponent, 1) - bias, significand: 1)
        return sign * scale * (exponent == 0 ? mantissa : 1 + mantissa)
    }
}
