import CEdgeOpt
import Model
import Operators
import Runtime

@c @implementation
public func eo_interpreter_create(
    _ model: OpaquePointer!, _ options: UnsafePointer<eo_interpreter_options>!,
    _ interpreter: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(interpreter, "interpreter")
        unsafe place.pointee = nil
        let source: ModelHandle = try unsafe object(model, "model")
        var defaults = unsafe eo_interpreter_options()
        unsafe defaults.num_threads = 1
        let given = try unsafe EdgeOpt.options(options, defaults: defaults)
        let made = try Interpreter(source.loaded, try unsafe convert(given, source))
        unsafe place.pointee = handle(InterpreterHandle(source, made))
    }
}

private func convert(
    _ given: eo_interpreter_options, _ model: ModelHandle
) throws(Failure) -> Interpreter.Options {
    let function = "eo_interpreter_create"
    var options = Interpreter.Options()
    options.threadCount = try threadCount(unsafe given.num_threads, in: function)
    switch unsafe given.arithmetic {
    case EO_ARITHMETIC_FAST: options.arithmetic = .fast
    case EO_ARITHMETIC_REFERENCE: options.arithmetic = .reference
    default: throw .invalidArgument("\(function): there is no arithmetic \(unsafe given.arithmetic.rawValue)")
    }
    options.precision = try precision(unsafe given.precision, in: function)
    if unsafe given.signature != nil { options.signature = try unsafe text(given.signature, "signature", in: function) }
    for index in 0..<(try count(unsafe given.keep_count, "keep_count", in: function)) {
        let names = try unsafe argument(given.keep, "keep", in: function)
        options.keep.append(try unsafe text(names[index], "keep[\(index)]", in: function))
    }
    options.keepAll = unsafe given.keep_all
    options.isProfiled = unsafe given.profile
    options.autotune = unsafe given.autotune
    if unsafe given.weight_cache != nil {
        options.weightCache = try unsafe text(given.weight_cache, "weight_cache", in: function)
    }
    if unsafe given.thread_pool != nil {
        options.threadPool = try unsafe object(given.thread_pool, "thread_pool", in: function)
    }
    for index in 0..<(try count(unsafe given.delegate_count, "delegate_count", in: function)) {
        let delegates = try unsafe argument(given.delegates, "delegates", in: function)
        let delegate = try unsafe argument(delegates[index], "delegates[\(index)]", in: function)
        options.delegates.append(try unsafe CDelegate.make(delegate, model))
    }
    if let log = unsafe given.log {
        let user = unsafe given.log_user
        options.log = { level, message in
            unsafe message.withCString { unsafe log(user, eo_log_level(rawValue: UInt32(level.rawValue)), $0) }
        }
    }
    return options
}

private func count(_ number: Int32, _ name: String, in function: String) throws(Failure) -> Int {
    guard number >= 0 else { throw .invalidArgument("\(function): \(name) is \(number)") }
    return Int(number)
}

func precision(_ number: eo_precision, in function: String) throws(Failure) -> Precision {
    switch number {
    case EO_PRECISION_FLOAT32: return .float32
    case EO_PRECISION_BFLOAT16: return .bfloat16
    default: throw .invalidArgument("\(function): there is no precision \(number.rawValue)")
    }
}

/// More threads than any machine has cores is a mistake of the caller.
func threadCount(_ number: Int32, in function: String = #function) throws(Failure) -> Int {
    guard number >= 0, number <= 1024 else {
        throw .invalidArgument("\(function): num_threads is \(number), it must be 0 to 1024")
    }
    return Int(number)
}

@c @implementation
public func eo_interpreter_destroy(_ interpreter: OpaquePointer!) {
    unsafe release(interpreter, as: InterpreterHandle.self)
}

@c @implementation
public func eo_interpreter_invoke(_ interpreter: OpaquePointer!) -> eo_status {
    call { () throws(Failure) in
        try unsafe object(interpreter, "interpreter", as: InterpreterHandle.self).interpreter.invoke()
    }
}

@c @implementation
public func eo_interpreter_cancel(_ interpreter: OpaquePointer!) {
    _ = call { () throws(Failure) in
        try unsafe object(interpreter, "interpreter", as: InterpreterHandle.self).interpreter.cancel()
    }
}

@c @implementation
public func eo_interpreter_reset_variables(_ interpreter: OpaquePointer!) -> eo_status {
    call { () throws(Failure) in
        try unsafe object(interpreter, "interpreter", as: InterpreterHandle.self).interpreter.resetVariables()
    }
}

@c @implementation
public func eo_interpreter_set_num_threads(_ interpreter: OpaquePointer!, _ threads: Int32) -> eo_status {
    call { () throws(Failure) in
        let handle: InterpreterHandle = try unsafe object(interpreter, "interpreter")
        try handle.interpreter.setThreadCount(try threadCount(threads, in: "eo_interpreter_set_num_threads"))
        handle.forget()
    }
}
