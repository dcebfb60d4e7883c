import Model

@testable import Operators

/// How the tensors of a linear layer are quantized, as data.
struct LinearScheme: CustomStringConvertible, Sendable {
    let name: String
    let activation: TensorType
    let weight: TensorType
    var bias: TensorType? = nil
    var perChannel = false
    var inputZeroPoint = 0
    var weightZeroPoint = 0
    var outputZeroPoint = 0

    var description: String { name }
    var isFloat: Bool { activation == .float32 }
    var isHybrid: Bool { isFloat && weight != .float32 }

    static let all: [LinearScheme] = [
        LinearScheme(name: "float32", activation: .float32, weight: .float32, bias: .float32),
        LinearScheme(name: "float32 without bias", activation: .float32, weight: .float32),
        LinearScheme(name: "hybrid", activation: .float32, weight: .int8, bias: .float32),
        LinearScheme(name: "hybrid per channel", activation: .float32, weight: .int8, bias: .float32, perChannel: true),
        LinearScheme(name: "hybrid int4", activation: .float32, weight: .int4, perChannel: true),
        LinearScheme(
            name: "int8", activation: .int8, weight: .int8, bias: .int32, inputZeroPoint: -7, outputZeroPoint: 12),
        LinearScheme(
            name: "int8 per channel", activation: .int8, weight: .int8, bias: .int32, perChannel: true,
            inputZeroPoint: 127, outputZeroPoint: -128),
        LinearScheme(
            name: "int8 x int4", activation: .int8, weight: .int4, bias: .int32, perChannel: true, inputZeroPoint: 3),
        LinearScheme(name: "int8 without bias", activation: .int8, weight: .int8, perChannel: true),
        LinearScheme(
            name: "uint8", activation: .uint8, weight: .uint8, bias: .int32, inputZeroPoint: 128, weightZeroPoint: 131,
            outputZeroPoint: 3),
        LinearScheme(name: "int16 x int8", activation: .int16, weight: .int8, bias: .int64, perChannel: true),
        LinearScheme(name: "int16 x int8, int32 bias", activation: .int16, weight: .int8, bias: .int32),
    ]
}

/// A tensor of test numbers: the integers that are stored, and the reals that they stand for.
struct TestTensor {
    var info: TensorInfo
    /// Stored values; for float tensors the values themselves.
    var stored: [Double]
    /// Real values.
    var real: [Double]

    /// Reproducible numbers over a good part of the type's range.
    init(
        _ type: TensorType, _ shape: [Int], scales: [Float] = [1], zeroPoint: Int = 0, dimension: Int = 0,
        span: Double? = nil, seed: UInt64
    ) throws {
        var generator = SplitMix(state: seed)
        let count = shape.reduce(1, *)
        let (low, high): (Double, Double) =
            switch type {
            case .int4: (-8, 7)
            case .int8: (-127, 127)
            case .uint8: (0, 255)
            case .int16: (-32767, 32767)
            default: (-(span ?? 1), span ?? 1)
            }
        stored = (0..<count).map { _ in
            let value = low + (high - low) * generator.unit()
            return type == .float32 ? Double(Float(value)) : value.rounded()
        }
        info = TensorInfo(type: type, shape: shape, constant: try Self.bytes(stored, type))
        guard type != .float32 else {
            real = stored
            return
        }
        var quantization = Quantization(scales: scales, dimension: dimension)
        quantization.zeroPoints = scales.map { _ in zeroPoint }
        info.quantization = quantization
        let inner = shape.dropFirst(dimension + 1).reduce(1, *)
        let numbers = stored
        real = numbers.indices.map { index in
            let channel = scales.count == 1 ? 0 : index / inner % scales.count
            return Double(scales[channel]) * (numbers[index] - Double(zeroPoint))
        }
    }

    private static func bytes(_ values: [Double], _ type: TensorType) throws(Failure) -> Bytes {
        switch type {
        case .float32: try Bytes(copying: values.map { Float($0) })
        case .int8: try Bytes(copying: values.map { Int8($0) })
        case .uint8: try Bytes(copying: values.map { UInt8($0) })
        case .int16: try Bytes(copying: values.map { Int16($0) })
        case .int32: try Bytes(copying: values.map { Int32($0) })
        case .int64: try Bytes(copying: values.map { Int64($0) })
        case .int4:
            try Bytes(
                copying: (0..<(values.count + 1) / 2).map { pair in
                    let low = UInt8(truncatingIfNeeded: Int(values[2 * pair])) & 15
                    let high = 2 * pair + 1 < values.count ? UInt8(truncatingIfNeeded: Int(values[2 * pair + 1])) : 0
                    return low | high << 4
                })
        default: throw .unsupported("no test numbers of type \(type.name)")
        }
    }
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014).
struct SplitMix {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    /// In 0..<1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
