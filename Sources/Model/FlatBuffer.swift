/// A FlatBuffer under the eyes of a distrustful reader. Every access is checked against the bytes; loads need no
/// alignment. The tables and the elements that may be decoded are limited, so that a file whose offsets all lead to the
/// same place cannot make reading slower or bigger than its own size justifies.
final class FlatBuffer {
    let bytes: Bytes
    let origin: String
    /// What is being read, for messages.
    var part = Part.whole
    /// First byte behind everything that was read so far.
    private(set) var end = 0
    private var tablesLeft = 1_000_000
    private var bytesLeft: Int

    init(_ bytes: Bytes, origin: String) {
        self.bytes = bytes
        self.origin = origin
        // Writers share equal strings and vectors, so more than the file's own size is honest; many times it is not.
        bytesLeft = min(4 * min(bytes.count, 1 << 40), 1 << 28) + 65536
    }

    func failure(_ problem: Sentence) -> Failure { .invalidModel("\(origin): \(part.text): \(problem)") }

    /// The root table; the bytes 4 to 7 must be `identifier`.
    func root(identifier: String) throws(Failure) -> Table {
        guard bytes.count >= 8 else {
            throw failure("a FlatBuffer of at least 8 bytes was expected, found \(bytes.count) bytes")
        }
        let found = bytes.slice(offset: 4, count: 4)?.array(of: UInt8.self) ?? []
        guard found.elementsEqual(identifier.utf8) else {
            throw failure("file identifier \(identifier) was expected at byte 4, found \(printable(found))")
        }
        return try table(at: Int(try load(0, as: UInt32.self)))
    }

