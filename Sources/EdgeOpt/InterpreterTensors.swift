import CEdgeOpt
import Model
import Runtime

/// The handle, or nil with the sentence of `eo_last_error` set: for functions that have no status to return.
func interpreter(_ handle: OpaquePointer?, in function: String = #function) -> InterpreterHandle? {
    do throws(Failure) {
        return try unsafe object(handle, "interpreter", as: InterpreterHandle.self, in: function)
    } catch {
        remember(error.message)
        return nil
    }
}

@c @implementation
public func eo_interpreter_input_count(_ interpreter: OpaquePointer!) -> Int32 {
    Int32(count: unsafe EdgeOpt.interpreter(interpreter)?.interpreter.inputCount ?? 0)
}

@c @implementation
public func eo_interpreter_output_count(_ interpreter: OpaquePointer!) -> Int32 {
    Int32(count: unsafe EdgeOpt.interpreter(interpreter)?.interpreter.outputCount ?? 0)
}

@c @implementation
public func eo_interpreter_input_index(_ interpreter: OpaquePointer!, _ name: UnsafePointer<CChar>!) -> Int32 {
    guard let handle = unsafe EdgeOpt.interpreter(interpreter) else { return -1 }
    return unsafe index(of: name, in: handle.interpreter.inputNames)
}

@c @implementation
public func eo_interpreter_output_index(_ interpreter: OpaquePointer!, _ name: UnsafePointer<CChar>!) -> Int32 {
    guard let handle = unsafe EdgeOpt.interpreter(interpreter) else { return -1 }
    return unsafe index(of: name, in: handle.interpreter.outputNames)
}

private func index(of name: UnsafePointer<CChar>?, in names: [String]) -> Int32 {
    guard let name = unsafe name else { return -1 }
    let wanted = unsafe String(cString: name)
    return names.firstIndex(of: wanted).map { Int32(count: $0) } ?? -1
}

@c @implementation
public func eo_interpreter_input_name(_ interpreter: OpaquePointer!, _ input: Int32) -> UnsafePointer<CChar>! {
    guard let names = unsafe EdgeOpt.interpreter(interpreter)?.inputNames else { return nil }
    return unsafe names.indices.contains(Int(input)) ? names[Int(input)] : nil
}

@c @implementation
public func eo_interpreter_output_name(_ interpreter: OpaquePointer!, _ output: Int32) -> UnsafePointer<CChar>! {
    guard let names = unsafe EdgeOpt.interpreter(interpreter)?.outputNames else { return nil }
    return unsafe names.indices.contains(Int(output)) ? names[Int(output)] : nil
}

@c @implementation
public func eo_interpreter_input(
    _ interpreter: OpaquePointer!, _ input: Int32, _ tensor: UnsafeMutablePointer<eo_tensor>!
) -> eo_status {
    call { () throws(Failure) in
        let handle: InterpreterHandle = try unsafe object(interpreter, "interpreter")
        let place = try unsafe argument(tensor, "tensor")
        unsafe place.pointee = unsafe handle.describe(try handle.interpreter.inputTensor(Int(input)))
    }
}

@c @implementation
public func eo_interpreter_output(
    _ interpreter: OpaquePointer!, _ output: Int32, _ tensor: UnsafeMutablePointer<eo_tensor>!
) -> eo_status {
    call { () throws(Failure) in
        let handle: InterpreterHandle = try unsafe object(interpreter, "interpreter")
        let place = try unsafe argument(tensor, "tensor")
        unsafe place.pointee = unsafe handle.describe(try handle.interpreter.outputTensor(Int(output)))
    }
}

@c @implementation
public func eo_interpreter_tensor_count(_ interpreter: OpaquePointer!) -> Int32 {
    Int32(count: unsafe EdgeOpt.interpreter(interpreter)?.interpreter.tensorCount ?? 0)
}

@c @implementation
public func eo_interpreter_tensor(
    _ interpreter: OpaquePointer!, _ index: Int32, _ tensor: UnsafeMutablePointer<eo_tensor>!
) -> eo_status {
    call { () throws(Failure) in
        let handle: InterpreterHandle = try unsafe object(interpreter, "interpreter")
        let place = try unsafe argument(tensor, "tensor")
        unsafe place.pointee = unsafe handle.describe(try handle.interpreter.tensor(Int(index)))
    }
}

