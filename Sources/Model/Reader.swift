extension Model {
    /// Maps a .tflite file and reads it; weights stay in the mapping.
    package static func open(path: String) throws(Failure) -> Model {
        try read(Bytes(try Storage.map(path: path)), origin: path)
    }

    /// Reads and validates a .tflite model. Weights, custom options and appended files are views of `bytes`.
    /// `origin` names the file in messages. Throws `EO_INVALID_MODEL` or `EO_UNSUPPORTED`.
    package static func read(_ bytes: Bytes, origin: String = "model") throws(Failure) -> Model {
        let model = try Reader(bytes, origin: origin).model()
        try model.validate()
        return model
    }
}

/// One pass over the tables of a .tflite file; field numbers are the schema's.
struct Reader {
    private let file: Bytes
    private let buffer: FlatBuffer
    private let outside = OutsideExtent()

    /// Where the last block behind the FlatBuffer ends.
    private final class OutsideExtent { var end = 0 }

    init(_ file: Bytes, origin: String) {
        self.file = file
        buffer = FlatBuffer(file, origin: origin)
    }

    func model() throws(Failure) -> Model {
        let root = try buffer.root(identifier: "TFL3")
        var model = Model()
        model.origin = buffer.origin
        model.version = try root.uint32(0)
        model.operatorCodes = try root.tables(1) { code, index throws(Failure) in
            buffer.part = .operatorCode(index)
            return try operatorCode(code)
        }
        model.subgraphs = try root.tables(2) { graph, index throws(Failure) in try subgraph(graph, index) }
        buffer.part = .whole
        model.description = try root.string(3)
        let buffers = try root.tables(4) { table, index throws(Failure) in
            buffer.part = .buffer(index)
            return try self.buffer(table)
        }
        if !buffers.isEmpty { model.buffers = buffers }
        buffer.part = .whole
        model.metadataBuffers = try root.integers(5, of: Int32.self, as: Int32.self) ?? []
        model.metadata = try root.tables(6) { entry, index throws(Failure) in
            buffer.part = .metadata(index)
            return Metadata(name: try entry.string(0) ?? "", buffer: try entry.uint32(1))
        }
        model.signatures = try root.tables(7) { entry, index throws(Failure) in
            buffer.part = .signature(index)
            return try signature(entry)
        }
        model.externalBufferGroups = try root.tables(8) { group, _ throws(Failure) in try group.string(0) ?? "" }
        model.externalBuffers = try root.tables(9) { table, index throws(Failure) in
            buffer.part = .externalBuffer(index)
            return try externalBuffer(table)
        }
        buffer.part = .whole
        model.appended = try appended()
        return model
    }

    private func operatorCode(_ table: Table) throws(Failure) -> OperatorCode {
        // Codes above 127 did not fit into the first field; files from before the second one have only the first.
        let old = Int32(try table.scalar(0, as: Int8.self) ?? 0)
        let new = try table.scalar(3, as: Int32.self) ?? 0
        var code = OperatorCode(
            BuiltinOperator(rawValue: max(old, new)), custom: try table.string(1),
            version: try table.int32(2, default: 1))
        code.isForeign = code.builtin == .custom
        return code
    }

    private func subgraph(_ table: Table, _ index: Int) throws(Failure) -> Subgraph {
        var subgraph = Subgraph()
        subgraph.tensors = try table.tables(0) { entry, position throws(Failure) in
            buffer.part = .tensor(subgraph: index, index: position)
            return try tensor(entry)
        }
        buffer.part = .subgraph(index)
        subgraph.inputs = try table.ints(1)
        subgraph.outputs = try table.ints(2)
        subgraph.operators = try table.tables(3) { entry, position throws(Failure) in
            buffer.part = .operation(subgraph: index, index: position)
            return try operation(entry)
        }
        buffer.part = .subgraph(index)
        subgraph.name = try table.string(4)
        subgraph.debugMetadataIndex = try table.int32(5, default: -1)
        return subgraph
    }

    private func tensorType(_ table: Table, _ field: Int) throws(Failure) -> TensorType {
        let code = try table.byte(field)
        guard let type = TensorType(rawValue: code) else { throw buffer.failure("tensor type \(code) is not known") }
        return type
    }

