import CFormats

/// The data of a .gz file with one member (RFC 1952).
func gunzipped(_ bytes: [UInt8], _ path: String) throws -> [UInt8] {
    let broken = Failure("\(path): is not a .gz file, or is broken")
    guard bytes.count >= 18, bytes[0] == 0x1f, bytes[1] == 0x8b, bytes[2] == 8 else { throw broken }
    let flags = bytes[3]
    let end = bytes.count - 8
    var start = 10
    if flags & 4 != 0 { start += 2 + Int(bytes[10]) + Int(bytes[11]) << 8 }
    // A name, a comment: each ends with a zero.
    for flag in [UInt8(8), 16] where flags & flag != 0 {
        guard start < end, let zero = bytes[start..<end].firstIndex(of: 0) else { throw broken }
        start = zero + 1
    }
    if flags & 2 != 0 { start += 2 }
    let size = (0..<4).reduce(0) { $0 | Int(bytes[end + 4 + $1]) << (8 * $1) }
    // Deflate cannot do better than 1032 to 1.
    guard start <= end, size / 1032 <= end - start + 1 else { throw broken }
    var result = [UInt8](repeating: 0, count: size)
    let isWhole = bytes[start..<end].withUnsafeBytes { source in
        result.withUnsafeMutableBytes { target in
            guard let from = source.baseAddress, let to = target.baseAddress else { return size == 0 }
            return formats_inflate(from, source.count, to, target.count)
        }
    }
    guard isWhole else { throw broken }
    return result
}
