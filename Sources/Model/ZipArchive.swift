/// Associated files are a ZIP archive behind the model, and the archive's directory names places in the whole file.
/// When the model before it changes its size, the directory has to follow, or C readers of the archive refuse it.
///
/// Record layouts: PKWARE APPNOTE 6.3, 4.3.12 (central directory) and 4.3.16 (its end).
enum ZipArchive {
    private static let directoryEntry = 0x0201_4b50
    private static let directoryEnd = 0x0605_4b50

    /// The archive as it must be if its first byte is byte `place` of the file; the same bytes if they are no archive
    /// that this can follow, or already right. A `Model` keeps it as a file of its own: at place 0.
    static func moved(_ archive: Bytes, to place: Int) throws(Failure) -> Bytes {
        guard let end = findEnd(archive), let entries = number(archive, end + 10, 2),
            let size = number(archive, end + 12, 4), let directory = number(archive, end + 16, 4), size <= end
        else { return archive }
        let start = end - size
        let shift = place + start - directory
        guard shift != 0, directory + shift <= Int(UInt32.max) else { return archive }
        var fields = [end + 16]
        var entry = start
        for _ in 0..<entries {
            guard number(archive, entry, 4) == directoryEntry, let nameSize = number(archive, entry + 28, 2),
                let extraSize = number(archive, entry + 30, 2), let commentSize = number(archive, entry + 32, 2),
                let header = number(archive, entry + 42, 4), header + shift >= 0, header + shift <= Int(UInt32.max)
            else { return archive }
            fields.append(entry + 42)
            entry += 46 + nameSize + extraSize + commentSize
        }
        guard entry == end else { return archive }
        var bytes = archive.array(of: UInt8.self)
        for field in fields {
            let value = (number(archive, field, 4) ?? 0) + shift
            for index in 0..<4 { bytes[field + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
        }
        return try Bytes(copying: bytes)
    }

    /// The end record is the last thing but a comment of at most 65535 bytes.
    private static func findEnd(_ archive: Bytes) -> Int? {
        var place = archive.count - 22
        let last = max(0, place - 65535)
        while place >= last {
            if number(archive, place, 4) == directoryEnd, number(archive, place + 20, 2) == archive.count - place - 22 {
                return place
            }
            place -= 1
        }
        return nil
    }

    private static func number(_ bytes: Bytes, _ place: Int, _ width: Int) -> Int? {
        guard place >= 0, width <= bytes.count, place <= bytes.count - width else { return nil }
        var value = 0
        for index in (0..<width).reversed() {
            value = value << 8 | Int(unsafe bytes.baseAddress.load(fromByteOffset: place + index, as: UInt8.self))
        }
        return value
    }
}
