import CEdgeOpt
import Model

/// The handle, or nil with the sentence of `eo_last_error` set: for functions that have no status to return.
private func model(_ handle: OpaquePointer?, in function: String = #function) -> ModelHandle? {
    do throws(Failure) { return try unsafe object(handle, "model", as: ModelHandle.self, in: function) } catch {
        remember(error.message)
        return nil
    }
}

private func subgraph(_ handle: OpaquePointer?, _ index: Int32, in function: String = #function) -> Subgraph? {
    guard let model = unsafe model(handle, in: function)?.model else { return nil }
    return model.subgraphs.indices.contains(Int(index)) ? model.subgraphs[Int(index)] : nil
}

private func subgraph(_ model: Model, _ index: Int32) throws(Failure) -> Subgraph {
    guard model.subgraphs.indices.contains(Int(index)) else {
        throw .outOfRange("\(model.origin): there is no subgraph \(index), only \(model.subgraphs.count)")
    }
    return model.subgraphs[Int(index)]
}

private func check(_ index: Int32, _ count: Int, _ what: String, _ model: Model) throws(Failure) -> Int {
    guard index >= 0, Int(index) < count else {
        throw .outOfRange("\(model.origin): there is no \(what) \(index), only \(count)")
    }
    return Int(index)
}

@c @implementation
public func eo_model_description(_ model: OpaquePointer!) -> UnsafePointer<CChar>! {
    unsafe EdgeOpt.model(model)?.cView { unsafe $0.description }
}

@c @implementation
public func eo_model_subgraph_count(_ model: OpaquePointer!) -> Int32 {
    Int32(count: unsafe EdgeOpt.model(model)?.model.subgraphs.count ?? 0)
}

@c @implementation
public func eo_model_subgraph_name(_ model: OpaquePointer!, _ subgraph: Int32) -> UnsafePointer<CChar>! {
    guard let handle = unsafe EdgeOpt.model(model), handle.model.subgraphs.indices.contains(Int(subgraph)) else {
        return nil
    }
    return unsafe handle.cView { unsafe $0.name(of: Int(subgraph)) }
}

@c @implementation
public func eo_model_tensor_count(_ model: OpaquePointer!, _ subgraph: Int32) -> Int32 {
    Int32(count: unsafe EdgeOpt.subgraph(model, subgraph)?.tensors.count ?? 0)
}

@c @implementation
public func eo_model_operator_count(_ model: OpaquePointer!, _ subgraph: Int32) -> Int32 {
    Int32(count: unsafe EdgeOpt.subgraph(model, subgraph)?.operators.count ?? 0)
}

@c @implementation
public func eo_model_input_count(_ model: OpaquePointer!, _ subgraph: Int32) -> Int32 {
    Int32(count: unsafe EdgeOpt.subgraph(model, subgraph)?.inputs.count ?? 0)
}

@c @implementation
public func eo_model_output_count(_ model: OpaquePointer!, _ subgraph: Int32) -> Int32 {
    Int32(count: unsafe EdgeOpt.subgraph(model, subgraph)?.outputs.count ?? 0)
}

@c @implementation
public func eo_model_signature_count(_ model: OpaquePointer!) -> Int32 {
    Int32(count: unsafe EdgeOpt.model(model)?.model.signatures.count ?? 0)
}

@c @implementation
public func eo_model_metadata_count(_ model: OpaquePointer!) -> Int32 {
    Int32(count: unsafe EdgeOpt.model(model)?.model.metadata.count ?? 0)
}

@c @implementation
public func eo_model_input(
    _ model: OpaquePointer!, _ subgraph: Int32, _ input: Int32, _ tensor: UnsafeMutablePointer<Int32>!
) -> eo_status {
    unsafe endpoint(model, subgraph, input, tensor, "input") { $0.inputs }
}

@c @implementation
public func eo_model_output(
    _ model: OpaquePointer!, _ subgraph: Int32, _ output: Int32, _ tensor: UnsafeMutablePointer<Int32>!
) -> eo_status {
    unsafe endpoint(model, subgraph, output, tensor, "output") { $0.outputs }
}

