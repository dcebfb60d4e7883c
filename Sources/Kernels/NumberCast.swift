import CKernels
import Model

/// Numbers of one type as those of another: whole numbers wrap, floats are cut off and limited, NaN becomes the greatest
/// whole number, booleans are 0 or 1.
package struct NumberCast: Sendable {
    private let function: eo_function
    private let number: eo_number
    private let sizes: (x: Int, y: Int)

    /// nil: there is no kernel for these types.
    package init?(from: TensorType, to: TensorType) {
        switch (from, to) {
        case (.bool, .float32), (.int32, .float32), (.int64, .float32): function = EO_TO_F32
        case (.float32, .bool): function = EO_TO_BOOL
        case (.float32, .uint8): function = EO_TO_U8
        case (.float32, .int32), (.int64, .int32): function = EO_TO_S32
        case (.float32, .int64), (.int32, .int64): function = EO_TO_S64
        default: return nil
        }
        number = eo_number(from)
        sizes = ((from.bits ?? 8) / 8, (to.bits ?? 8) / 8)
    }

    /// Over the bytes of tensors. Large ones are shared among the threads of `pool`. Nothing is allocated.
    package func run(_ x: Span<UInt8>, _ y: inout MutableSpan<UInt8>, pool: ThreadPool) {
        let count = min(x.count / sizes.x, y.count / sizes.y)
        guard count > 0 else { return }
        var parameters = eo_combination()
        (parameters.function, parameters.type) = (function, number)
        x.withUnsafeBytes { x in
            y.withUnsafeMutableBytes { y in
                Elementwise.unary(
                    eo_convert, count, x.baseAddress!, sizes.x, y.baseAddress!, sizes.y, &parameters, pool)
            }
        }
    }
}