    private func tensor(_ table: Table) throws(Failure) -> Tensor {
        var tensor = Tensor()
        tensor.shape = try table.ints(0)
        tensor.type = try tensorType(table, 1)
        tensor.buffer = try table.uint32(2)
        tensor.name = try table.string(3) ?? ""
        if let parameters = try table.table(4) { tensor.quantization = try quantization(parameters) }
        tensor.isVariable = try table.bool(5)
        if let parameters = try table.table(6) { tensor.sparsity = try sparsity(parameters) }
        tensor.shapeSignature = try table.integers(7, of: Int32.self, as: Int.self)
        tensor.hasRank = try table.bool(8)
        tensor.variantTensors = try table.tables(9) { entry, _ throws(Failure) in
            var variant = VariantTensor()
            variant.shape = try entry.ints(0)
            variant.type = try tensorType(entry, 1)
            variant.hasRank = try entry.bool(2)
            return variant
        }
        tensor.externalBuffer = try table.uint32(10)
        return tensor
    }

    private func quantization(_ table: Table) throws(Failure) -> Quantization {
        var quantization = Quantization()
        quantization.min = try table.floats(0) ?? []
        quantization.max = try table.floats(1) ?? []
        quantization.scales = try table.floats(2) ?? []
        quantization.zeroPoints = try table.integers(3, of: Int64.self, as: Int.self) ?? []
        quantization.dimension = try table.int32(6)
        let kind = try table.byte(4)
        guard kind != 0, let details = try table.table(5) else { return quantization }
        switch kind {
        case 1:
            if let bytes = try details.bytes(0) { quantization.details = .custom(bytes) }
        case 2:
            quantization.details = .blockwise(
                scales: try details.int32(0), zeroPoints: try details.int32(1), blockSize: try details.int32(2))
        case 3:
            quantization.details = .multiAxis(
                scales: try details.int32(0), zeroPoints: try details.int32(1), blockSize: try details.int32(2),
                dimensions: try details.ints(3))
        default:
            throw buffer.failure("quantization details of kind \(kind) are not known")
        }
        return quantization
    }

    private func sparsity(_ table: Table) throws(Failure) -> Sparsity {
        var sparsity = Sparsity()
        sparsity.traversalOrder = try table.ints(0)
        sparsity.blockMap = try table.ints(1)
        sparsity.dimensions = try table.tables(2) { entry, _ throws(Failure) in try dimension(entry) }
        return sparsity
    }

    private func dimension(_ table: Table) throws(Failure) -> Sparsity.Dimension {
        let format = try table.byte(0)
        guard format != 0 else { return .dense(size: try table.int32(1)) }
        guard format == 1 else { throw buffer.failure("dimension format \(format) of the sparsity is not known") }
        let (segments, segmentWidth) = try indexVector(table, 2)
        let (indices, indexWidth) = try indexVector(table, 4)
        return .compressed(segments: segments, indices: indices, segmentWidth: segmentWidth, indexWidth: indexWidth)
    }

    private func indexVector(_ table: Table, _ field: Int) throws(Failure) -> ([Int], Sparsity.IndexWidth) {
        let kind = try table.byte(field)
        guard let width = Sparsity.IndexWidth(rawValue: kind) else {
            throw buffer.failure("sparse index vector of kind \(kind) is not known")
        }
        guard let vector = try table.table(field + 1) else { return ([], width) }
        switch width {
        case .none: return ([], width)
        case .int32: return (try vector.ints(0), width)
        case .uint16: return (try vector.integers(0, of: UInt16.self, as: Int.self) ?? [], width)
        case .uint8: return (try vector.integers(0, of: UInt8.self, as: Int.self) ?? [], width)
        }
    }

    private func operation(_ table: Table) throws(Failure) -> Operator {
        var operation = Operator(opcode: try table.uint32(0), inputs: try table.ints(1), outputs: try table.ints(2))
        operation.options = try options(table)
        operation.customOptionsFormat = Int(try table.byte(6))
        let mutating = try table.integers(7, of: UInt8.self, as: UInt8.self) ?? []
        operation.mutatingVariableInputs = mutating.map { $0 != 0 }
        operation.intermediates = try table.ints(8)
        operation.debugMetadataIndex = try table.int32(13, default: -1)
        operation.customOptions = try table.bytes(5)
        if operation.customOptions == nil, let bytes = try outside(table, offset: 9, size: 10) {
            operation.customOptions = bytes
            operation.customOptionsOutside = true
        }
        return operation
    }

