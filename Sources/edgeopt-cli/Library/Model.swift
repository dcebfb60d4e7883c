import CEdgeOpt

/// A model, through edgeopt.h.
final class Model {
    let handle: OpaquePointer

    init(path: String) throws {
        var handle: OpaquePointer?
        try check(eo_model_open(path, &handle))
        self.handle = handle!
    }

    /// Takes over a handle that the library gave.
    init(owning handle: OpaquePointer) { self.handle = handle }

    deinit { eo_model_destroy(handle) }

    func save(to path: String) throws { try check(eo_model_save(handle, path)) }

    /// The bytes that `save` writes.
    func withSerialized<R>(_ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        var data: UnsafeMutableRawPointer?
        var size = 0
        try check(eo_model_serialize(handle, &data, &size))
        defer { eo_free(data) }
        return try body(UnsafeRawBufferPointer(start: data, count: size))
    }

    var description: String { string(eo_model_description(handle)) }
    var subgraphCount: Int32 { eo_model_subgraph_count(handle) }

    func name(ofSubgraph subgraph: Int32) -> String { string(eo_model_subgraph_name(handle, subgraph)) }

    func inputs(of subgraph: Int32 = 0) throws -> [Tensor] {
        try (0..<eo_model_input_count(handle, subgraph)).map { position in
            var index: Int32 = 0
            try check(eo_model_input(handle, subgraph, position, &index))
            return try tensor(index, of: subgraph)
        }
    }

    func outputs(of subgraph: Int32 = 0) throws -> [Tensor] {
        try (0..<eo_model_output_count(handle, subgraph)).map { position in
            var index: Int32 = 0
            try check(eo_model_output(handle, subgraph, position, &index))
            return try tensor(index, of: subgraph)
        }
    }

    func tensors(of subgraph: Int32) throws -> [Tensor] {
        try (0..<eo_model_tensor_count(handle, subgraph)).map { try tensor($0, of: subgraph) }
    }

    func tensor(_ index: Int32, of subgraph: Int32) throws -> Tensor {
        var found = eo_tensor()
        try check(eo_model_tensor(handle, subgraph, index, &found))
        return Tensor(found)
    }

    func operators(of subgraph: Int32) throws -> [Operator] {
        try (0..<eo_model_operator_count(handle, subgraph)).map { index in
            var found = eo_operator()
            var options: UnsafeMutablePointer<CChar>?
            try check(eo_model_operator(handle, subgraph, index, &found))
            try check(eo_model_operator_options(handle, subgraph, index, &options))
            defer { eo_free(options) }
            return Operator(
                index: Int(index), name: string(found.name), isCustom: found.is_custom, version: Int(found.version),
                inputs: list(found.inputs, found.input_count).map(Int.init),
                outputs: list(found.outputs, found.output_count).map(Int.init), options: string(options))
        }
    }

    func signatures() throws -> [Signature] {
        try (0..<eo_model_signature_count(handle)).map { index in
            var found = eo_signature()
            try check(eo_model_signature(handle, index, &found))
            return Signature(
                key: string(found.key), subgraph: Int(found.subgraph),
                inputs: list(found.input_names, found.input_count).map { string($0) },
                outputs: list(found.output_names, found.output_count).map { string($0) })
        }
    }

    func metadata() throws -> [MetadataEntry] {
        try (0..<eo_model_metadata_count(handle)).map { index in
            var name: UnsafePointer<CChar>?
            var data: UnsafeRawPointer?
            var size = 0
            try check(eo_model_metadata(handle, index, &name, &data, &size))
            return MetadataEntry(name: string(name), size: size)
        }
    }
}

struct Operator: Encodable {
    let index: Int
    let name: String
    let isCustom: Bool
    let version: Int
    let inputs: [Int]
    let outputs: [Int]
    let options: String
}

struct Signature: Encodable {
    let key: String
    let subgraph: Int
    let inputs: [String]
    let outputs: [String]
}

struct MetadataEntry: Encodable {
    let name: String
    let size: Int
}

/// A C array that the library lends.
func list<Element>(_ base: UnsafePointer<Element>?, _ count: Int32) -> [Element] {
    Array(UnsafeBufferPointer(start: base, count: base == nil ? 0 : Int(count)))
}
