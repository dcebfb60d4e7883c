import CEdgeOpt
import Model

@c @implementation
public func eo_model_open(_ path: UnsafePointer<CChar>!, _ model: UnsafeMutablePointer<OpaquePointer?>!) -> eo_status {
    call { () throws(Failure) in
        let result = try unsafe argument(model, "model")
        unsafe result.pointee = nil
        unsafe result.pointee = handle(try ModelHandle(try Model.open(path: try text(path, "path"))))
    }
}

@c @implementation
public func eo_model_from_memory(
    _ data: UnsafeRawPointer!, _ size: Int, _ memory: eo_memory, _ model: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    call { () throws(Failure) in
        let result = try unsafe argument(model, "model")
        unsafe result.pointee = nil
        guard let data = unsafe data else { throw .invalidArgument("eo_model_from_memory: data is NULL") }
        guard size >= 0, memory == EO_MEMORY_COPY || memory == EO_MEMORY_BORROW else {
            throw .invalidArgument(
                "eo_model_from_memory: there is no memory mode \(memory.rawValue) and no size \(size)")
        }
        var bytes = unsafe Bytes(Storage.borrow(data, count: size))
        if memory == EO_MEMORY_COPY { bytes = try bytes.copied() }
        unsafe result.pointee = handle(try ModelHandle(try Model.read(bytes, origin: "model in memory")))
    }
}

@c @implementation
public func eo_model_destroy(_ model: OpaquePointer!) { unsafe release(model, as: ModelHandle.self) }

@c @implementation
public func eo_model_save(_ model: OpaquePointer!, _ path: UnsafePointer<CChar>!) -> eo_status {
    call { () throws(Failure) in
        let handle: ModelHandle = try unsafe object(model, "model")
        try handle.model.save(path: try unsafe text(path, "path"))
    }
}

@c @implementation
public func eo_model_serialize(
    _ model: OpaquePointer!, _ data: UnsafeMutablePointer<UnsafeMutableRawPointer?>!, _ size: UnsafeMutablePointer<Int>!
) -> eo_status {
    call { () throws(Failure) in
        let handle: ModelHandle = try unsafe object(model, "model")
        let place = try unsafe argument(data, "data")
        let count = try unsafe argument(size, "size")
        unsafe place.pointee = nil
        unsafe count.pointee = 0
        let bytes = try handle.model.serialized()
        unsafe place.pointee = try owned(bytes.baseAddress, bytes.count)
        unsafe count.pointee = bytes.count
    }
}
