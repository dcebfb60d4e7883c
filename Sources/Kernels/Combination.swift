import CKernels
import Model

/// A function of two numbers whatever their type, or a comparison of them, which is a byte of 0 or 1.
package struct Combination {
    package enum Function: Sendable {
        case equal, notEqual, less, lessEqual, greater, greaterEqual
        /// Of bytes that are not 0.
        case both, either
        /// Of whole numbers, which wrap.
        case add, subtract, multiply, minimum, maximum, squaredDifference
    }

    let kernel: eo_binary
    var parameters: eo_combination
    let tables: [Int32]
    let scales: [eo_common_scale]
    /// Bytes of a number, and of a result.
    let size: Int
    let resultSize: Int

    /// Comparisons are of float32, int16, int32, int64 and, for equality, of booleans. Whole numbers have 16, 32 or
    /// 64 bits, or 8 if the function is a minimum or maximum, and are clamped to what is finite of `clamp`. float32
    /// is added and multiplied too.
    package init(
        _ function: Function, _ type: TensorType,
        clamp: (minimum: Float, maximum: Float) = (-.infinity, .infinity)
    ) {
        size = (type.bits ?? 8) / 8
        resultSize = function.isComparison ? 1 : size
        kernel = function.kernel(type) ?? eo_combine
        (tables, scales) = ([], [])
        parameters = function.parameters(eo_number(type))
        let spare = Int64(64 - 8 * size)
        guard clamp.minimum.isFinite || clamp.maximum.isFinite else { return }
        parameters.low = clamp.minimum.isFinite ? Int64(clamp.minimum) : Int64.min >> spare
        parameters.high = clamp.maximum.isFinite ? Int64(clamp.maximum) : Int64.max >> spare
    }

    /// A comparison of bytes by the numbers that stand for each of them.
    package init(_ function: Function, a: [Int32], b: [Int32]) {
        precondition(a.count == 256 && b.count == 256)
        (size, resultSize) = (1, 1)
        kernel = eo_combine
        (tables, scales) = (a + b, [])
        parameters = function.parameters(EO_S32)
    }

    /// A factor of significand 2^(shift - 31) for the numbers less their zero point and raised by 8 bits.
    package typealias CommonScale = (zero: Int32, significand: Int32, shift: Int32)

    /// A comparison of int16 numbers on a common scale.
    package init(_ function: Function, a: CommonScale, b: CommonScale) {
        (size, resultSize) = (2, 1)
        kernel = eo_combine
        tables = []
        scales = [a, b].map { eo_common_scale(zero: $0.zero, significand: $0.significand, shift: $0.shift) }
        parameters = function.parameters(EO_S32)
    }
}

extension Combination.Function {
    fileprivate var isComparison: Bool {
        switch self {
        case .equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual, .both, .either: true
        case .add, .subtract, .multiply, .minimum, .maximum, .squaredDifference: false
        }
    }

    /// Those that have rows in the table of element kernels.
    fileprivate func kernel(_ type: TensorType) -> eo_binary? {
        let table = kernelTable.pointee
        switch (self, type) {
        case (.minimum, .int8): return table.s8_min
        case (.minimum, .uint8), (.minimum, .bool): return table.u8_min
        case (.minimum, .int16): return table.s16_min
        case (.minimum, .int32): return table.s32_min
        case (.maximum, .int8): return table.s8_max
        case (.maximum, .uint8), (.maximum, .bool): return table.u8_max
        case (.maximum, .int16): return table.s16_max
        case (.maximum, .int32): return table.s32_max
        case (.minimum, .float32): return table.f32_min
        case (.maximum, .float32): return table.f32_max
        case (.add, .float32): return table.f32_add
        case (.multiply, .float32): return table.f32_mul
        default: return nil
        }
    }

    /// a > b is b < a, and of whole numbers a <= b is not b < a; of floats it is not, as NaN is not less either.
    fileprivate func parameters(_ type: eo_number) -> eo_combination {
        let isFloat = type == EO_F32
        let (function, exchanges, inverts): (eo_function, Bool, Bool) =
            switch self {
            case .equal: (EO_EQUAL, false, false)
            case .notEqual: (EO_EQUAL, false, true)
            case .less: (EO_LESS, false, false)
            case .greater: (EO_LESS, true, false)
            case .lessEqual: isFloat ? (EO_LESS_EQUAL, false, false) : (EO_LESS, true, true)
            case .greaterEqual: isFloat ? (EO_LESS_EQUAL, true, false) : (EO_LESS, false, true)
            case .both: (EO_BOTH, false, false)
            case .either: (EO_BOTH, false, true)
            case .add: (EO_ADD, false, false)
            case .subtract, .squaredDifference: (EO_SUBTRACT, false, false)
            case .multiply: (EO_MULTIPLY, false, false)
            case .minimum: (EO_MINIMUM, false, false)
            case .maximum: (EO_MAXIMUM, false, false)
            }
        return eo_combination(
            floats: eo_f32_params(low: -.infinity, high: .infinity), function: function, type: type,
            exchanges: exchanges, inverts: inverts,
            squares: self == .squaredDifference, tables: nil, scales: nil, condition: nil, low: 1, high: 0)
    }
}

extension eo_number {
    init(_ type: TensorType) {
        self =
            switch type {
            case .float32: EO_F32
            case .int16: EO_S16
            case .int32: EO_S32
            case .int64: EO_S64
            default: EO_U8
            }
    }
}

extension Elementwise {
    /// y = f(a, b). All are the bytes of tensors.
    package static func apply(
        _ function: Combination, _ shape: Broadcast, _ a: Span<UInt8>, _ b: Span<UInt8>,
        _ y: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        let sizes = (a: function.size, b: function.size, y: function.resultSize)
        var parameters = function.parameters
        var result = y.mutableBytes
        function.tables.withUnsafeBufferPointer { tables in
            function.scales.withUnsafeBufferPointer { scales in
                if !tables.isEmpty { parameters.tables = tables.baseAddress }
                if !scales.isEmpty { parameters.scales = scales.baseAddress }
                binary(function.kernel, shape, a.bytes, b.bytes, &result, sizes, &parameters, pool)
            }
        }
    }
}
