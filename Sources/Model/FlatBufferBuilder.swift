/// What a FlatBuffer is made of, before it has places.
indirect enum FlatNode {
    case table(FlatTable)
    case tables([FlatTable])
    case string(String)
    /// Numbers as they will lie in the file.
    case vector([UInt8], width: Int)
    /// A vector of bytes that is laid behind all tables, at a multiple of 16, and not copied if it is long.
    case bytes(Bytes)
}

/// Fields of a table by id. Absent fields are the schema's defaults.
struct FlatTable {
    enum Value {
        case byte(UInt8), word(UInt32), long(UInt64), node(FlatNode)
        /// A 64-bit place, counted from the start of the file, of bytes behind the FlatBuffer.
        case outside(Bytes)

        var width: Int {
            switch self {
            case .byte: 1
            case .word, .node: 4
            case .long, .outside: 8
            }
        }
    }
    var fields: [(id: Int, value: Value)] = []

    @inline(never) mutating func set(_ id: Int, _ value: Value) { fields.append((id, value)) }
}

/// Lays out a FlatBuffer from front to back: each table before what it points to, equal virtual tables once, long
/// byte vectors at the end. The same nodes give the same bytes.
struct FlatBufferBuilder {
    /// Offsets are 32 bits, and readers take a file of 2 GB or more for damaged.
    static let largest = Int(Int32.max) - 16

    private var bytes: [UInt8] = []
    private var tables: [[UInt16]: Int] = [:]
    /// Long vectors of numbers, laid behind all tables because a reference points forward, equal ones once: the zero
    /// points of per-channel weights are all the same.
    private var shared: [(elements: [UInt8], width: Int, references: [Int])] = []
    private var sharedPlaces: [[UInt8]: Int] = [:]
    private var blocks: [(reference: Int, data: Bytes)] = []
    private var outside: [(field: Int, data: Bytes)] = []

    init(root: FlatTable, identifier: String) {
        bytes = [0, 0, 0, 0] + Array(identifier.utf8)
        emit(.table(root), from: 0)
        for vector in shared {
            let place = startVector(
                count: vector.elements.count / vector.width, width: vector.width, from: vector.references[0])
            bytes += vector.elements
            for reference in vector.references { patch(reference, UInt32(truncatingIfNeeded: place - 4 - reference)) }
        }
    }

    /// The file in pieces, `tail` behind the last. `tail` gets its place in the file.
    /// Throws `EO_OUT_OF_RANGE` if the FlatBuffer would be larger than `largest`.
    mutating func finish(tail: (Int) throws(Failure) -> Bytes?) throws(Failure) -> [Bytes] {
        var end = bytes.count
        var parts: [(place: Int, data: Bytes)] = []
        for block in blocks {
            let place = Self.aligned(end + 4, 16)
            patch(block.reference, UInt32(truncatingIfNeeded: place - 4 - block.reference))
            parts.append((place, block.data))
            end = place + block.data.count
        }
        end = Self.aligned(end, 16)
        guard end <= Self.largest else { throw .outOfRange("a FlatBuffer cannot have \(end) bytes") }
        let inside = parts.count
        for block in outside {
            patch(block.field, UInt64(end))
            parts.append((end, block.data))
            end = Self.aligned(end + block.data.count, 16)
        }
        if let tail = try tail(end) {
            parts.append((end, tail))
            end += tail.count
        } else if !outside.isEmpty {
            end += 16  // kernels may read one vector past the last weight
        }
        return try pieces(parts, inside: inside, size: end)
    }

    /// Small parts are copied into the run of bytes before them, large ones stay their own piece. The first `inside`
    /// parts are vectors of the FlatBuffer: their count stands before them.
    private func pieces(_ parts: [(place: Int, data: Bytes)], inside: Int, size: Int) throws(Failure) -> [Bytes] {
        var pieces: [Bytes] = []
        var run = bytes
        var start = 0
        for (index, part) in parts.enumerated() {
            let isVector = index < inside
            run += [UInt8](repeating: 0, count: part.place - (isVector ? 4 : 0) - start - run.count)
            if isVector { Self.append(UInt32(part.data.count), to: &run) }
            if part.data.count < 4096 {
                run += part.data.array(of: UInt8.self)
            } else {
                pieces.append(try Bytes(copying: run))
                pieces.append(part.data)
                start = part.place + part.data.count
                run = []
            }
        }
        run += [UInt8](repeating: 0, count: size - start - run.count)
        if !run.isEmpty { pieces.append(try Bytes(copying: run)) }
        return pieces
    }

