import CEdgeOpt
import Glibc

/// What the elements of an array are.
enum ElementType: String, CaseIterable {
    case float16 = "f2"
    case float32 = "f4"
    case float64 = "f8"
    case int8 = "i1"
    case int16 = "i2"
    case int32 = "i4"
    case int64 = "i8"
    case uint8 = "u1"
    case uint16 = "u2"
    case uint32 = "u4"
    case uint64 = "u8"
    case bool = "b1"

    var size: Int { Int(rawValue.dropFirst())! }

    init?(_ type: eo_type) {
        switch type {
        case EO_FLOAT16: self = .float16
        case EO_FLOAT32: self = .float32
        case EO_FLOAT64: self = .float64
        case EO_INT8: self = .int8
        case EO_INT16: self = .int16
        case EO_INT32: self = .int32
        case EO_INT64: self = .int64
        case EO_UINT8: self = .uint8
        case EO_UINT16: self = .uint16
        case EO_UINT32: self = .uint32
        case EO_UINT64: self = .uint64
        case EO_BOOL: self = .bool
        default: return nil
        }
    }

    /// The element at `offset` as a Double (64-bit integers lose their last bits).
    func load(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Double {
        switch self {
        case .float16: Double(halfToFloat(bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
        case .float32: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Float.self))
        case .float64: bytes.loadUnaligned(fromByteOffset: offset, as: Double.self)
        case .int8: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Int8.self))
        case .int16: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Int16.self))
        case .int32: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))
        case .int64: Double(bytes.loadUnaligned(fromByteOffset: offset, as: Int64.self))
        case .uint8, .bool: Double(bytes[offset])
        case .uint16: Double(bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
        case .uint32: Double(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        case .uint64: Double(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
    }

    /// Stores a value: integers are rounded and clamped, NaN becomes 0.
    func store(_ value: Double, _ bytes: UnsafeMutableRawBufferPointer, _ offset: Int) {
        switch self {
        case .float16: bytes.storeBytes(of: floatToHalf(Float(value)), toByteOffset: offset, as: UInt16.self)
        case .float32: bytes.storeBytes(of: Float(value), toByteOffset: offset, as: Float.self)
        case .float64: bytes.storeBytes(of: value, toByteOffset: offset, as: Double.self)
        case .int8: bytes.storeBytes(of: rounded(value), toByteOffset: offset, as: Int8.self)
        case .int16: bytes.storeBytes(of: rounded(value), toByteOffset: offset, as: Int16.self)
        case .int32: bytes.storeBytes(of: rounded(value), toByteOffset: offset, as: Int32.self)
        case .int64: bytes.storeBytes(of: rounded(value), toByteOffset: offset, as: Int64.self)
        case .uint8: bytes.storeBytes(of: rounded(value), toByteOffset: offset, as: UInt8.self)
        case .uint16: bytes.storeBytes(of: rounded(value), toByteOffset: offset, as: UInt16.self)
        case .uint32: bytes.storeBytes(of: rounded(value), toByteOffset: offset, as: UInt32.self)
        case .uint64: bytes.storeBytes(of: rounded(value), toByteOffset: offset, as: UInt64.self)
        case .bool: bytes[offset] = value == 0 ? 0 : 1
        }
    }
}

private func rounded<I: FixedWidthInteger>(_ value: Double) -> I {
    guard !value.isNaN else { return 0 }
    let nearest = value.rounded(.toNearestOrEven)
    if nearest <= Double(I.min) { return I.min }
    return nearest >= Double(I.max) ? I.max : I(nearest)
}

/// Numbers with a shape.
struct NumericArray {
    var shape: [Int]
    var type: ElementType
    var bytes: [UInt8]

    var count: Int { bytes.count / type.size }

    init(shape: [Int], type: ElementType, bytes: [UInt8]) {
        self.shape = shape
        self.type = type
        self.bytes = bytes
    }

    /// A tensor's values. Throws for types that have no whole-byte numbers.
    init(_ tensor: Tensor) throws {
        guard let type = ElementType(tensor.type), tensor.size == tensor.count * type.size else {
            throw Failure("\(tensor.described) has no plain numbers")
        }
        self.init(shape: tensor.shape, type: type, bytes: Array(tensor.bytes))
    }

    func value(at index: Int) -> Double { bytes.withUnsafeBytes { type.load($0, index * type.size) } }

    func values() -> [Double] {
        bytes.withUnsafeBytes { bytes in (0..<count).map { type.load(bytes, $0 * type.size) } }
    }

    /// The values in another type.
    func converted(to target: ElementType) -> NumericArray {
        guard target != type else { return self }
        var result = [UInt8](repeating: 0, count: count * target.size)
        bytes.withUnsafeBytes { source in
            result.withUnsafeMutableBytes { destination in
                for index in 0..<count {
                    target.store(type.load(source, index * type.size), destination, index * target.size)
                }
            }
        }
        return NumericArray(shape: shape, type: target, bytes: result)
    }

    /// The part at `index` of the first dimension.
    subscript(part index: Int) -> NumericArray {
        let size = bytes.count / shape[0]
        return NumericArray(
            shape: Array(shape.dropFirst()), type: type, bytes: Array(bytes[index * size..<(index + 1) * size]))
    }
}

/// IEEE 754 binary16, by bits: Swift's Float16 is not there on every platform.
func halfToFloat(_ half: UInt16) -> Float {
    let sign: Float = half & 0x8000 == 0 ? 1 : -1
    let exponent = Int(half >> 10) & 0x1f
    let fraction = Float(half & 0x3ff)
    switch exponent {
    case 0: return sign * fraction * 0x1p-24
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default: return sign * (1 + fraction * 0x1p-10) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
    }
}

/// Rounds to nearest even.
func floatToHalf(_ value: Float) -> UInt16 {
    let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
    let magnitude = value.magnitude
    if magnitude.isNaN { return sign | 0x7e00 }
    if magnitude >= 65520 { return sign | 0x7c00 }
    if magnitude < 0x1p-14 { return sign | UInt16((magnitude * 0x1p24).rounded(.toNearestOrEven)) }
    let exponent = Int(magnitude.exponent)
    let fraction = (magnitude.significand * 0x1p10).rounded(.toNearestOrEven)  // 1024...2048; 2048 carries over
    return sign | UInt16((exponent + 14) * 1024 + Int(fraction))
}

extension ElementType {
    var isInteger: Bool { ![.float16, .float32, .float64].contains(self) }
}

/// A draw of the standard normal distribution (Box and Muller 1958).
func normal(using random: inout some RandomNumberGenerator) -> Double {
    let radius = (-2 * log(Double.random(in: Double.leastNormalMagnitude..<1, using: &random))).squareRoot()
    return radius * cos(2 * .pi * Double.random(in: 0..<1, using: &random))
}
