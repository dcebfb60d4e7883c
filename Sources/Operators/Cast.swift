import Kernels
import Model

/// CAST: numbers as another type. Integers wrap; floats are cut off and saturate, NaN becomes the greatest integer.
enum Cast {
    static var definition: OperatorDefinition {
        OperatorDefinition(.cast, maxVersion: 9) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            let (input, output) = (try op.input(0), try op.output())
            guard output.shape == input.shape else { throw op.invalid("\(output.described) for \(input.described)") }
            if input.type == output.type { return try Moves.same(op) }
            if let kernel = common(input.type, output.type) { return kernel }
            return try general(op, input, output)
        }.gradient { g throws(Failure) in
            [try g.dy.apply(.cast, type: g.x.type)]
        }
    }

    /// The pairs that real models have, in one pass.
    private static func common(_ from: TensorType, _ to: TensorType) -> Kernel? {
        switch (from, to) {
        case (.uint8, .float32), (.int8, .float32): return bytes(areSigned: from == .int8)
        case (.int16, .float32):
            return { io in
                var y = io.output(as: Float.self)
                Conversion.dequantize(io.input(0, as: Int16.self), &y, scale: 1, zeroPoint: 0, pool: io.pool)
            }
        case (.float16, .float32):
            return { io in
                var y = io.output(as: Float.self)
                Conversion.widen(io.input(0), &y, pool: io.pool)
            }
        case (.float32, .float16):
            return { io in
                var y = io.output(as: UInt16.self)
                Conversion.narrow(io.input(0), &y, pool: io.pool)
            }
        default:
            guard let cast = NumberCast(from: from, to: to) else { return nil }
            return { io in
                var y = io.output(as: UInt8.self)
                cast.run(io.input(0), &y, pool: io.pool)
            }
        }
    }

    private static func bytes(areSigned: Bool) -> Kernel {
        { io in
            var y = io.output(as: Float.self)
            Conversion.dequantize(bytes: io.input(0), signed: areSigned, &y, scale: 1, zeroPoint: 0, pool: io.pool)
        }
    }

    /// All other pairs: each element by way of a 64-bit integer or a double.
    private static func general(
        _ op: Preparation, _ input: TensorInfo, _ output: TensorInfo
    ) throws(Failure) -> Kernel {
        guard Number.canHold(input.type), Number.canHold(output.type) else { throw op.unsupportedTypes() }
        let (from, to, count) = (input.type, output.type, input.count)
        return { io in
            let x = io.input(0, as: UInt8.self)
            var y = io.output(as: UInt8.self)
            for i in 0..<count { Number(x, i, from).store(&y, i, to) }
        }
    }

    /// `x` cut off to a whole number in the range of `T`.
    @inline(__always)
    fileprivate static func cut<T: FixedWidthInteger>(_ x: Double, _: T.Type) -> T {
        if x != x { return T.max }
        // The double nearest to T.max may be one above it, and saturates too.
        if x >= Double(T.max) { return T.max }
        return x <= Double(T.min) ? T.min : T(x)
    }
}

/// A number on its way from one type to another.
private enum Number {
    case integer(Int64)
    case unsigned(UInt64)
    case real(Double, imaginary: Double)

    static func canHold(_ type: TensorType) -> Bool {
        switch type {
        case .string, .resource, .variant: false
        default: true
        }
    }

    init(_ bytes: Span<UInt8>, _ i: Int, _ type: TensorType) {
        switch type {
        case .int8: self = .integer(Int64(loadInteger(bytes, i, width: 1)))
        case .int16: self = .integer(Int64(loadInteger(bytes, i, width: 2)))
        case .int32: self = .integer(Int64(loadInteger(bytes, i, width: 4)))
        case .int64: self = .integer(Int64(loadInteger(bytes, i, width: 8)))
        case .bool: self = .integer(bytes[i] == 0 ? 0 : 1)
        case .uint8: self = .integer(Int64(bytes[i]))
        case .uint16: self = .integer(Int64(UInt16(truncatingIfNeeded: loadInteger(bytes, i, width: 2))))
        case .uint32: self = .integer(Int64(UInt32(truncatingIfNeeded: loadInteger(bytes, i, width: 4))))
        case .uint64: self = .unsigned(UInt64(bitPattern: Int64(loadInteger(bytes, i, width: 8))))
        case .int4, .uint4, .int2: self = .integer(Int64(PackedElements(type).value(bytes, i)))
        case .float32: self = .real(Double(Self.float(bytes, i)), imaginary: 0)
        case .float64: self = .real(Self.double(bytes, i), imaginary: 0)
        case .float16:
            let bits = UInt16(truncatingIfNeeded: loadInteger(bytes, i, width: 2))
            self = .real(Double(FloatValues.float(half: bits)), imaginary: 0)
        case .bfloat16:
            let bits = UInt32(UInt16(truncatingIfNeeded: loadInteger(bytes, i, width: 2)))
            self = .real(Double(Float(bitPattern: bits << 16)), imaginary: 0)
        case .complex64:
            self = .real(Double(Self.float(bytes, 2 * i)), imaginary: Double(Self.float(bytes, 2 * i + 1)))
        case .complex128: self = .real(Self.double(bytes, 2 * i), imaginary: Self.double(bytes, 2 * i + 1))
        case .float8e4m3fn: self = .real(Double(SmallFloat.e4m3[Int(bytes[i])]), imaginary: 0)
        case .float8e5m2: self = .real(Double(SmallFloat.e5m2[Int(bytes[i])]), imaginary: 0)
        case .string, .resource, .variant: self = .integer(0)
        }
    }

