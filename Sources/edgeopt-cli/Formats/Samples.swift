import CEdgeOpt

/// Samples for a model's inputs, from files, one at a time.
struct Samples {
    private let inputs: [Tensor]
    private let sources: [Source]
    /// How many there are.
    let count: Int

    /// For one input: number `index` of what a file or folder holds.
    private struct Source {
        let count: Int
        let load: (Int) throws -> NumericArray
    }

    /// `paths`: one for each input, in their order, or a single .npz for all. A .npy array holds one sample, in the
    /// input's shape, or many, along a leading dimension or along the batch dimension; a folder holds images; an idx file
    /// pixels or numbers; any other file holds the elements of samples one after the other.
    init(_ paths: [String], for inputs: [Tensor], images: ImagePreprocessing) throws {
        self.inputs = inputs
        if paths.count == 1, paths[0].hasSuffix(".npz") {
            sources = try Self.archive(paths[0], inputs, images)
        } else {
            guard paths.count == inputs.count else {
                let names = inputs.map(\.described).joined(separator: ", ")
                throw Failure("\(paths.count) files for \(inputs.count) inputs: give one for each of \(names)")
            }
            sources = try zip(paths, inputs).map { try Self.source($0, $1, images) }
        }
        count = sources.map(\.count).min() ?? 0
        guard count > 0, sources.allSatisfy({ $0.count == count }) else {
            throw Failure("the inputs have different numbers of samples, or none: \(sources.map(\.count))")
        }
    }

    /// Pictures for a model with one input.
    init(pictures: [String], for inputs: [Tensor], images: ImagePreprocessing) throws {
        guard inputs.count == 1, !pictures.isEmpty else {
            throw Failure("\(pictures.count) images in folders of classes for \(inputs.count) inputs")
        }
        self.inputs = inputs
        count = pictures.count
        sources = [Source(count: count) { try images.load(pictures[$0], for: inputs[0]) }]
    }

    /// Random samples: uniform in [0, 1) for floats, over the whole range for 8-bit integers, 0 or 1 for other types.
    init(random count: Int, for inputs: [Tensor]) throws {
        self.inputs = inputs
        self.count = count
        sources = try inputs.map { input in
            let type = try elementType(of: input)
            return Source(count: count) { _ in randomArray(input.shape, type) }
        }
    }

    /// The bytes of each input, in the inputs' types.
    subscript(index: Int) -> [[UInt8]] {
        get throws {
            try zip(sources, inputs).map { source, input in
                let array = try source.load(index)
                guard array.count == input.count else {
                    throw Failure("a sample of shape \(brief(array.shape)) does not fit input \(input.described)")
                }
                return array.converted(to: try elementType(of: input)).bytes
            }
        }
    }

    private static func archive(
        _ path: String, _ inputs: [Tensor], _ images: ImagePreprocessing
    ) throws -> [Source] {
        let archive = try ZipArchive(path)
        let byName = Dictionary(archive.entries.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        // Arrays named like the inputs, else in the archive's order.
        let named = inputs.compactMap { byName["\($0.name).npy"] }
        let chosen = named.count == inputs.count ? named : archive.entries.filter { isInput($0.name) }
        guard chosen.count == inputs.count else {
            throw Failure("\(path) has \(archive.entries.map(\.name)), the model has inputs \(inputs.map(\.name))")
        }
        return try zip(chosen, inputs).map { entry, input in
            let name = "\(path)/\(entry.name)"
            return try split(NumPyFile.parse(archive.contents(of: entry), name), input, name, images)
        }
    }

    /// Labels may lie beside the inputs.
    private static func isInput(_ name: String) -> Bool { name.hasSuffix(".npy") && !Labels.names.contains(name) }

    private static func source(_ path: String, _ input: Tensor, _ images: ImagePreprocessing) throws -> Source {
        if isFolder(path) {
            let pictures = try files(in: path, endingWith: [".jpg", ".jpeg", ".png"])
            guard !pictures.isEmpty else { throw Failure("\(path): has no .jpg, .jpeg or .png files") }
            return Source(count: pictures.count) { try images.load(pictures[$0], for: input) }
        }
        if [".jpg", ".jpeg", ".png"].contains(where: path.lowercased().hasSuffix) {
            return Source(count: 1) { _ in try images.load(path, for: input) }
        }
        if IDXFile.isNamed(path) { return try pictures(IDXFile.read(path), input, path, images) }
        if path.hasSuffix(".npy") { return try split(NumPyFile.read(path), input, path, images) }
        let type = try elementType(of: input)
        let bytes = try readFile(path)
        let size = input.count * type.size
        guard size > 0, !bytes.isEmpty, bytes.count % size == 0 else {
            throw Failure(
                "\(path): \(bytes.count) bytes are not a multiple of the \(size) that input \(input.described) takes")
        }
        return Source(count: bytes.count / size) { index in
            NumericArray(shape: input.shape, type: type, bytes: Array(bytes[index * size..<(index + 1) * size]))
        }
    }

    /// Samples of an idx file, whatever dimensions of 1 the input has; bytes are pixels of pictures.
    private static func pictures(
        _ array: NumericArray, _ input: Tensor, _ path: String, _ images: ImagePreprocessing
    ) throws -> Source {
        let type = try elementType(of: input)
        guard array.shape.count > 1, input.shape.first == 1, array.shape[0] > 0,
            array.shape.dropFirst().reduce(1, *) == input.count
        else { throw Failure("\(path): shape \(brief(array.shape)) does not fit input \(input.described)") }
        return Source(count: array.shape[0]) { index in
            var part = array[part: index]
            part.shape = input.shape
            guard array.type == .uint8, !type.isInteger else { return part }
            let channels = input.shape.count == 4 ? input.shape[3] : 1
            let pixels = part.bytes.map { Float($0) }
            return NumericArray(
                shape: part.shape, type: type, bytes: try images.normalized(pixels, channels: channels, as: type))
        }
    }

    private static func split(
        _ array: NumericArray, _ input: Tensor, _ path: String, _ images: ImagePreprocessing
    ) throws -> Source {
        if array.shape == input.shape { return Source(count: 1) { _ in try images.scaled(array, for: input) } }
        let rest = Array(array.shape.dropFirst())
        guard array.shape.first ?? 0 > 0,
            rest == input.shape || (input.shape.first == 1 && rest == Array(input.shape.dropFirst()))
        else {
            throw Failure("\(path): shape \(brief(array.shape)) does not fit input \(input.described)")
        }
        return Source(count: array.shape[0]) { try images.scaled(array[part: $0], for: input) }
    }
}

func elementType(of tensor: Tensor) throws -> ElementType {
    guard let type = ElementType(tensor.type) else { throw Failure("\(tensor.described): numbers cannot be put in") }
    return type
}

private func randomArray(_ shape: [Int], _ type: ElementType) -> NumericArray {
    let count = shape.reduce(1, *)
    var bytes = [UInt8](repeating: 0, count: count * type.size)
    bytes.withUnsafeMutableBytes { bytes in
        for index in 0..<count {
            let value: Double =
                switch type {
                case .float16, .float32, .float64: .random(in: 0..<1)
                case .int8: .random(in: -128...127)
                case .uint8: .random(in: 0...255)
                default: .random(in: 0...1)
                }
            type.store(value, bytes, index * type.size)
        }
    }
    return NumericArray(shape: shape, type: type, bytes: bytes)
}
