/// The numbers of a FlexBuffers map, as custom operators keep their options: what lies in a map at the root under a name,
/// integers, floats and booleans alike. Every access is checked; what does not hold together counts as missing.
package struct FlexBufferMap {
    private let bytes: [UInt8]
    /// Where the values, their types and the names begin, and how wide values and offsets of names are.
    private let values: Int
    private let width: Int
    private let count: Int
    private let names: Int
    private let nameWidth: Int

    private enum Kind {
        static let integer = 1
        static let unsigned = 2
        static let float = 3
        static let indirect = 5
        static let map = 9
        static let boolean = 26
    }

    /// nil: the root is no map.
    package init?(_ data: Bytes) {
        bytes = data.array(of: UInt8.self)
        guard bytes.count >= 3 else { return nil }
        let (rootWidth, type) = (Int(bytes[bytes.count - 1]), Int(bytes[bytes.count - 2]))
        guard type >> 2 == Kind.map,
            let start = Self.target(bytes, bytes.count - 2 - rootWidth, rootWidth)
        else { return nil }
        width = 1 << (type & 3)
        values = start
        guard start >= 3 * width, let size = Self.unsigned(bytes, start - width, width),
            let nameWidth = Self.unsigned(bytes, start - 2 * width, width),
            let names = Self.target(bytes, start - 3 * width, width), size <= bytes.count,
            size * (width + 1) <= bytes.count - start, [1, 2, 4, 8].contains(nameWidth)
        else { return nil }
        (count, self.names, self.nameWidth) = (size, names, nameWidth)
    }

    /// nil: the map has no number of this name.
    package func number(_ name: StaticString) -> Double? {
        let wanted = name.description.utf8
        for index in 0..<count {
            guard let place = Self.target(bytes, names + index * nameWidth, nameWidth),
                bytes[place...].prefix(while: { $0 != 0 }).elementsEqual(wanted)
            else { continue }
            return value(index)
        }
        return nil
    }

    private func value(_ index: Int) -> Double? {
        let (type, place) = (Int(bytes[values + count * width + index]), values + index * width)
        let kind = type >> 2
        let isIndirect = (Kind.integer + Kind.indirect...Kind.float + Kind.indirect).contains(kind)
        guard let place = isIndirect ? Self.target(bytes, place, width) : place else { return nil }
        let width = isIndirect ? 1 << (type & 3) : width
        guard place + width <= bytes.count else { return nil }
        let raw = bytes[place..<(place + width)].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        switch isIndirect ? kind - Kind.indirect : kind {
        case Kind.integer: return Double((Int64(bitPattern: raw) << (64 - 8 * width)) >> (64 - 8 * width))
        case Kind.unsigned, Kind.boolean: return Double(raw)
        case Kind.float where width == 4: return Double(Float(bitPattern: UInt32(truncatingIfNeeded: raw)))
        case Kind.float where width == 8: return Double(bitPattern: raw)
        default: return nil
        }
    }

    private static func unsigned(_ bytes: [UInt8], _ place: Int, _ width: Int) -> Int? {
        guard [1, 2, 4, 8].contains(width), place >= 0, place <= bytes.count - width else { return nil }
        return Int(exactly: bytes[place..<(place + width)].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) })
    }

    /// Offsets count back from where they lie.
    private static func target(_ bytes: [UInt8], _ place: Int, _ width: Int) -> Int? {
        guard let offset = unsigned(bytes, place, width), offset <= place else { return nil }
        return place - offset
    }
}