@c @implementation
public func eo_interpreter_resize_input(
    _ interpreter: OpaquePointer!, _ input: Int32, _ shape: UnsafePointer<Int32>!, _ rank: Int32
) -> eo_status {
    call { () throws(Failure) in
        let handle: InterpreterHandle = try unsafe object(interpreter, "interpreter")
        let function = "eo_interpreter_resize_input"
        var position = 0
        let dimensions = try unsafe dimensions(shape, rank, at: &position, in: function)
        try handle.interpreter.resize([Int(input): dimensions])
        handle.forget()
    }
}

@c @implementation
public func eo_interpreter_resize_inputs(
    _ interpreter: OpaquePointer!, _ shapes: UnsafePointer<Int32>!, _ ranks: UnsafePointer<Int32>!, _ count: Int32
) -> eo_status {
    call { () throws(Failure) in
        let handle: InterpreterHandle = try unsafe object(interpreter, "interpreter")
        let function = "eo_interpreter_resize_inputs"
        guard count >= 0, Int(count) == handle.interpreter.inputCount else {
            throw .invalidArgument("\(function): \(count) shapes for \(handle.interpreter.inputCount) inputs")
        }
        guard count > 0 else { return }
        let ranks = try unsafe argument(ranks, "ranks", in: function)
        var all: [Int: [Int]] = [:]
        var position = 0
        for input in 0..<Int(count) {
            all[input] = try unsafe dimensions(shapes, ranks[input], at: &position, in: function)
        }
        try handle.interpreter.resize(all)
        handle.forget()
    }
}

/// `rank` numbers from `position` on, which moves behind them.
private func dimensions(
    _ numbers: UnsafePointer<Int32>?, _ rank: Int32, at position: inout Int, in function: String
) throws(Failure) -> [Int] {
    guard rank >= 0, rank <= 64 else { throw .wrongSize("\(function): rank is \(rank)") }
    guard rank > 0 else { return [] }
    let numbers = try unsafe argument(numbers, "shape", in: function)
    var shape: [Int] = []
    for _ in 0..<rank {
        shape.append(Int(unsafe numbers[position]))
        position += 1
    }
    return shape
}

@c @implementation
public func eo_interpreter_bind_input(
    _ interpreter: OpaquePointer!, _ input: Int32, _ data: UnsafeRawPointer!, _ size: Int
) -> eo_status {
    call { () throws(Failure) in
        let handle: InterpreterHandle = try unsafe object(interpreter, "interpreter")
        try unsafe handle.interpreter.bindInput(Int(input), data, byteCount: size)
    }
}

@c @implementation
public func eo_interpreter_bind_output(
    _ interpreter: OpaquePointer!, _ output: Int32, _ data: UnsafeMutableRawPointer!, _ size: Int
) -> eo_status {
    call { () throws(Failure) in
        let handle: InterpreterHandle = try unsafe object(interpreter, "interpreter")
        try unsafe handle.interpreter.bindOutput(Int(output), data, byteCount: size)
    }
}

@c @implementation
public func eo_interpreter_input_binding(_ interpreter: OpaquePointer!, _ input: Int32) -> eo_binding {
    guard let handle = unsafe EdgeOpt.interpreter(interpreter) else { return EO_BINDING_ARENA }
    return binding { () throws(Failure) in try handle.interpreter.inputBinding(Int(input)) }
}

@c @implementation
public func eo_interpreter_output_binding(_ interpreter: OpaquePointer!, _ output: Int32) -> eo_binding {
    guard let handle = unsafe EdgeOpt.interpreter(interpreter) else { return EO_BINDING_ARENA }
    return binding { () throws(Failure) in try handle.interpreter.outputBinding(Int(output)) }
}

private func binding(_ ask: () throws(Failure) -> Int32) -> eo_binding {
    do throws(Failure) { return eo_binding(rawValue: UInt32(try ask())) } catch {
        remember(error.message)
        return EO_BINDING_ARENA
    }
}
