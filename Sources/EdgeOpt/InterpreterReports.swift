import CEdgeOpt
import Model
import Runtime

@c @implementation
public func eo_interpreter_arena_size(_ interpreter: OpaquePointer!) -> Int {
    unsafe EdgeOpt.interpreter(interpreter)?.interpreter.arenaSize ?? 0
}

@c @implementation
public func eo_interpreter_operator_count(_ interpreter: OpaquePointer!) -> Int32 {
    Int32(count: unsafe EdgeOpt.interpreter(interpreter)?.interpreter.operatorCount ?? 0)
}

@c @implementation
public func eo_interpreter_operator(
    _ interpreter: OpaquePointer!, _ index: Int32, _ report: UnsafeMutablePointer<eo_operator_report>!
) -> eo_status {
    call { () throws(Failure) in
        let handle: InterpreterHandle = try unsafe object(interpreter, "interpreter")
        let place = try unsafe argument(report, "report")
        unsafe place.pointee = try unsafe handle.report(Int(index))
    }
}

@c @implementation
public func eo_interpreter_set_profile(_ interpreter: OpaquePointer!, _ profile: Bool) {
    unsafe EdgeOpt.interpreter(interpreter)?.interpreter.setProfile(profile)
}
