/// Elements smaller than a byte: INT4, UINT4 and INT2, element 0 in the lowest bits of byte 0.
package enum PackedIntegers {
    /// `count` elements, signed types sign-extended. nil if the type is not packed or the data are too short.
    package static func unpack(_ data: Bytes, type: TensorType, count: Int) -> [Int8]? {
        guard let bits = type.packedBits, let needed = type.byteCount(count), count >= 0, data.count >= needed else {
            return nil
        }
        let bytes = data.array(of: UInt8.self)
        let perByte = 8 / bits
        var values: [Int8] = []
        values.reserveCapacity(count)
        for index in 0..<count {
            let raised = bytes[index / perByte] << UInt8(8 - bits - index % perByte * bits)
            values.append(
                type == .uint4 ? Int8(raised >> UInt8(8 - bits)) : Int8(bitPattern: raised) >> Int8(8 - bits))
        }
        return values
    }

    /// The low bits of each value; unused bits of the last byte are 0. nil if the type is not packed.
    package static func pack(_ values: [Int8], type: TensorType) -> [UInt8]? {
        guard let bits = type.packedBits else { return nil }
        let perByte = 8 / bits
        let mask = UInt8(1 << bits - 1)
        var bytes = [UInt8](repeating: 0, count: (values.count + perByte - 1) / perByte)
        for (index, value) in values.enumerated() {
            bytes[index / perByte] |= (UInt8(bitPattern: value) & mask) << UInt8(index % perByte * bits)
        }
        return bytes
    }
}

extension TensorType {
    fileprivate var packedBits: Int? {
        switch self {
        case .int4, .uint4: 4
        case .int2: 2
        default: nil
        }
    }
}