    private func options(_ table: Table) throws(Failure) -> Options {
        let first = UInt16(try table.byte(3))
        let second = UInt16(try table.byte(11))
        guard first == 0 || second == 0 else { throw buffer.failure("the operator has options of both unions") }
        guard first != 0 || second != 0 else { return .none }
        guard let kind = OptionTable(rawValue: second == 0 ? first : 256 + second) else {
            throw buffer.failure(
                "options table \(first) of BuiltinOptions or \(second) of BuiltinOptions2 is not known")
        }
        var options = Options(kind)
        guard let fields = try table.table(second == 0 ? 4 : 12) else { return options }
        let schema = kind.schema.fields
        for id in schema.indices {
            let value = try optionValue(fields, id, schema[id])
            if case .absent = value { continue }
            options[id] = value
        }
        return options
    }

    private func optionValue(_ table: Table, _ id: Int, _ field: OptionSchema.Field) throws(Failure) -> OptionValue {
        func number<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) throws(Failure) -> OptionValue {
            if field.isVector {
                return try table.integers(id, of: type, as: Int64.self).map { .ints($0) } ?? .absent
            }
            return try table.scalar(id, as: type).map { .int(Int64($0)) } ?? .absent
        }
        switch field.type.storage {
        case .bool: return try number(UInt8.self)
        case .int8: return try number(Int8.self)
        case .int32: return try number(Int32.self)
        case .uint32: return try number(UInt32.self)
        case .int64: return try number(Int64.self)
        case .uint8: return try table.bytes(id).map { .bytes($0) } ?? .absent
        case .string: return try table.string(id).map { .string($0) } ?? .absent
        case .float where field.isVector: return try table.floats(id).map { .floats($0) } ?? .absent
        case .float: return try table.scalar(id, as: UInt32.self).map { .float(Float(bitPattern: $0)) } ?? .absent
        }
    }

    private func buffer(_ table: Table) throws(Failure) -> Buffer {
        if let data = try table.bytes(0), data.count > 0 { return Buffer(data) }
        var buffer = Buffer(try outside(table, offset: 1, size: 2))
        buffer.isOutside = buffer.data != nil
        return buffer
    }

    /// A block that the file keeps behind the FlatBuffer. The offset counts from the start of the file; 0 means none,
    /// and 1 is what writers put there until they know the place.
    private func outside(_ table: Table, offset: Int, size: Int) throws(Failure) -> Bytes? {
        let start = try table.size64(offset)
        guard start > 1 else { return nil }
        let count = try table.size64(size)
        guard let bytes = file.slice(offset: start, count: count) else {
            throw buffer.failure("\(count) bytes at byte \(start) lie outside the \(file.count) bytes of the file")
        }
        outside.end = max(outside.end, start + count)
        return bytes
    }

    private func signature(_ table: Table) throws(Failure) -> Signature {
        func entries(_ field: Int) throws(Failure) -> [Signature.Entry] {
            try table.tables(field) { entry, _ throws(Failure) in
                Signature.Entry(name: try entry.string(0) ?? "", tensor: try entry.uint32(1))
            }
        }
        return Signature(
            key: try table.string(2) ?? "", subgraph: try table.uint32(4), inputs: try entries(0),
            outputs: try entries(1))
    }

    private func externalBuffer(_ table: Table) throws(Failure) -> ExternalBuffer {
        var external = ExternalBuffer()
        external.id = try table.uint32(0)
        external.group = try table.uint32(1)
        external.offset = try table.size64(2)
        external.length = try table.size64(3)
        external.packing = try table.string(4)
        return external
    }

    /// What follows the FlatBuffer and the blocks outside it. Neither says where it ends, so that is where the last
    /// thing read ends, with the zeros that fill up to the next multiple of 16.
    private func appended() throws(Failure) -> Bytes? {
        let end = max(buffer.end, outside.end)
        let aligned = (end + 15) & ~15
        let start = isZero(from: end, to: min(aligned, file.count)) ? aligned : end
        guard start < file.count else { return nil }
        // Writers leave up to a vector register of zeros behind the last block for kernels that read past the end.
        if file.count - start <= 64, isZero(from: start, to: file.count) { return nil }
        guard let tail = file.slice(offset: start, count: file.count - start) else { return nil }
        return try ZipArchive.moved(tail, to: 0)
    }

    private func isZero(from start: Int, to end: Int) -> Bool {
        guard start < end, let bytes = file.slice(offset: start, count: end - start) else { return true }
        return bytes.array(of: UInt8.self).allSatisfy { $0 == 0 }
    }
}