    private static func float(_ bytes: Span<UInt8>, _ i: Int) -> Float {
        Float(bitPattern: UInt32(truncatingIfNeeded: loadInteger(bytes, i, width: 4)))
    }

    private static func double(_ bytes: Span<UInt8>, _ i: Int) -> Double {
        Double(bitPattern: UInt64(bitPattern: Int64(loadInteger(bytes, i, width: 8))))
    }

    private var double: Double {
        switch self {
        case .integer(let value): Double(value)
        case .unsigned(let value): Double(value)
        case .real(let value, _): value
        }
    }

    /// Rounded once, from whatever the number is.
    private var float: Float {
        switch self {
        case .integer(let value): Float(value)
        case .unsigned(let value): Float(value)
        case .real(let value, _): Float(value)
        }
    }

    private func integer<T: FixedWidthInteger>(_: T.Type) -> Int {
        switch self {
        case .integer(let value): Int(truncatingIfNeeded: T(truncatingIfNeeded: value))
        case .unsigned(let value): Int(truncatingIfNeeded: T(truncatingIfNeeded: value))
        case .real(let value, _): Int(truncatingIfNeeded: Cast.cut(value, T.self))
        }
    }

    /// For the types of less than a byte: integers wrap in `store`, reals saturate.
    private func small(_ low: Double, _ high: Double) -> Int32 {
        guard case .real(let value, _) = self else { return Int32(truncatingIfNeeded: integer(Int64.self)) }
        return value != value ? Int32(high) : Int32(min(max(value, low), high))
    }

    func store(_ bytes: inout MutableSpan<UInt8>, _ i: Int, _ type: TensorType) {
        switch type {
        case .int8: storeInteger(integer(Int8.self), &bytes, i, width: 1)
        case .uint8: storeInteger(integer(UInt8.self), &bytes, i, width: 1)
        case .int16: storeInteger(integer(Int16.self), &bytes, i, width: 2)
        case .uint16: storeInteger(integer(UInt16.self), &bytes, i, width: 2)
        case .int32: storeInteger(integer(Int32.self), &bytes, i, width: 4)
        case .uint32: storeInteger(integer(UInt32.self), &bytes, i, width: 4)
        case .int64: storeInteger(integer(Int64.self), &bytes, i, width: 8)
        case .uint64: storeInteger(integer(UInt64.self), &bytes, i, width: 8)
        case .bool: bytes[i] = double == 0 ? 0 : 1
        case .int4: PackedElements(type).store(small(-8, 7), &bytes, i)
        case .uint4: PackedElements(type).store(small(0, 15), &bytes, i)
        case .int2: PackedElements(type).store(small(-2, 1), &bytes, i)
        case .float32: storeInteger(Int(float.bitPattern), &bytes, i, width: 4)
        case .float64: storeInteger(Int(truncatingIfNeeded: double.bitPattern), &bytes, i, width: 8)
        case .float16: storeInteger(Int(FloatValues.half(float)), &bytes, i, width: 2)
        case .bfloat16: storeInteger(Int(SmallFloat.bfloat16(float)), &bytes, i, width: 2)
        case .complex64:
            storeInteger(Int(float.bitPattern), &bytes, 2 * i, width: 4)
            storeInteger(Int(Float(imaginary).bitPattern), &bytes, 2 * i + 1, width: 4)
        case .complex128:
            storeInteger(Int(truncatingIfNeeded: double.bitPattern), &bytes, 2 * i, width: 8)
            storeInteger(Int(truncatingIfNeeded: imaginary.bitPattern), &bytes, 2 * i + 1, width: 8)
        case .float8e4m3fn: bytes[i] = SmallFloat.nearest(float, in: SmallFloat.e4m3, greatest: 0x7E, overflow: 0x7F)
        case .float8e5m2: bytes[i] = SmallFloat.nearest(float, in: SmallFloat.e5m2, greatest: 0x7B, overflow: 0x7C)
        case .string, .resource, .variant: break
        }
    }

    private var imaginary: Double {
        if case .real(_, let imaginary) = self { return imaginary }
        return 0
    }
}