    /// Writes a node behind everything so far, and its offset into the 32-bit field that refers to it.
    private mutating func emit(_ node: FlatNode, from reference: Int) {
        switch node {
        case .bytes(let data): blocks.append((reference, data))
        case .table(let table): emit(table, from: reference)
        case .tables(let entries):
            let place = startVector(count: entries.count, width: 4, from: reference)
            bytes += [UInt8](repeating: 0, count: 4 * entries.count)
            for (index, entry) in entries.enumerated() { emit(entry, from: place + 4 * index) }
        case .string(let text):
            _ = startVector(count: text.utf8.count, width: 1, from: reference)
            bytes += Array(text.utf8)
            bytes.append(0)
        case .vector(let elements, let width) where elements.count >= 32: share(elements, width, from: reference)
        case .vector(let elements, let width):
            _ = startVector(count: elements.count / width, width: width, from: reference)
            bytes += elements
        }
    }

    private mutating func share(_ elements: [UInt8], _ width: Int, from reference: Int) {
        if let known = sharedPlaces[elements], shared[known].width == width {
            shared[known].references.append(reference)
        } else {
            sharedPlaces[elements] = shared.count
            shared.append((elements, width, [reference]))
        }
    }

    private mutating func startVector(count: Int, width: Int, from reference: Int) -> Int {
        pad(to: max(width, 4), ahead: 4)
        patch(reference, UInt32(truncatingIfNeeded: bytes.count - reference))
        Self.append(UInt32(truncatingIfNeeded: count), to: &bytes)
        return bytes.count
    }

    private mutating func emit(_ table: FlatTable, from reference: Int) {
        // Widest first, then by number: no field needs padding before it.
        let ordered = ascendingOrder(of: table.fields.map { Double($0.id - ($0.value.width << 16)) }).map {
            table.fields[$0]
        }
        var layout = [UInt16](repeating: 0, count: 2 + (table.fields.map { $0.id + 1 }.max() ?? 0))
        var size = 4
        for field in ordered {
            layout[2 + field.id] = UInt16(size)
            size += field.value.width
        }
        layout[0] = UInt16(2 * layout.count)
        layout[1] = UInt16(size)
        let virtual = virtualTable(layout)
        pad(to: ordered.first.map { $0.value.width == 8 ? 8 : 4 } ?? 4, ahead: 4)
        let place = bytes.count
        patch(reference, UInt32(truncatingIfNeeded: place - reference))
        Self.append(UInt32(truncatingIfNeeded: place - virtual), to: &bytes)
        for field in ordered {
            switch field.value {
            case .byte(let value): bytes.append(value)
            case .word(let value): Self.append(value, to: &bytes)
            case .long(let value): Self.append(value, to: &bytes)
            case .node: Self.append(UInt32(0), to: &bytes)
            case .outside(let data):
                outside.append((bytes.count, data))
                Self.append(UInt64(0), to: &bytes)
            }
        }
        for field in table.fields {
            if case .node(let node) = field.value { emit(node, from: place + Int(layout[2 + field.id])) }
        }
    }

    private mutating func virtualTable(_ layout: [UInt16]) -> Int {
        if let place = tables[layout] { return place }
        pad(to: 2, ahead: 0)
        let place = bytes.count
        tables[layout] = place
        for entry in layout { Self.append(entry, to: &bytes) }
        return place
    }

    /// Fills up so that what lies `ahead` bytes further is a multiple of `alignment`.
    private mutating func pad(to alignment: Int, ahead: Int) {
        while (bytes.count + ahead) % alignment != 0 { bytes.append(0) }
    }

    private static func aligned(_ place: Int, _ alignment: Int) -> Int {
        (place + alignment - 1) / alignment * alignment
    }

    private static func append<T: FixedWidthInteger>(_ value: T, to bytes: inout [UInt8]) {
        for shift in stride(from: 0, to: T.bitWidth, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }

    private mutating func patch<T: FixedWidthInteger>(_ place: Int, _ value: T) {
        for index in 0..<(T.bitWidth / 8) { bytes[place + index] = UInt8(truncatingIfNeeded: value >> T(8 * index)) }
    }
}
