import CKernels
import Model

/// A function of the rows of a tensor with constants for each element of a row, in one pass over the memory.
/// Immutable: any thread.
package struct RowConstants: @unchecked Sendable {
    private enum Function {
        case scaleShift(eo_scale_shift, eo_scale_shift_params)
        case layerNormalization(epsilon: Float)
    }
    typealias eo_scale_shift =
        @convention(c) (
            Int, UnsafeRawPointer, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutableRawPointer,
            UnsafePointer<eo_scale_shift_params>
        ) -> Void

    private let function: Function
    /// Factors, then shifts.
    private let constants: Storage
    private let length: Int
    private let elementSize: Int

    /// Floats: y = clamp(clamp(x factors) + shifts); the bits of the two operators one after the other.
    package init(
        factors: [Float], shifts: [Float], middle: (minimum: Float, maximum: Float),
        clamp: (minimum: Float, maximum: Float)
    ) throws(Failure) {
        (constants, length, elementSize) = (try Bytes(copying: factors + shifts).storage, factors.count, 4)
        function = .scaleShift(
            kernelTable.pointee.f32_scale_shift,
            eo_scale_shift_params(
                zero_x: 0, zero_y: 0, scale: 1, middle_low: middle.minimum, middle_high: middle.maximum,
                middle_scale: 1, low: clamp.minimum, high: clamp.maximum, arranged: false))
    }

    /// int8, uint8, or int16 without zero points: what `Elementwise.multiply` does with b = `factors`, then
    /// `Elementwise.add` with b = `shifts`. The result of the first and the second's a have the same zero point.
    package init(
        _ type: TensorType, factors: [Int], _ product: QuantizedArithmetic, shifts: [Int], _ sum: QuantizedArithmetic
    ) throws(Failure) {
        let shifts = shifts.map { Float($0 - sum.zeroB) * sum.scaleB }
        constants = try Bytes(copying: factors.map { Float($0 - product.zeroB) } + shifts).storage
        (length, elementSize) = (factors.count, type == .int16 ? 2 : 1)
        let first = UnsafeMutableRawPointer(mutating: Bytes(constants).baseAddress).assumingMemoryBound(to: Float.self)
        // The middle is 255 steps from its zero point at most.
        let isBounded = elementSize == 1 && shifts.allSatisfy { abs($0) + 256 * abs(sum.scaleA) < 0x1p30 }
        let isArranged = isBounded && kernelTable.pointee.arrange(length, first)
        if isArranged { _ = kernelTable.pointee.arrange(length, first + length) }
        function = .scaleShift(
            Self.kernel(type),
            eo_scale_shift_params(
                zero_x: Int32(product.zeroA), zero_y: Int32(sum.zeroY), scale: product.scaleA,
                middle_low: Float(product.minimum - product.zeroY), middle_high: Float(product.maximum - product.zeroY),
                middle_scale: sum.scaleA, low: Float(sum.minimum - sum.zeroY), high: Float(sum.maximum - sum.zeroY),
                arranged: isArranged))
    }

    private static func kernel(_ type: TensorType) -> eo_scale_shift {
        switch type {
        case .int16: kernelTable.pointee.s16_scale_shift
        case .int8: kernelTable.pointee.s8_scale_shift
        default: kernelTable.pointee.u8_scale_shift
        }
    }

    /// Floats: y = (x - mean) / sqrt(variance + epsilon) factors + shifts, mean and variance those of the row (Ba,
    /// Kiros, Hinton, Layer Normalization, 2016).
    package init(normalizing factors: [Float], shifts: [Float], epsilon: Float) throws(Failure) {
        (constants, length, elementSize) = (try Bytes(copying: factors + shifts).storage, factors.count, 4)
        function = .layerNormalization(epsilon: epsilon)
    }

    private var factors: UnsafePointer<Float> {
        UnsafePointer(Bytes(constants).baseAddress.assumingMemoryBound(to: Float.self))
    }

    /// How a layer does it to its results; nil: it cannot.
    var branch: eo_branch? {
        guard case .scaleShift(let kernel, let parameters) = function else { return nil }
        return eo_branch(
            run: kernel, factors: factors, shifts: factors + length, channels: length, parameters: parameters)
    }

    /// `x` and `y`: whole rows; `y` may be the memory of `x`. Nothing is allocated.
    package func run(_ x: Span<UInt8>, _ y: inout MutableSpan<UInt8>, pool: ThreadPool) {
        precondition(y.count <= x.count)
        guard length > 0, y.count >= length * elementSize else { return }
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                var job = Job(
                    function: function, x: x.baseAddress!, y: y.baseAddress!, factors: factors,
                    shifts: factors + length, length: length,
                    rows: Pieces(
                        y.count / elementSize / length, atMost: max(1, elementsPerPiece / length), pool: pool),
                    rowSize: length * elementSize)
                pool.run(job.rows.count, &job) { context, piece, _ in
                    context.assumingMemoryBound(to: Job.self).pointee.run(piece)
                }
            }
        }
    }

    private struct Job {
        let function: Function
        let x: UnsafeRawPointer
        let y: UnsafeMutableRawPointer
        let factors: UnsafePointer<Float>
        let shifts: UnsafePointer<Float>
        let length: Int
        let rows: Pieces
        let rowSize: Int

        func run(_ piece: Int) {
            for row in rows[piece] {
                let (from, to) = (x + row * rowSize, y + row * rowSize)
                switch function {
                case .scaleShift(let kernel, var parameters): kernel(length, from, factors, shifts, to, &parameters)
                case .layerNormalization(let epsilon):
                    kernelTable.pointee.f32_layer_norm(
                        length, from.assumingMemoryBound(to: Float.self), factors, shifts,
                        to.assumingMemoryBound(to: Float.self), epsilon)
                }
            }
        }
    }
}
