/// The right answers of samples, along a leading dimension.
struct Labels {
    private let array: NumericArray
    var count: Int { array.shape.first ?? 0 }
    /// Numbers of a sample.
    var width: Int { array.shape.dropFirst().reduce(1, *) }

    /// A .npy array, an idx file, a .npz with an array "labels" or "y", or a text file with a number a line.
    init(_ path: String) throws {
        if path.hasSuffix(".npz") {
            let archive = try ZipArchive(path)
            guard let entry = archive.entries.first(where: { Self.names.contains($0.name) }) else {
                throw Failure("\(path) has no array 'labels' or 'y'; give --labels")
            }
            array = try NumPyFile.parse(archive.contents(of: entry), "\(path)/\(entry.name)")
        } else if path.hasSuffix(".npy") {
            array = try NumPyFile.read(path)
        } else if IDXFile.isNamed(path) {
            array = try IDXFile.read(path)
        } else {
            let classes = try readLines(path).enumerated().map { index, line in
                guard let number = Int(line) else {
                    throw Failure("\(path): line \(index + 1), '\(line)', is no number")
                }
                return number
            }
            array = Self.list(classes)
        }
        guard !array.shape.isEmpty else { throw Failure("\(path) is a single number, expected one for each sample") }
    }

    init(_ classes: [Int]) { array = Self.list(classes) }

    private static func list(_ classes: [Int]) -> NumericArray {
        let bytes = classes.flatMap { value in withUnsafeBytes(of: Int64(value)) { Array($0) } }
        return NumericArray(shape: [classes.count], type: .int64, bytes: bytes)
    }

    /// What labels are called in an archive.
    static let names = ["labels.npy", "y.npy"]

    /// The class of a sample.
    subscript(index: Int) -> Int { Int(array[part: index].value(at: 0)) }

    /// The bytes of some of them, in the type of `tensor`, which is for a batch.
    func bytes(_ samples: ArraySlice<Int>, as tensor: Tensor) throws -> [UInt8] {
        let type = try elementType(of: tensor)
        return try samples.flatMap { index in
            let part = array[part: index]
            guard !type.isInteger || array.type.isInteger || part.values().allSatisfy({ $0 == $0.rounded() }) else {
                throw Failure("label \(index) is \(part.value(at: 0)), expected the number of a class")
            }
            return part.converted(to: type).bytes
        }
    }
}
