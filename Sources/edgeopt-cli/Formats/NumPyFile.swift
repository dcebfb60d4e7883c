import CFormats

/// NumPy's .npy format, versions 1 to 3 (numpy.lib.format), and .npz archives of them.
enum NumPyFile {
    private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

    static func read(_ path: String) throws -> NumericArray { try parse(try readFile(path), path) }

    static func parse(_ bytes: [UInt8], _ path: String) throws -> NumericArray {
        guard bytes.count >= 12, bytes.starts(with: magic) else { throw Failure("\(path): is not a .npy file") }
        let wide = bytes[6] > 1  // version 1 has a 2-byte header length, later ones 4
        let length = (0..<(wide ? 4 : 2)).reduce(0) { $0 | Int(bytes[8 + $1]) << (8 * $1) }
        let start = wide ? 12 : 10
        guard start + length <= bytes.count else { throw Failure("\(path): the .npy header is cut off") }
        let header = String(decoding: bytes[start..<start + length], as: UTF8.self)
        guard let descr = field("descr", header)?.split(separator: "'").first.map(String.init),
            let order = field("fortran_order", header), let tuple = field("shape", header)
        else { throw Failure("\(path): the .npy header is broken: \(header)") }
        guard let type = ElementType(rawValue: String(descr.dropFirst())), descr.first != ">" else {
            throw Failure("\(path): elements are '\(descr)'; only little-endian numbers can be read")
        }
        guard order.hasPrefix("False") else {
            throw Failure("\(path): is in Fortran order; save numpy.ascontiguousarray(...) of it")
        }
        let shape = tuple.dropFirst().prefix { $0 != ")" }.split(separator: ",").compactMap {
            Int($0.filter { $0 != " " })
        }
        let data = Array(bytes[(start + length)...])
        guard let count = product(shape), data.count / type.size >= count else {
            throw Failure("\(path): shape \(brief(shape)) needs more than the \(data.count) bytes there are")
        }
        return NumericArray(shape: shape, type: type, bytes: Array(data.prefix(count * type.size)))
    }

    /// The text after a key of the header's Python dictionary.
    private static func field(_ key: String, _ header: String) -> Substring? {
        guard let found = header.firstRange(of: "'\(key)':") else { return nil }
        return header[found.upperBound...].drop { $0 == " " }
    }

    private static func product(_ shape: [Int]) -> Int? {
        var result = 1
        for size in shape {
            let (next, overflow) = result.multipliedReportingOverflow(by: size)
            guard size >= 0, !overflow else { return nil }
            result = next
        }
        return result
    }

    static func write(_ array: NumericArray, to path: String) throws {
        let mark = array.type.size == 1 ? "|" : "<"
        let shape = array.shape.map { "\($0)," }.joined(separator: " ")
        let tuple = array.shape.count > 1 ? String(shape.dropLast()) : shape
        var header = "{'descr': '\(mark)\(array.type.rawValue)', 'fortran_order': False, 'shape': (\(tuple)), }"
        let padding = 64 - (10 + header.utf8.count + 1) % 64  // data begin at a multiple of 64
        header += String(repeating: " ", count: padding) + "\n"
        let length = UInt16(header.utf8.count)
        try writeFile(
            path, magic + [1, 0, UInt8(length & 0xff), UInt8(length >> 8)] + Array(header.utf8) + array.bytes)
    }
}
