import CEdgeOpt
import CPlatform

extension Model {
    /// Validates the model and lays it out as a .tflite file, in pieces that follow one another: long weights stay the
    /// views they are. The same model gives the same bytes. Buffers lie outside the FlatBuffer if they did when it was
    /// read, or all of them if the file would be larger than a FlatBuffer can be.
    package func serialize() throws(Failure) -> [Bytes] {
        try validate()
        let inside = buffers.reduce(0) { $1.isOutside ? $0 : $0 &+ ($1.data?.count ?? 0) }
        return try Writer(self, allOutside: inside > FlatBufferBuilder.largest - (64 << 20)).pieces()
    }

    /// `serialize` in one block of memory.
    package func serialized() throws(Failure) -> Bytes { try Bytes(joining: try serialize()) }

    /// Writes the file under a temporary name beside `path` and renames it: all or nothing.
    package func save(path: String) throws(Failure) {
        let pieces = try serialize()
        let parts = unsafe pieces.map { unsafe platform_part(base: $0.baseAddress, size: $0.count) }
        let error = withExtendedLifetime(pieces) {
            unsafe path.withCString { unsafe platform_write_file($0, parts, parts.count, true) }
        }
        guard error == 0 else { throw Failure(EO_FILE_ERROR, "\(path): cannot be written: \(systemMessage(error))") }
    }
}

/// A model as the tables of the schema; field numbers are the schema's.
struct Writer {
    private let model: Model
    private let allOutside: Bool

    init(_ model: Model, allOutside: Bool = false) {
        self.model = model
        self.allOutside = allOutside
    }

    func pieces() throws(Failure) -> [Bytes] {
        var builder = FlatBufferBuilder(root: try root(), identifier: "TFL3")
        return try builder.finish { place throws(Failure) in
            guard let appended = model.appended else { return nil }
            return try ZipArchive.moved(appended, to: place)
        }
    }

    private func root() throws(Failure) -> FlatTable {
        var root = FlatTable()
        try root.set(0, unsigned: model.version)
        root.set(1, tables: try map(model.operatorCodes) { code throws(Failure) in try table(code) })
        root.set(2, tables: try map(model.subgraphs) { subgraph throws(Failure) in try table(subgraph) })
        root.set(3, model.description)
        root.set(4, tables: try map(model.buffers) { buffer throws(Failure) in table(buffer) })
        if !model.metadataBuffers.isEmpty { root.set(5, numbers: model.metadataBuffers) }
        root.set(
            6,
            unlessEmpty: try map(model.metadata) { entry throws(Failure) in
                var table = FlatTable()
                table.set(0, entry.name)
                try table.set(1, unsigned: entry.buffer)
                return table
            })
        root.set(7, unlessEmpty: try map(model.signatures) { entry throws(Failure) in try table(entry) })
        root.set(
            8,
            unlessEmpty: try map(model.externalBufferGroups) { name throws(Failure) in
                var table = FlatTable()
                table.set(0, name)
                return table
            })
        root.set(9, unlessEmpty: try map(model.externalBuffers) { entry throws(Failure) in try table(entry) })
        return root
    }

    private func table(_ code: OperatorCode) throws(Failure) -> FlatTable {
        var table = FlatTable()
        // Readers from before the wide field see 127 for what they cannot know.
        table.set(0, byte: UInt8(clamping: min(code.builtin.rawValue, 127)))
        table.set(1, code.custom)
        try table.set(2, signed: code.version, default: 1)
        try table.set(3, signed: Int(code.builtin.rawValue))
        return table
    }

    private func table(_ subgraph: Subgraph) throws(Failure) -> FlatTable {
        var table = FlatTable()
        table.set(0, tables: try map(subgraph.tensors) { tensor throws(Failure) in try self.table(tensor) })
        table.set(1, numbers: try int32(subgraph.inputs))
        table.set(2, numbers: try int32(subgraph.outputs))
        table.set(3, tables: try map(subgraph.operators) { entry throws(Failure) in try self.table(entry) })
        table.set(4, subgraph.name)
        try table.set(5, signed: subgraph.debugMetadataIndex, default: -1)
        return table
    }

    private func table(_ tensor: Tensor) throws(Failure) -> FlatTable {
        var table = FlatTable()
        table.set(0, numbers: try int32(tensor.shape))
        table.set(1, byte: tensor.type.rawValue)
        try table.set(2, unsigned: tensor.buffer)
        table.set(3, tensor.name)
        if let quantization = tensor.quantization { table.set(4, .node(.table(try self.table(quantization)))) }
        table.set(5, byte: tensor.isVariable ? 1 : 0)
        if let sparsity = tensor.sparsity { table.set(6, .node(.table(try self.table(sparsity)))) }
        if let signature = tensor.shapeSignature { table.set(7, numbers: try int32(signature)) }
        table.set(8, byte: tensor.hasRank ? 1 : 0)
        table.set(
            9,
            unlessEmpty: try map(tensor.variantTensors) { variant throws(Failure) in
                var table = FlatTable()
                table.set(0, numbers: try int32(variant.shape))
                table.set(1, byte: variant.type.rawValue)
                table.set(2, byte: variant.hasRank ? 1 : 0)
                return table
            })
        try table.set(10, unsigned: tensor.externalBuffer)
        return table
    }

