import CFormats

/// Reads .zip archives, which .npz files are: stored and deflated entries (PKWARE APPNOTE 6.3, sections 4.3 to 4.5).
struct ZipArchive {
    struct Entry {
        let name: String
        fileprivate let method: Int
        fileprivate let compressedSize: Int
        fileprivate let size: Int
        fileprivate let offset: Int
    }

    let entries: [Entry]
    private let bytes: [UInt8]
    private let path: String

    init(_ path: String) throws {
        let bytes = try readFile(path)
        let reader = LittleEndian(bytes: bytes)
        let broken = Failure("\(path): is not a .zip archive, or is broken")
        // The end record is 22 bytes and a comment of at most 65535.
        let first = max(0, bytes.count - 22 - 65535)
        guard bytes.count >= 22,
            let end = stride(from: bytes.count - 22, through: first, by: -1).first(where: {
                reader.number($0, 4) == 0x0605_4b50
            }), let count = reader.number(end + 10, 2), var place = reader.number(end + 16, 4)
        else { throw broken }

        var entries: [Entry] = []
        for _ in 0..<count {
            guard reader.number(place, 4) == 0x0201_4b50, let method = reader.number(place + 10, 2),
                let compressedSize = reader.number(place + 20, 4), let size = reader.number(place + 24, 4),
                let nameLength = reader.number(place + 28, 2), let extraLength = reader.number(place + 30, 2),
                let commentLength = reader.number(place + 32, 2), let offset = reader.number(place + 42, 4),
                place + 46 + nameLength + extraLength <= bytes.count
            else { throw broken }
            let name = String(decoding: bytes[place + 46..<place + 46 + nameLength], as: UTF8.self)
            let extraEnd = place + 46 + nameLength + extraLength
            var numbers = [size, compressedSize, offset]

            // Zip64: the extra field 1 holds, in this order, those of the numbers that do not fit 32 bits.
            var extra = extraEnd - extraLength
            while extra + 4 <= extraEnd, let id = reader.number(extra, 2), let length = reader.number(extra + 2, 2) {
                var field = extra + 4
                for index in numbers.indices where id == 1 && numbers[index] == 0xffff_ffff {
                    guard let wide = reader.number(field, 8) else { throw broken }
                    numbers[index] = wide
                    field += 8
                }
                extra += 4 + length
            }
            entries.append(
                Entry(name: name, method: method, compressedSize: numbers[1], size: numbers[0], offset: numbers[2]))
            place = extraEnd + commentLength
        }
        (self.bytes, self.path, self.entries) = (bytes, path, entries)
    }

    func contents(of entry: Entry) throws -> [UInt8] {
        let reader = LittleEndian(bytes: bytes)
        let broken = Failure("\(path): entry '\(entry.name)' is broken")
        guard reader.number(entry.offset, 4) == 0x0403_4b50, let nameLength = reader.number(entry.offset + 26, 2),
            let extraLength = reader.number(entry.offset + 28, 2)
        else { throw broken }
        let start = entry.offset + 30 + nameLength + extraLength
        guard entry.compressedSize <= bytes.count - start, start <= bytes.count else { throw broken }
        let stored = bytes[start..<start + entry.compressedSize]
        switch entry.method {
        case 0: return Array(stored)
        case 8:
            // Deflate cannot do better than 1032 to 1: a larger claim is a lie that would only cost memory.
            guard entry.size / 1032 <= entry.compressedSize + 1 else { throw broken }
            var result = [UInt8](repeating: 0, count: entry.size)
            let done = stored.withUnsafeBytes { source in
                result.withUnsafeMutableBytes { target in
                    target.isEmpty
                        || formats_inflate(source.baseAddress!, source.count, target.baseAddress!, target.count)
                }
            }
            guard done else { throw broken }
            return result
        default: throw Failure("\(path): entry '\(entry.name)' is compressed by method \(entry.method), not deflate")
        }
    }
}

private struct LittleEndian {
    let bytes: [UInt8]

    /// The number of `size` bytes at `offset`, if it is there and fits Int.
    func number(_ offset: Int, _ size: Int) -> Int? {
        guard offset >= 0, offset <= bytes.count - size else { return nil }
        var value: UInt64 = 0
        for index in 0..<size { value |= UInt64(bytes[offset + index]) << (8 * UInt64(index)) }
        return Int(exactly: value)
    }
}
