import CEdgeOpt
import CPlatform
import Model

/// The file of a training under way: named sections of bytes. All numbers are little-endian.
///
///     8   "EOTRAIN\n"
///     4   version, 1
///     4   number of sections
///     8   bytes that follow the header
///     8   their checksum
///     then for each section:
///     4   bytes of the name         4   0
///     8   bytes of the contents
///     name and contents, each filled up with zeros to a multiple of 8 bytes
struct CheckpointFile {
    struct Section {
        let name: String
        let contents: Bytes
    }

    private(set) var sections: [Section] = []

    private static let magic: [UInt8] = Array("EOTRAIN\n".utf8)
    private static let version: UInt32 = 1
    private static let headerSize = 32

    init() {}

    mutating func add(_ name: String, _ contents: Bytes) { sections.append(Section(name: name, contents: contents)) }

    // MARK: Writing

    /// The parts of the file one after the other.
    func parts() throws(Failure) -> [Bytes] {
        var parts: [Bytes] = []
        var checksum = Checksum()
        var length = 0
        for section in sections {
            let name = Array(section.name.utf8)
            var head = Self.bytes(UInt32(clamping: name.count)) + Self.bytes(UInt32(0))
            head += Self.bytes(UInt64(section.contents.count)) + name
            head += [UInt8](repeating: 0, count: Self.padding(name.count))
            parts.append(try Bytes(copying: head))
            parts.append(section.contents)
            parts.append(try Bytes(copying: [UInt8](repeating: 0, count: Self.padding(section.contents.count))))
            for part in parts.suffix(3) { length += part.count }
            // The last word of the contents takes the zeros after them in.
            for part in parts.suffix(3).dropLast() { checksum.add(part) }
        }
        var header = Self.magic + Self.bytes(Self.version) + Self.bytes(UInt32(clamping: sections.count))
        header += Self.bytes(UInt64(length)) + Self.bytes(checksum.value)
        return [try Bytes(copying: header)] + parts
    }

    /// Writes to a temporary name beside `path` and renames: the old file stays whole until the new one is.
    func write(_ path: String) throws(Failure) {
        let parts = try parts()
        let error = unsafe parts.map { unsafe platform_part(base: $0.baseAddress, size: $0.count) }
            .withUnsafeBufferPointer { parts in
                unsafe path.withCString { path in
                    unsafe parts.baseAddress.map { unsafe platform_write_file(path, $0, parts.count, true) } ?? 0
                }
            }
        guard error == 0 else {
            throw Failure(EO_FILE_ERROR, "\(path): the checkpoint could not be written: \(systemMessage(error))")
        }
    }

    /// For tests: gives a file with a header of the right length the right checksum.
    static func sign(_ file: inout [UInt8]) {
        var checksum = Checksum()
        guard file.count >= headerSize, let body = try? Bytes(copying: Array(file[headerSize...])) else { return }
        checksum.add(body)
        file.replaceSubrange(24..<32, with: bytes(checksum.value))
    }

    private static func padding(_ count: Int) -> Int { (8 - count % 8) % 8 }

    private static func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    // MARK: Reading

    /// Checks everything about the file but what the sections mean. `origin` is its name, for messages.
    init(_ data: Bytes, origin: String) throws(Failure) {
        func broken(_ what: Sentence) -> Failure { Failure(EO_FILE_ERROR, "\(origin): \(what)") }
        guard let header = data.slice(offset: 0, count: Self.headerSize)?.array(of: UInt8.self),
            Array(header[..<8]) == Self.magic
        else { throw broken("this is no checkpoint") }
        let version = Self.number(header[8..<12])
        guard version == UInt64(Self.version) else {
            throw broken("the checkpoint has version \(version); this library reads version 1")
        }
        let count = Self.number(header[12..<16])
        let length = Self.number(header[16..<24])
        guard length == UInt64(data.count - Self.headerSize),
            let body = data.slice(offset: Self.headerSize, count: data.count - Self.headerSize)
        else {
            throw broken(
                "the checkpoint is cut short or too long: \(length) bytes should follow its header, \(data.count - Self.headerSize) do"
            )
        }
        var checksum = Checksum()
        checksum.add(body)
        guard checksum.value == Self.number(header[24..<32]) else {
            throw broken("the checkpoint is damaged: its checksum is wrong")
        }
        var place = 0
        var read: UInt64 = 0
        while read < count {
            guard let section = Self.section(body, &place) else { throw broken("section \(read) is damaged") }
            sections.append(section)
            read += 1
        }
        guard place == body.count else { throw broken("the checkpoint has bytes after its last section") }
    }

    private static func section(_ body: Bytes, _ place: inout Int) -> Section? {
        guard let head = body.slice(offset: place, count: 16)?.array(of: UInt8.self),
            let nameCount = Int(exactly: number(head[0..<4])), number(head[4..<8]) == 0,
            let count = Int(exactly: number(head[8..<16])), count <= body.count, nameCount <= body.count,
            let name = body.slice(offset: place + 16, count: nameCount)
        else { return nil }
        let start = place + 16 + nameCount + padding(nameCount)
        guard let contents = body.slice(offset: start, count: count) else { return nil }
        place = start + count + padding(count)
        guard place <= body.count else { return nil }
        return Section(name: String(decoding: name.array(of: UInt8.self), as: UTF8.self), contents: contents)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// FNV-1a (Fowler, Noll and Vo) over 64-bit words instead of bytes, the last one filled up with zeros.
private struct Checksum {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ data: Bytes) {
        let span = data.span
        var place = 0
        var value = value
        while place + 8 <= data.count {
            value = Self.next(value, unsafe span.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self))
            place += 8
        }
        var rest: UInt64 = 0
        for offset in place..<data.count {
            let byte = unsafe span.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
            rest |= UInt64(byte) << UInt64(8 * (offset - place))
        }
        self.value = place < data.count ? Self.next(value, rest) : value
    }

    /// Products carry upwards only: the upper half has to reach the lower one.
    private static func next(_ value: UInt64, _ word: UInt64) -> UInt64 {
        let product = (value ^ word) &* 0x0100_0000_01b3
        return product ^ product >> 32
    }
}