    private func table(_ quantization: Quantization) throws(Failure) -> FlatTable {
        var table = FlatTable()
        if !quantization.min.isEmpty { table.set(0, floats: quantization.min) }
        if !quantization.max.isEmpty { table.set(1, floats: quantization.max) }
        if !quantization.scales.isEmpty { table.set(2, floats: quantization.scales) }
        if !quantization.zeroPoints.isEmpty { table.set(3, numbers: quantization.zeroPoints.map { Int64($0) }) }
        if let details = quantization.details {
            let (kind, fields) = try union(details)
            table.set(4, byte: kind)
            table.set(5, .node(.table(fields)))
        }
        try table.set(6, signed: quantization.dimension)
        return table
    }

    private func union(_ details: QuantizationDetails) throws(Failure) -> (UInt8, FlatTable) {
        var table = FlatTable()
        switch details {
        case .custom(let bytes):
            table.set(0, .node(.bytes(bytes)))
            return (1, table)
        case .blockwise(let scales, let zeroPoints, let blockSize):
            for (id, value) in [scales, zeroPoints, blockSize].enumerated() { try table.set(id, signed: value) }
            return (2, table)
        case .multiAxis(let scales, let zeroPoints, let blockSize, let dimensions):
            for (id, value) in [scales, zeroPoints, blockSize].enumerated() { try table.set(id, signed: value) }
            table.set(3, numbers: try int32(dimensions))
            return (3, table)
        }
    }

    private func table(_ sparsity: Sparsity) throws(Failure) -> FlatTable {
        var table = FlatTable()
        table.set(0, numbers: try int32(sparsity.traversalOrder))
        if !sparsity.blockMap.isEmpty { table.set(1, numbers: try int32(sparsity.blockMap)) }
        table.set(
            2,
            tables: try map(sparsity.dimensions) { dimension throws(Failure) in
                var table = FlatTable()
                switch dimension {
                case .dense(let size): try table.set(1, signed: size)
                case .compressed(let segments, let indices, let segmentWidth, let indexWidth):
                    table.set(0, byte: 1)
                    try set(2, segments, segmentWidth, in: &table)
                    try set(4, indices, indexWidth, in: &table)
                }
                return table
            })
        return table
    }

    private func set(
        _ id: Int, _ values: [Int], _ width: Sparsity.IndexWidth, in table: inout FlatTable
    ) throws(Failure) {
        var vector = FlatTable()
        switch width {
        case .none: return
        case .int32: vector.set(0, numbers: try int32(values))
        case .uint16: vector.set(0, numbers: try numbers(values, as: UInt16.self))
        case .uint8: vector.set(0, numbers: try numbers(values, as: UInt8.self))
        }
        table.set(id, byte: width.rawValue)
        table.set(id + 1, .node(.table(vector)))
    }

    private func table(_ operation: Operator) throws(Failure) -> FlatTable {
        var table = FlatTable()
        try table.set(0, unsigned: operation.opcode)
        table.set(1, numbers: try int32(operation.inputs))
        table.set(2, numbers: try int32(operation.outputs))
        if operation.options.table != .none {
            let code = operation.options.table.rawValue
            let first = code < 256 ? 3 : 11
            table.set(first, byte: UInt8(truncatingIfNeeded: code))
            table.set(first + 1, .node(.table(try self.table(operation.options))))
        }
        if let bytes = operation.customOptions {
            if operation.customOptionsOutside {
                table.set(9, .outside(bytes))
                table.set(10, .long(UInt64(bytes.count)))
            } else {
                table.set(5, .node(.bytes(bytes)))
            }
        }
        table.set(6, byte: UInt8(truncatingIfNeeded: operation.customOptionsFormat))
        if !operation.mutatingVariableInputs.isEmpty {
            table.set(7, numbers: operation.mutatingVariableInputs.map { $0 ? UInt8(1) : 0 })
        }
        if !operation.intermediates.isEmpty { table.set(8, numbers: try int32(operation.intermediates)) }
        try table.set(13, signed: operation.debugMetadataIndex, default: -1)
        return table
    }