    func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: T.Type) throws(Failure) -> T {
        let width = MemoryLayout<T>.size
        guard offset >= 0, width <= bytes.count, offset <= bytes.count - width else {
            throw failure("\(width) bytes at byte \(offset) lie outside the \(bytes.count) bytes of the file")
        }
        return T(littleEndian: unsafe bytes.baseAddress.loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    func table(at position: Int) throws(Failure) -> Table {
        guard tablesLeft > 0 else { throw failure("the file has more than 1000000 tables") }
        tablesLeft -= 1
        let vtable = position - Int(try load(position, as: Int32.self))
        let vtableSize = Int(try load(vtable, as: UInt16.self))
        let size = Int(try load(vtable + 2, as: UInt16.self))
        guard vtableSize >= 4, vtableSize % 2 == 0, vtable + vtableSize <= bytes.count else {
            throw failure("the table at byte \(position) has a virtual table of \(vtableSize) bytes at byte \(vtable)")
        }
        guard size >= 4, position + size <= bytes.count else {
            throw failure("the table at byte \(position) has \(size) bytes; the file has \(bytes.count)")
        }
        end = max(end, vtable + vtableSize, position + size)
        return Table(buffer: self, position: position, vtable: vtable, slots: vtableSize / 2 - 2, size: size)
    }

    /// Checks a vector of `width`-byte elements. Its elements begin at the place returned.
    fileprivate func vector(at position: Int, width: Int) throws(Failure) -> Vector {
        let count = Int(try load(position, as: UInt32.self))
        guard count <= (bytes.count - position - 4) / width else {
            throw failure("a vector of \(count) elements at byte \(position) does not fit into the file")
        }
        end = max(end, position + 4 + count * width)
        return Vector(start: position + 4, count: count)
    }

    /// Pays for elements that are going to be copied.
    fileprivate func charge(_ count: Int) throws(Failure) {
        guard count <= bytesLeft else { throw failure("the file's offsets overlap too often to be a model") }
        bytesLeft -= count
    }

    fileprivate func string(_ vector: Vector) throws(Failure) -> String {
        try charge(vector.count)
        let afterText = vector.start + vector.count
        if afterText < bytes.count { end = max(end, afterText + 1) }  // the NUL that FlatBuffers puts there
        let text = unsafe UnsafeRawBufferPointer(start: bytes.baseAddress + vector.start, count: vector.count)
        return unsafe String(decoding: text, as: UTF8.self)
    }

    private func printable(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes {
            text += byte > 32 && byte < 127 ? String(UnicodeScalar(byte)) : "\\\(byte)"
        }
        return text
    }
}

/// Elements that lie inside the file.
struct Vector {
    let start: Int
    let count: Int
}

/// A table whose virtual table and inline bytes lie inside the file. An absent field gives the default or nil.
struct Table {
    fileprivate let buffer: FlatBuffer
    let position: Int
    fileprivate let vtable: Int
    fileprivate let slots: Int
    fileprivate let size: Int

    private func location(_ field: Int, width: Int) throws(Failure) -> Int? {
        guard field < slots else { return nil }
        let offset = Int(try buffer.load(vtable + 4 + 2 * field, as: UInt16.self))
        guard offset != 0 else { return nil }
        guard offset >= 4, offset + width <= size else {
            throw buffer.failure("field \(field) of the table at byte \(position) lies outside the table")
        }
        return position + offset
    }

    private func reference(_ field: Int) throws(Failure) -> Int? {
        guard let place = try location(field, width: 4) else { return nil }
        return place + Int(try buffer.load(place, as: UInt32.self))
    }

    func scalar<T: FixedWidthInteger & BitwiseCopyable>(_ field: Int, as type: T.Type) throws(Failure) -> T? {
        guard let place = try location(field, width: MemoryLayout<T>.size) else { return nil }
        return try buffer.load(place, as: type)
    }

    func int32(_ field: Int, default value: Int = 0) throws(Failure) -> Int {
        guard let found = try scalar(field, as: Int32.self) else { return value }
        return Int(found)
    }

    func uint32(_ field: Int) throws(Failure) -> Int { Int(try scalar(field, as: UInt32.self) ?? 0) }

    func byte(_ field: Int) throws(Failure) -> UInt8 { try scalar(field, as: UInt8.self) ?? 0 }

    func bool(_ field: Int) throws(Failure) -> Bool { try byte(field) != 0 }

    /// A 64-bit size or place; one that is beyond every file is refused.
    func size64(_ field: Int) throws(Failure) -> Int {
        let value = try scalar(field, as: UInt64.self) ?? 0
        guard let size = Int(exactly: value) else { throw buffer.failure("a size or offset of \(value) is too large") }
        return size
    }

    func table(_ field: Int) throws(Failure) -> Table? {
        guard let place = try reference(field) else { return nil }
        return try buffer.table(at: place)
    }

    func vector(_ field: Int, width: Int) throws(Failure) -> Vector? {
        guard let place = try reference(field) else { return nil }
        return try buffer.vector(at: place, width: width)
    }

    func string(_ field: Int) throws(Failure) -> String? {
        guard let vector = try vector(field, width: 1) else { return nil }
        return try buffer.string(vector)
    }

    /// A vector of bytes as a view into the file.
    func bytes(_ field: Int) throws(Failure) -> Bytes? {
        guard let vector = try vector(field, width: 1) else { return nil }
        return buffer.bytes.slice(offset: vector.start, count: vector.count)
    }

    /// A vector of integers, copied; nil if it is absent.
    func integers<T: FixedWidthInteger & BitwiseCopyable, Element: FixedWidthInteger>(
        _ field: Int, of type: T.Type, as element: Element.Type
    ) throws(Failure) -> [Element]? {
        let width = MemoryLayout<T>.size
        guard let vector = try vector(field, width: width) else { return nil }
        return try elements(vector, of: type).map { Element(truncatingIfNeeded: T(littleEndian: $0)) }
    }

    /// The vector lies inside the file.
    private func elements<T: BitwiseCopyable>(_ vector: Vector, of type: T.Type) throws(Failure) -> [T] {
        let size = vector.count * MemoryLayout<T>.size
        try buffer.charge(size)
        return buffer.bytes.slice(offset: vector.start, count: size)?.array(of: type) ?? []
    }

    func ints(_ field: Int) throws(Failure) -> [Int] { try integers(field, of: Int32.self, as: Int.self) ?? [] }

    func floats(_ field: Int) throws(Failure) -> [Float]? {
        guard let vector = try vector(field, width: 4) else { return nil }
        return try elements(vector, of: Float.self)
    }

    /// A vector of tables, each turned into a value.
    func tables<Value>(
        _ field: Int, _ value: (Table, Int) throws(Failure) -> Value
    ) throws(Failure) -> [Value] {
        guard let vector = try vector(field, width: 4) else { return [] }
        var values: [Value] = []
        // Not reserved: the number is the file's word, and the tables are counted as they come.
        for index in 0..<vector.count {
            let place = vector.start + 4 * index
            let position = place + Int(try buffer.load(place, as: UInt32.self))
            values.append(try value(try buffer.table(at: position), index))
        }
        return values
    }
}
