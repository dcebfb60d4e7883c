import CEdgeOpt
import CPlatform
import Model
import Training

private func trainer(_ handle: OpaquePointer?) -> Trainer? {
    guard let handle = unsafe handle else { return nil }
    return unsafe Unmanaged<TrainerHandle>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue().trainer
}

// MARK: Parameters

@c @implementation
public func eo_trainer_parameter_count(_ trainer: OpaquePointer!) -> Int32 {
    Int32(count: unsafe EdgeOpt.trainer(trainer)?.parameterCount ?? 0)
}

@c @implementation
public func eo_trainer_parameter_index(_ trainer: OpaquePointer!, _ name: UnsafePointer<CChar>!) -> Int32 {
    guard let trainer = unsafe EdgeOpt.trainer(trainer), let name = unsafe name else { return -1 }
    return Int32(count: trainer.parameterIndex(unsafe String(cString: name)))
}

@c @implementation
public func eo_trainer_parameter(
    _ trainer: OpaquePointer!, _ parameter: Int32, _ tensor: UnsafeMutablePointer<eo_tensor>!
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(tensor, "tensor")
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        unsafe place.pointee = unsafe try handle.parameter(Int(parameter))
    }
}

@c @implementation
public func eo_trainer_set_parameter(
    _ trainer: OpaquePointer!, _ parameter: Int32, _ data: UnsafeRawPointer!, _ size: Int
) -> eo_status {
    call { () throws(Failure) in
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        guard let data = unsafe data, size >= 0 else {
            throw .invalidArgument("eo_trainer_set_parameter: data is NULL")
        }
        try handle.trainer.setParameter(Int(parameter), unsafe Bytes(Storage.borrow(data, count: size)))
    }
}

// MARK: Steps and rate

@c @implementation
public func eo_trainer_steps(_ trainer: OpaquePointer!) -> Int64 { Int64(unsafe EdgeOpt.trainer(trainer)?.step ?? 0) }

@c @implementation
public func eo_trainer_learning_rate(_ trainer: OpaquePointer!) -> Float {
    unsafe EdgeOpt.trainer(trainer)?.learningRate ?? 0
}

@c @implementation
public func eo_trainer_set_learning_rate(_ trainer: OpaquePointer!, _ learning_rate: Float) -> eo_status {
    call { () throws(Failure) in
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        try handle.trainer.setLearningRate(learning_rate)
    }
}

// MARK: Checkpoints and export

@c @implementation
public func eo_trainer_save(
    _ trainer: OpaquePointer!, _ path: UnsafePointer<CChar>!, _ position: UnsafeRawPointer!, _ size: Int
) -> eo_status {
    call { () throws(Failure) in
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        let isThere = unsafe position != nil
        guard size == 0 || (size > 0 && isThere) else {
            throw .invalidArgument("eo_trainer_save: position is NULL, but has \(size) bytes")
        }
        handle.trainer.position = unsafe Bytes(Storage.borrow(position, count: size)).array(of: UInt8.self)
        try handle.trainer.save(try unsafe text(path, "path"))
    }
}

@c @implementation
public func eo_trainer_restore(
    _ trainer: OpaquePointer!, _ path: UnsafePointer<CChar>!,
    _ position: UnsafeMutablePointer<UnsafeMutableRawPointer?>!,
    _ size: UnsafeMutablePointer<Int>!
) -> eo_status {
    call { () throws(Failure) in
        if unsafe position != nil { unsafe position.pointee = nil }
        if unsafe size != nil { unsafe size.pointee = 0 }
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        try handle.trainer.restore(try unsafe text(path, "path"))
        let bytes = handle.trainer.position
        if unsafe position != nil {
            let memory = try Bytes(copying: bytes)
            let copy = try unsafe owned(memory.baseAddress, memory.count)
            withExtendedLifetime(memory) {}
            unsafe position.pointee = unsafe copy
        }
        if unsafe size != nil { unsafe size.pointee = bytes.count }
    }
}

@c @implementation
public func eo_trainer_export(_ trainer: OpaquePointer!, _ model: UnsafeMutablePointer<OpaquePointer?>!) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(model, "model")
        unsafe place.pointee = nil
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        unsafe place.pointee = EdgeOpt.handle(try ModelHandle(try handle.trainer.export()))
    }
}

@c @implementation
public func eo_trainer_check_export(
    _ trainer: OpaquePointer!, _ next: eo_next_sample!, _ user: UnsafeMutableRawPointer!,
    _ report: UnsafeMutablePointer<eo_export_report>!
) -> eo_status {
    call { () throws(Failure) in
        let function = "eo_trainer_check_export"
        let place = try unsafe argument(report, "report")
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        guard let next = unsafe next else { throw .invalidArgument("\(function): next is NULL") }
        let source = unsafe SampleSource(next, user, "\(function): next")
        let count = unsafe handle.inputs.count
        unsafe place.pointee = eo_export_report(
            try handle.trainer.checkExport { () throws(Failure) in try unsafe source.next(count) })
    }
}
