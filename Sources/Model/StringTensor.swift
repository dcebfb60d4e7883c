/// The buffer of a STRING tensor: int32 count, that many int32 starts, int32 end of the last, then the bytes; places
/// count from the start of the buffer.
package enum StringTensor {
    /// The number of strings, or nil if a string would lie outside the buffer.
    package static func validCount(_ data: Bytes) -> Int? {
        guard let count = int32(data, 0), count >= 0, let first = int32(data, 1) else { return nil }
        guard count < data.count / 4, first >= 4 * (count + 2) else { return nil }
        var previous = first
        for index in 1..<(count + 1) {
            guard let next = int32(data, index + 1), next >= previous else { return nil }
            previous = next
        }
        return previous <= data.count ? count : nil
    }

    /// The strings as views of the buffer, or nil if one would lie outside it. They need not be UTF-8.
    package static func decode(_ data: Bytes) -> [Bytes]? {
        guard let count = validCount(data) else { return nil }
        var strings: [Bytes] = []
        strings.reserveCapacity(count)
        for index in 0..<count {
            guard let start = int32(data, index + 1), let end = int32(data, index + 2),
                let string = data.slice(offset: start, count: end - start)
            else { return nil }
            strings.append(string)
        }
        return strings
    }

    /// Throws `EO_OUT_OF_RANGE` if the buffer would not fit 32-bit places.
    package static func encode(_ strings: [[UInt8]]) throws(Failure) -> Bytes {
        var place = 4 * (strings.count + 2)
        let total = strings.reduce(place) { $0 + $1.count }
        guard total <= Int(Int32.max) else {
            throw .outOfRange("\(total) bytes of strings are more than a tensor of strings can hold")
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(total)
        func append(_ value: Int) {
            for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        append(strings.count)
        for string in strings {
            append(place)
            place += string.count
        }
        append(place)
        for string in strings { bytes += string }
        return try Bytes(copying: bytes)
    }

    private static func int32(_ data: Bytes, _ index: Int) -> Int? {
        guard index >= 0, index < data.count / 4 else { return nil }
        return Int(
            Int32(littleEndian: unsafe data.baseAddress.loadUnaligned(fromByteOffset: 4 * index, as: Int32.self)))
    }
}