private func endpoint(
    _ model: OpaquePointer?, _ subgraph: Int32, _ index: Int32, _ tensor: UnsafeMutablePointer<Int32>?,
    _ kind: String, in function: String = #function, _ ends: (Subgraph) -> [Int]
) -> eo_status {
    call { () throws(Failure) in
        let handle: ModelHandle = try unsafe object(model, "model", in: function)
        let result = try unsafe argument(tensor, "tensor", in: function)
        let tensors = ends(try EdgeOpt.subgraph(handle.model, subgraph))
        unsafe result.pointee = Int32(count: tensors[try check(index, tensors.count, kind, handle.model)])
    }
}

@c @implementation
public func eo_model_tensor(
    _ model: OpaquePointer!, _ subgraph: Int32, _ tensor: Int32, _ result: UnsafeMutablePointer<eo_tensor>!
) -> eo_status {
    call { () throws(Failure) in
        let handle: ModelHandle = try unsafe object(model, "model")
        let place = try unsafe argument(result, "result")
        let tensors = try EdgeOpt.subgraph(handle.model, subgraph).tensors
        let index = try check(tensor, tensors.count, "tensor", handle.model)
        unsafe place.pointee = unsafe handle.cView { unsafe $0.tensor(Int(subgraph), index) }
    }
}

@c @implementation
public func eo_model_operator(
    _ model: OpaquePointer!, _ subgraph: Int32, _ index: Int32, _ result: UnsafeMutablePointer<eo_operator>!
) -> eo_status {
    call { () throws(Failure) in
        let handle: ModelHandle = try unsafe object(model, "model")
        let place = try unsafe argument(result, "result")
        let operators = try EdgeOpt.subgraph(handle.model, subgraph).operators
        let number = try check(index, operators.count, "operator", handle.model)
        unsafe place.pointee = unsafe handle.cView { unsafe $0.operator(Int(subgraph), number) }
    }
}

@c @implementation
public func eo_model_signature(
    _ model: OpaquePointer!, _ index: Int32, _ result: UnsafeMutablePointer<eo_signature>!
) -> eo_status {
    call { () throws(Failure) in
        let handle: ModelHandle = try unsafe object(model, "model")
        let place = try unsafe argument(result, "result")
        let number = try check(index, handle.model.signatures.count, "signature", handle.model)
        unsafe place.pointee = unsafe handle.cView { unsafe $0.signature(number) }
    }
}

@c @implementation
public func eo_model_metadata(
    _ model: OpaquePointer!, _ index: Int32, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>!,
    _ data: UnsafeMutablePointer<UnsafeRawPointer?>!, _ size: UnsafeMutablePointer<Int>!
) -> eo_status {
    call { () throws(Failure) in
        let handle: ModelHandle = try unsafe object(model, "model")
        let names = try unsafe argument(name, "name")
        let bytes = try unsafe argument(data, "data")
        let count = try unsafe argument(size, "size")
        let number = try check(index, handle.model.metadata.count, "metadata entry", handle.model)
        let buffer = handle.model.metadata[number].buffer
        let content = handle.model.buffers.indices.contains(buffer) ? handle.model.buffers[buffer].data : nil
        unsafe names.pointee = unsafe handle.cView { unsafe $0.metadataName(number) }
        unsafe bytes.pointee = unsafe content?.baseAddress
        unsafe count.pointee = content?.count ?? 0
    }
}

@c @implementation
public func eo_model_operator_options(
    _ model: OpaquePointer!, _ subgraph: Int32, _ index: Int32,
    _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>!
) -> eo_status {
    call { () throws(Failure) in
        let handle: ModelHandle = try unsafe object(model, "model")
        let place = try unsafe argument(text, "text")
        unsafe place.pointee = nil
        let operators = try EdgeOpt.subgraph(handle.model, subgraph).operators
        let number = try check(index, operators.count, "operator", handle.model)
        let words = Array(operators[number].options.text.utf8CString)
        let copy = try unsafe owned(words, words.count)
        unsafe place.pointee = copy.assumingMemoryBound(to: CChar.self)
    }
}
