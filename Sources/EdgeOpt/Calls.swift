import CEdgeOpt
import CPlatform
import Model

/// Runs the body of a C function: a failure becomes its status, and the sentence of `eo_last_error`.
func call(_ body: () throws(Failure) -> Void) -> eo_status {
    do throws(Failure) {
        try body()
        return EO_OK
    } catch {
        remember(error.message)
        return error.status
    }
}

/// The sentence for `eo_last_error`.
func remember(_ message: String) {
    var message = message
    message.withUTF8 { text in
        unsafe text.withMemoryRebound(to: CChar.self) { text in
            if let base = text.baseAddress { unsafe platform_set_error(base, text.count) }
        }
    }
}

/// "eo_model_save" of "eo_model_save(_:_:)".
private func plain(_ function: String) -> String {
    String(decoding: function.utf8.prefix { $0 != UInt8(ascii: "(") }, as: UTF8.self)
}

/// The pointer, or a failure that names the function and the argument.
func argument<T>(
    _ pointer: UnsafeMutablePointer<T>?, _ name: String, in function: String = #function
) throws(Failure) -> UnsafeMutablePointer<T> {
    guard let pointer = unsafe pointer else { throw .invalidArgument("\(plain(function)): \(name) is NULL") }
    return unsafe pointer
}

func argument<T>(
    _ pointer: UnsafePointer<T>?, _ name: String, in function: String = #function
) throws(Failure) -> UnsafePointer<T> {
    guard let pointer = unsafe pointer else { throw .invalidArgument("\(plain(function)): \(name) is NULL") }
    return unsafe pointer
}

/// A NUL-terminated string that must be there.
func text(
    _ pointer: UnsafePointer<CChar>?, _ name: String, in function: String = #function
) throws(Failure) -> String {
    unsafe String(cString: try argument(pointer, name, in: function))
}

/// An options struct of the caller, whose header may be older or newer: as many bytes as it says it has, over the
/// defaults. NULL: the defaults.
func options<T: BitwiseCopyable>(
    _ pointer: UnsafePointer<T>?, defaults: T, in function: String = #function
) throws(Failure) -> T {
    guard let pointer = unsafe pointer else { return defaults }
    let size = unsafe UnsafeRawPointer(pointer).loadUnaligned(as: Int.self)
    guard size >= MemoryLayout<Int>.size, size < 1 << 16 else {
        throw .invalidArgument(
            "\(plain(function)): struct_size is \(size); begin with the EO_..._INIT macro of the options")
    }
    var result = defaults
    unsafe withUnsafeMutableBytes(of: &result) { bytes in
        unsafe bytes.copyMemory(
            from: UnsafeRawBufferPointer(start: pointer, count: min(size, MemoryLayout<T>.size)))
    }
    return result
}

/// What a handle points to.
func object<T: AnyObject>(
    _ handle: OpaquePointer?, _ name: String, as type: T.Type = T.self, in function: String = #function
) throws(Failure) -> T {
    guard let handle = unsafe handle else { throw .invalidArgument("\(plain(function)): \(name) is NULL") }
    return unsafe Unmanaged<T>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
}

/// A handle that the caller owns.
func handle(_ object: some AnyObject) -> OpaquePointer {
    unsafe OpaquePointer(Unmanaged.passRetained(object).toOpaque())
}

/// Ends the caller's ownership; nil is allowed.
func release<T: AnyObject>(_ handle: OpaquePointer?, as type: T.Type) {
    guard let handle = unsafe handle else { return }
    unsafe Unmanaged<T>.fromOpaque(UnsafeRawPointer(handle)).release()
}

/// Memory of the C library with `count` bytes of `source`, for `eo_free`.
func owned(_ source: UnsafeRawPointer, _ count: Int) throws(Failure) -> UnsafeMutableRawPointer {
    guard let copy = unsafe platform_aligned_alloc(64, max(1, count)) else { throw .outOfMemory(count) }
    unsafe copy.copyMemory(from: source, byteCount: count)
    return unsafe copy
}

/// An index of the C API.
extension Int32 {
    /// A count that does not fit is no count any model reaches.
    init(count: Int) { self = Int32(clamping: count) }
}
