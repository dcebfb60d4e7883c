import CKernels
import Model

/// A function of each element that follows a layer, alone or with the element of another tensor at the same place. The
/// layer's kernels apply it to results that are still in the processor's caches; the bits are those of an operator of
/// its own. Immutable: any thread.
package struct Finish: @unchecked Sendable {
    private(set) var raw = eo_finish()
    private let parameters: Storage?
    /// Bytes of an element.
    private let elementSize: Int
    /// What makes a second result.
    private var branch: Branch?

    /// Nothing follows.
    package init() { (parameters, elementSize) = (nil, 1) }

    /// A second result alone, `size` bytes an element; nil: a layer cannot make it.
    package init?(second rows: RowConstants, elementSize: Int) throws(Failure) {
        guard let branch = rows.branch else { return nil }
        let storage = try stored(of: branch)
        (self.branch, self.elementSize, parameters) = (Branch(rows, storage), elementSize, nil)
        raw.branch = UnsafePointer(Bytes(storage).baseAddress.assumingMemoryBound(to: eo_branch.self))
    }

    private init(_ raw: eo_finish, _ parameters: Storage, elementSize: Int) {
        self.raw = raw
        self.raw.parameters = UnsafeRawPointer(Bytes(parameters).baseAddress)
        (self.parameters, self.elementSize) = (parameters, elementSize)
    }

    /// y = f(y), float32.
    package static func function(_ function: UnaryFunction) throws(Failure) -> Finish {
        var raw = eo_finish()
        raw.unary = function.kernel
        return Finish(raw, try stored(of: function.parameters), elementSize: 4)
    }

    /// y = table[y], 256 bytes.
    package static func lookUp(_ table: [UInt8]) throws(Failure) -> Finish {
        precondition(table.count == 256)
        var raw = eo_finish()
        raw.unary = kernelTable.pointee.x8_lut
        return Finish(raw, try Bytes(copying: table).storage, elementSize: 1)
    }

    /// As `Conversion.requantize`, int16 to int16.
    package static func requantize(offset: Int32, factor: Float, zeroPoint: Int) throws(Failure) -> Finish {
        var raw = eo_finish()
        raw.unary = Int16.kernels.fromInt16
        let parameters = Conversion.requantizing(Int16.self, offset: offset, factor: factor, zeroPoint: zeroPoint)
        return Finish(raw, try stored(of: parameters), elementSize: 2)
    }

    /// y = clamp(f(y, operand)), float32.
    package static func function(
        _ function: BinaryFunction, clamp: (minimum: Float, maximum: Float)
    ) throws(Failure) -> Finish {
        var raw = eo_finish()
        raw.binary = function.kernel.vv
        return Finish(raw, try stored(of: eo_f32_params(low: clamp.minimum, high: clamp.maximum)), elementSize: 4)
    }

    /// As `Elementwise.add`, the layer's result being a, the operand b.
    package static func add<T: QuantizedInteger>(
        _ arithmetic: QuantizedArithmetic, _: T.Type
    ) throws(Failure) -> Finish {
        try add(arithmetic, T.kernels.add.vv, elementSize: MemoryLayout<T>.stride)
    }

    @inline(never)
    private static func add(
        _ arithmetic: QuantizedArithmetic, _ kernel: @escaping eo_binary_form, elementSize: Int
    ) throws(Failure) -> Finish {
        var raw = eo_finish()
        raw.binary = kernel
        return Finish(raw, try stored(of: arithmetic.parameters), elementSize: elementSize)
    }

    /// The same with the second result, of float32, rounded to bfloat16.
    package func roundingSecond(_ isRounded: Bool) -> Finish {
        var copy = self
        copy.raw.second_is_rounded = isRounded
        return copy
    }

    package var hasOperand: Bool { raw.binary != nil }
    package var hasSecond: Bool { branch != nil }

    /// The same with the second result that `last` makes.
    package func followed(by last: Finish) -> Finish {
        var copy = self
        (copy.branch, copy.raw.branch) = (last.branch, last.raw.branch)
        copy.raw.second_is_rounded = last.raw.second_is_rounded
        return copy
    }

    /// The layer's result is the second operand.
    package var swapped: Finish {
        var copy = self
        copy.raw.operand_first.toggle()
        return copy
    }

    /// With the other operand, which must stay where it is while the layer runs.
    package func with(_ operand: Span<UInt8>) -> Finish {
        var copy = self
        operand.withUnsafeBufferPointer { copy.raw.operand = UnsafeRawPointer($0.baseAddress) }
        return copy
    }

    /// With the memory of the second result, as large as the first, which must stay where it is likewise.
    package func with(second: inout MutableSpan<UInt8>) -> Finish {
        var copy = self
        second.withUnsafeMutableBufferPointer { copy.raw.second = UnsafeMutableRawPointer($0.baseAddress) }
        return copy
    }

    /// For the part of an output that begins `bytes` bytes after its start.
    func advanced(by bytes: Int) -> Finish {
        var copy = self
        copy.raw.operand = raw.operand.map { $0 + bytes }
        return copy
    }

    /// Applies it to a result that is complete.
    package func run(_ output: inout MutableSpan<UInt8>, pool: ThreadPool) {
        output.withUnsafeMutableBufferPointer { output in
            guard let base = output.baseAddress else { return }
            // Whole rows of those that have constants.
            let row = max(1, (raw.branch?.pointee.channels ?? 0) * elementSize)
            let job = Job(
                raw: raw, output: base, size: output.count, elementSize: elementSize,
                piece: max(1, 65536 / row) * row)
            withUnsafePointer(to: job) { job in
                pool.run((output.count + job.pointee.piece - 1) / job.pointee.piece, job) { context, piece, _ in
                    var job = context.assumingMemoryBound(to: Job.self).pointee
                    let offset = piece * job.piece
                    eo_finish_run(&job.raw, job.output, offset, min(job.piece, job.size - offset), job.elementSize)
                }
            }
        }
    }

    private struct Job {
        var raw: eo_finish
        let output: UnsafeMutableRawPointer
        let size: Int
        let elementSize: Int
        let piece: Int
    }
}

/// Keeps what makes a second result.
private final class Branch: @unchecked Sendable {
    private let rows: RowConstants
    private let storage: Storage
    init(_ rows: RowConstants, _ storage: Storage) { (self.rows, self.storage) = (rows, storage) }
}

/// A copy with an address of its own.
@inline(never)
func stored(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> Storage {
    try allocatePacked(bytes.count) { $0.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count) }
}

func stored<T: BitwiseCopyable>(of value: T) throws(Failure) -> Storage {
    try withUnsafeBytes(of: value) { bytes throws(Failure) in try stored(bytes) }
}
