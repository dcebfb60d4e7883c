import Model

/// Floats of the trainer's own that a graph reads or writes in place, 64-byte aligned, zero at first. One thread at a
/// time.
@safe package final class FloatMemory {
    fileprivate let bytes: Bytes
    package let count: Int

    private init(_ bytes: Bytes, _ count: Int) {
        self.bytes = bytes
        self.count = count
    }

    package static func make(_ count: Int) throws(Failure) -> FloatMemory {
        let (size, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
        guard !overflow, count >= 0 else { throw .outOfMemory(Int.max) }
        return FloatMemory(Bytes(try Storage.allocate(size)), count)
    }

    package static func make(_ values: [Float]) throws(Failure) -> FloatMemory {
        FloatMemory(try Bytes(copying: values), values.count)
    }

    /// Valid while this object lives.
    @unsafe package var address: UnsafeMutablePointer<Float> {
        unsafe UnsafeMutableRawPointer(mutating: bytes.baseAddress).assumingMemoryBound(to: Float.self)
    }

    package var byteCount: Int { bytes.count }

    package var span: Span<Float> {
        @_lifetime(borrow self) get {
            let span = unsafe Span(_unsafeStart: UnsafePointer(address), count: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    package var mutableSpan: MutableSpan<Float> {
        @_lifetime(borrow self) get {
            let span = unsafe MutableSpan(_unsafeStart: address, count: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    package var values: [Float] { bytes.array(of: Float.self) }

    /// The same number of values.
    package func set(_ values: [Float]) {
        var span = mutableSpan
        for index in 0..<min(count, values.count) { span[index] = values[index] }
    }

    package func copy(_ other: FloatMemory) {
        let size = min(byteCount, other.byteCount)
        unsafe UnsafeMutableRawPointer(address).copyMemory(from: UnsafeRawPointer(other.address), byteCount: size)
    }
}

extension FloatMemory {
    /// The bytes themselves; they change with the values.
    var contents: Bytes { bytes }
}
