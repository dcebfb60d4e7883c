import CEdgeOpt
import Model

/// Makes an edited copy of a model.
private func edit(
    _ model: OpaquePointer?, _ edited: UnsafeMutablePointer<OpaquePointer?>?, in function: String = #function,
    _ change: (inout Model) throws(Failure) -> Void
) -> eo_status {
    call { () throws(Failure) in
        let original: ModelHandle = try unsafe object(model, "model", in: function)
        let place = try unsafe argument(edited, "edited", in: function)
        unsafe place.pointee = nil
        var copy = original.model
        try change(&copy)
        try copy.validate()
        unsafe place.pointee = handle(try ModelHandle(copy))
    }
}

@c @implementation
public func eo_model_set_description(
    _ model: OpaquePointer!, _ description: UnsafePointer<CChar>!, _ edited: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    unsafe edit(model, edited) { copy throws(Failure) in
        copy.description = try unsafe text(description, "description", in: "eo_model_set_description")
    }
}

@c @implementation
public func eo_model_rename_tensor(
    _ model: OpaquePointer!, _ subgraph: Int32, _ tensor: Int32, _ name: UnsafePointer<CChar>!,
    _ edited: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    unsafe edit(model, edited) { copy throws(Failure) in
        let words = try unsafe text(name, "name", in: "eo_model_rename_tensor")
        guard copy.subgraphs.indices.contains(Int(subgraph)),
            copy.subgraphs[Int(subgraph)].tensors.indices.contains(Int(tensor))
        else { throw .outOfRange("\(copy.origin): there is no tensor \(tensor) in a subgraph \(subgraph)") }
        copy.subgraphs[Int(subgraph)].tensors[Int(tensor)].name = words
    }
}

@c @implementation
public func eo_model_set_signature(
    _ model: OpaquePointer!, _ signature: UnsafePointer<eo_signature>!, _ edited: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    unsafe edit(model, edited) { copy throws(Failure) in
        let function = "eo_model_set_signature"
        let source = try unsafe argument(signature, "signature", in: function).pointee
        let made = Signature(
            key: try unsafe text(source.key, "key", in: function), subgraph: Int(unsafe source.subgraph),
            inputs: try unsafe entries(source.input_count, source.input_names, source.inputs, "input", function),
            outputs: try unsafe entries(source.output_count, source.output_names, source.outputs, "output", function))
        guard copy.subgraphs.indices.contains(made.subgraph) else {
            throw .outOfRange("\(copy.origin): there is no subgraph \(made.subgraph)")
        }
        let tensors = copy.subgraphs[made.subgraph].tensors.count
        for entry in made.inputs + made.outputs where entry.tensor < 0 || entry.tensor >= tensors {
            throw .outOfRange("\(copy.origin): '\(entry.name)' is tensor \(entry.tensor) of \(tensors)")
        }
        if let known = copy.signatures.firstIndex(where: { $0.key == made.key }) {
            copy.signatures[known] = made
        } else {
            copy.signatures.append(made)
        }
    }
}

private func entries(
    _ count: Int32, _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ tensors: UnsafePointer<Int32>?, _ what: String,
    _ function: String
) throws(Failure) -> [Signature.Entry] {
    guard count > 0 else {
        if count < 0 { throw .invalidArgument("\(function): \(what)_count is \(count)") }
        return []
    }
    let names = try unsafe argument(names, "\(what)_names", in: function)
    let tensors = try unsafe argument(tensors, "\(what)s", in: function)
    var result: [Signature.Entry] = []
    for index in 0..<Int(count) {
        let name = try unsafe text(names[index], "\(what)_names[\(index)]", in: function)
        guard !result.contains(where: { $0.name == name }) else {
            throw .invalidArgument("\(function): two \(what)s are called '\(name)'")
        }
        result.append(.init(name: name, tensor: Int(unsafe tensors[index])))
    }
    return result
}

@c @implementation
public func eo_model_remove_signature(
    _ model: OpaquePointer!, _ key: UnsafePointer<CChar>!, _ edited: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    unsafe edit(model, edited) { copy throws(Failure) in
        let key = try unsafe text(key, "key", in: "eo_model_remove_signature")
        guard let known = copy.signatures.firstIndex(where: { $0.key == key }) else {
            throw .outOfRange("\(copy.origin): there is no signature '\(key)'")
        }
        copy.signatures.remove(at: known)
    }
}

@c @implementation
public func eo_model_set_metadata(
    _ model: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ data: UnsafeRawPointer!, _ size: Int,
    _ edited: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    unsafe edit(model, edited) { copy throws(Failure) in
        let name = try unsafe text(name, "name", in: "eo_model_set_metadata")
        let known = copy.metadata.firstIndex { $0.name == name }
        guard size > 0 else {
            guard size == 0 else { throw .invalidArgument("eo_model_set_metadata: size is \(size)") }
            if let known { copy.metadata.remove(at: known) }
            return
        }
        guard let data = unsafe data else { throw .invalidArgument("eo_model_set_metadata: data is NULL") }
        let entry = Metadata(name: name, buffer: copy.buffers.count)
        copy.buffers.append(Buffer(try unsafe Bytes(Storage.borrow(data, count: size)).copied()))
        if let known {
            copy.metadata[known] = entry
        } else {
            copy.metadata.append(entry)
        }
    }
}
