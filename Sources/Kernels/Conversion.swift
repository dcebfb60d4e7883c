import CKernels
import Model

/// An integer type of quantized tensors that has kernels.
package protocol QuantizedInteger: FixedWidthInteger & BitwiseCopyable & Sendable {
    static var kernels: QuantizedKernels { get }
}

/// The kernels of one quantized type.
package struct QuantizedKernels {
    let fromFloat: eo_unary
    let fromInt32: eo_unary
    let fromInt16: eo_unary
    let toFloat: eo_unary
    let add: eo_binary
    let multiply: eo_binary
    let maximumPool: eo_pool
    let averagePool: eo_pool
    let sum: @convention(c) (Int, UnsafeRawPointer) -> Int32
    let addRows: @convention(c) (Int, Int, Int, UnsafeRawPointer, UnsafeMutablePointer<Int32>) -> Void
}

extension Int8: QuantizedInteger {
    package static var kernels: QuantizedKernels {
        let table = kernelTable.pointee
        return QuantizedKernels(
            fromFloat: table.f32_to_s8, fromInt32: table.s32_to_s8, fromInt16: table.s16_to_s8,
            toFloat: table.s8_to_f32, add: table.s8_add,
            multiply: table.s8_mul,
            maximumPool: table.s8_max_pool,
            averagePool: table.s8_average_pool, sum: table.s8_sum, addRows: table.s8_add_rows)
    }
}

extension UInt8: QuantizedInteger {
    package static var kernels: QuantizedKernels {
        let table = kernelTable.pointee
        return QuantizedKernels(
            fromFloat: table.f32_to_u8, fromInt32: table.s32_to_u8, fromInt16: table.s16_to_u8,
            toFloat: table.u8_to_f32, add: table.u8_add,
            multiply: table.u8_mul,
            maximumPool: table.u8_max_pool,
            averagePool: table.u8_average_pool, sum: table.u8_sum, addRows: table.u8_add_rows)
    }
}

extension Int16: QuantizedInteger {
    package static var kernels: QuantizedKernels {
        let table = kernelTable.pointee
        return QuantizedKernels(
            fromFloat: table.f32_to_s16, fromInt32: table.s32_to_s16, fromInt16: table.s16_to_s16,
            toFloat: table.s16_to_f32, add: table.s16_add,
            multiply: table.s16_mul,
            maximumPool: table.s16_max_pool,
            averagePool: table.s16_average_pool, sum: table.s16_sum, addRows: table.s16_add_rows)
    }
}

/// Numbers from one type to another. Large tensors are shared among the threads of `pool`; the bits are the same on
/// every instruction set. Nothing is allocated.
package enum Conversion {
    /// y = clamp(round(x * (1 / scale)) + zeroPoint), one float rounding for each operation, ties to even, to the
    /// range of the type; NaN gives its least value. `zeroPoint` is a value of the type, `scale` positive.
    package static func quantize<T: QuantizedInteger>(
        _ x: Span<Float>, _ y: inout MutableSpan<T>, scale: Float, zeroPoint: Int, pool: ThreadPool
    ) {
        var parameters = eo_quantize_params(
            offset: 0, zero: Int32(zeroPoint), scale: 1 / scale, low: Float(Int(T.min) - zeroPoint),
            high: Float(Int(T.max) - zeroPoint))
        Elementwise.unary(T.kernels.fromFloat, x, &y, &parameters, pool)
    }

    /// y = clamp(round((x - offset) * factor)) + zeroPoint, one float rounding for each operation, ties to even, to
    /// the range of the type. `factor` is finite, X Int16 or Int32.
    package static func requantize<X: FixedWidthInteger & BitwiseCopyable, T: QuantizedInteger>(
        _ x: Span<X>, _ y: inout MutableSpan<T>, offset: Int32, factor: Float, zeroPoint: Int, pool: ThreadPool
    ) {
        var parameters = requantizing(T.self, offset: offset, factor: factor, zeroPoint: zeroPoint)
        Elementwise.unary(X.bitWidth == 16 ? T.kernels.fromInt16 : T.kernels.fromInt32, x, &y, &parameters, pool)
    }

    static func requantizing<T: QuantizedInteger>(
        _: T.Type, offset: Int32, factor: Float, zeroPoint: Int
    ) -> eo_quantize_params {
        eo_quantize_params(
            offset: offset, zero: Int32(zeroPoint), scale: factor, low: Float(Int(T.min) - zeroPoint),
            high: Float(Int(T.max) - zeroPoint))
    }

    /// y = (x - zeroPoint) * scale.
    package static func dequantize<T: QuantizedInteger>(
        _ x: Span<T>, _ y: inout MutableSpan<Float>, scale: Float, zeroPoint: Int, pool: ThreadPool
    ) {
        var parameters = eo_quantize_params(
            offset: 0, zero: Int32(zeroPoint), scale: scale, low: 0, high: 0)
        Elementwise.unary(T.kernels.toFloat, x, &y, &parameters, pool)
    }

    /// The same of bytes that have a sign or none.
    package static func dequantize(
        bytes x: Span<UInt8>, signed: Bool, _ y: inout MutableSpan<Float>, scale: Float, zeroPoint: Int,
        pool: ThreadPool
    ) {
        var parameters = eo_quantize_params(offset: 0, zero: Int32(zeroPoint), scale: scale, low: 0, high: 0)
        Elementwise.unary(
            signed ? kernelTable.pointee.s8_to_f32 : kernelTable.pointee.u8_to_f32, x, &y, &parameters, pool)
    }

    /// Half precision, as bits, to single: exact.
    package static func widen(_ x: Span<UInt16>, _ y: inout MutableSpan<Float>, pool: ThreadPool) {
        Elementwise.unary(kernelTable.pointee.f16_to_f32, x, &y, nil, pool)
    }

    /// Single to half precision, as bits: ties to even, overflow to infinity, NaN to 0x7e00.
    package static func narrow(_ x: Span<Float>, _ y: inout MutableSpan<UInt16>, pool: ThreadPool) {
        Elementwise.unary(kernelTable.pointee.f32_to_f16, x, &y, nil, pool)
    }
}

extension FloatValues {
    /// The nearest numbers of half precision, as bits; see `Elementwise.narrow`.
    package static func halves(_ numbers: [Float]) -> [UInt16] {
        [UInt16](unsafeUninitializedCapacity: numbers.count) { halves, count in
            count = numbers.count
            guard let to = halves.baseAddress else { return }
            numbers.withUnsafeBufferPointer { kernelTable.pointee.f32_to_f16(count, $0.baseAddress!, to, nil) }
        }
    }

    package static func half(_ number: Float) -> UInt16 {
        var (number, half) = (number, UInt16(0))
        kernelTable.pointee.f32_to_f16(1, &number, &half, nil)
        return half
    }
}
