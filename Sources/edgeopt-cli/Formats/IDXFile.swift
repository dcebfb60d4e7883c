/// The idx format that MNIST comes in (Y. LeCun, "The MNIST database"): big-endian numbers with a shape, plain or as .gz.
enum IDXFile {
    private static let types: [UInt8: ElementType] = [
        0x08: .uint8, 0x09: .int8, 0x0b: .int16, 0x0c: .int32, 0x0d: .float32, 0x0e: .float64,
    ]

    /// train-images-idx3-ubyte, images.idx, images.idx.gz
    static func isNamed(_ path: String) -> Bool {
        let name = path.lowercased()
        return [".idx", "-ubyte", ".idx.gz", "-ubyte.gz"].contains(where: name.hasSuffix)
    }

    static func read(_ path: String) throws -> NumericArray {
        var bytes = try readFile(path)
        if path.lowercased().hasSuffix(".gz") { bytes = try gunzipped(bytes, path) }
        guard bytes.count >= 4, bytes[0] == 0, bytes[1] == 0, let type = types[bytes[2]] else {
            throw Failure("\(path): is not an idx file")
        }
        let start = 4 + 4 * Int(bytes[3])
        guard bytes.count >= start else { throw Failure("\(path): the idx header is cut off") }
        let shape = stride(from: 4, to: start, by: 4).map { place in
            bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
        }
        var size = type.size
        for length in shape {
            let (product, overflow) = size.multipliedReportingOverflow(by: length)
            guard !overflow else { throw Failure("\(path): shape \(brief(shape)) is too large") }
            size = product
        }
        guard bytes.count - start >= size else {
            throw Failure("\(path): shape \(brief(shape)) needs \(size) bytes, there are \(bytes.count - start)")
        }
        var data = Array(bytes[start..<start + size])
        if type.size > 1 {
            for place in stride(from: 0, to: data.count, by: type.size) { data[place..<place + type.size].reverse() }
        }
        return NumericArray(shape: shape, type: type, bytes: data)
    }
}