    /// Every field that is there, also one that has its default value.
    private func table(_ options: Options) throws(Failure) -> FlatTable {
        var table = FlatTable()
        let schema = options.table.schema.fields
        for (id, value) in options.fields.enumerated() where id < schema.count {
            switch value {
            case .absent: continue
            case .float(let number): table.set(id, .word(number.bitPattern))
            case .floats(let numbers): table.set(id, floats: numbers)
            case .string(let text): table.set(id, text)
            case .bytes(let bytes): table.set(id, .node(.bytes(bytes)))
            case .int(let number):
                switch schema[id].type.width {
                case 1: table.set(id, .byte(UInt8(truncatingIfNeeded: number)))
                case 8: table.set(id, .long(UInt64(bitPattern: number)))
                default: table.set(id, .word(UInt32(truncatingIfNeeded: number)))
                }
            case .ints(let numbers):
                switch schema[id].type.width {
                case 1: table.set(id, numbers: numbers.map { UInt8(truncatingIfNeeded: $0) })
                case 8: table.set(id, numbers: numbers)
                default: table.set(id, numbers: numbers.map { Int32(truncatingIfNeeded: $0) })
                }
            }
        }
        return table
    }

    private func table(_ buffer: Buffer) -> FlatTable {
        var table = FlatTable()
        guard let data = buffer.data, data.count > 0 else { return table }
        if buffer.isOutside || allOutside {
            table.set(1, .outside(data))
            table.set(2, .long(UInt64(data.count)))
        } else {
            table.set(0, .node(.bytes(data)))
        }
        return table
    }

    private func table(_ signature: Signature) throws(Failure) -> FlatTable {
        func entries(_ entries: [Signature.Entry]) throws(Failure) -> [FlatTable] {
            try map(entries) { entry throws(Failure) in
                var table = FlatTable()
                table.set(0, entry.name)
                try table.set(1, unsigned: entry.tensor)
                return table
            }
        }
        var table = FlatTable()
        table.set(0, tables: try entries(signature.inputs))
        table.set(1, tables: try entries(signature.outputs))
        table.set(2, signature.key)
        try table.set(4, unsigned: signature.subgraph)
        return table
    }

    private func table(_ external: ExternalBuffer) throws(Failure) -> FlatTable {
        var table = FlatTable()
        try table.set(0, unsigned: external.id)
        try table.set(1, unsigned: external.group)
        table.set(2, .long(UInt64(clamping: external.offset)))
        table.set(3, .long(UInt64(clamping: external.length)))
        table.set(4, external.packing)
        return table
    }

    private func map<Element>(
        _ elements: [Element], _ transform: (Element) throws(Failure) -> FlatTable
    ) throws(Failure) -> [FlatTable] {
        var tables: [FlatTable] = []
        tables.reserveCapacity(elements.count)
        for element in elements { tables.append(try transform(element)) }
        return tables
    }

    private func int32(_ values: [Int]) throws(Failure) -> [Int32] { try numbers(values, as: Int32.self) }

    private func numbers<T: FixedWidthInteger>(_ values: [Int], as type: T.Type) throws(Failure) -> [T] {
        var numbers: [T] = []
        numbers.reserveCapacity(values.count)
        for value in values {
            guard let number = T(exactly: value) else { throw Writer.tooLarge(value, bits: T.bitWidth) }
            numbers.append(number)
        }
        return numbers
    }

    fileprivate static func tooLarge(_ value: Int, bits: Int) -> Failure {
        .outOfRange("\(value) does not fit into the \(bits) bits that the file has for it")
    }
}

extension FlatTable {
    @inline(never) fileprivate mutating func set(_ id: Int, byte: UInt8) { if byte != 0 { set(id, .byte(byte)) } }

    @inline(never) fileprivate mutating func set(_ id: Int, signed value: Int, default absent: Int = 0) throws(Failure)
    {
        guard value != absent else { return }
        guard let number = Int32(exactly: value) else { throw Writer.tooLarge(value, bits: 32) }
        set(id, .word(UInt32(bitPattern: number)))
    }

    @inline(never) fileprivate mutating func set(_ id: Int, unsigned value: Int) throws(Failure) {
        guard value != 0 else { return }
        guard let number = UInt32(exactly: value) else { throw Writer.tooLarge(value, bits: 32) }
        set(id, .word(number))
    }

    @inline(never) fileprivate mutating func set(_ id: Int, _ text: String?) {
        if let text { set(id, .node(.string(text))) }
    }

    @inline(never) fileprivate mutating func set(_ id: Int, tables: [FlatTable]) { set(id, .node(.tables(tables))) }

    @inline(never) fileprivate mutating func set(_ id: Int, unlessEmpty tables: [FlatTable]) {
        if !tables.isEmpty { set(id, tables: tables) }
    }

    @inline(never) fileprivate mutating func set(_ id: Int, floats: [Float]) {
        set(id, numbers: floats.map { $0.bitPattern })
    }

    @inline(never) fileprivate mutating func set<T: FixedWidthInteger>(_ id: Int, numbers: [T]) {
        let width = T.bitWidth / 8
        var bytes: [UInt8] = []
        bytes.reserveCapacity(numbers.count * width)
        for number in numbers {
            for index in 0..<width { bytes.append(UInt8(truncatingIfNeeded: number >> T(8 * index))) }
        }
        set(id, .node(.vector(bytes, width: width)))
    }
}
