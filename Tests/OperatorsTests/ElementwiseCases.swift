import Foundation
import Kernels
import Model

@testable import Operators

/// An operator on elements, with the formula it must compute.
struct ElementCase: Sendable, CustomStringConvertible {
    let description: String
    let definition: OperatorDefinition
    var options: [OptionValue] = []
    /// Real values of each input.
    let domains: [ClosedRange<Double>]
    /// Real values of the output that quantized outputs must cover.
    let range: ClosedRange<Double>
    var types: [TensorType] = [.float32, .int8, .uint8, .int16]
    /// How far the reference kernels may be from the formula, in steps of 8-bit and 16-bit outputs.
    var referenceSteps: (byte: Double, short: Double) = (1, 1)
    let formula: @Sendable ([Double]) -> Double

    static func unary(
        _ name: String, _ definition: OperatorDefinition, _ domain: ClosedRange<Double>, _ range: ClosedRange<Double>,
        types: [TensorType] = [.float32, .int8, .uint8, .int16], options: [OptionValue] = [],
        referenceSteps: (byte: Double, short: Double) = (1, 1), _ formula: @escaping @Sendable (Double) -> Double
    ) -> ElementCase {
        ElementCase(
            description: name, definition: definition, options: options, domains: [domain], range: range, types: types,
            referenceSteps: referenceSteps
        ) { formula($0[0]) }
    }

    static let all: [ElementCase] = [
        .unary("RELU", Relu.relu, -4...4, 0...4) { max($0, 0) },
        .unary("RELU6", Relu.relu6, -8...8, 0...6) { min(max($0, 0), 6) },
        .unary("RELU_N1_TO_1", Relu.reluN1To1, -2...2, -1...1) { min(max($0, -1), 1) },
        .unary("RELU_0_TO_1", Relu.relu0To1, -2...2, 0...1) { min(max($0, 0), 1) },
        .unary("LEAKY_RELU", LeakyRelu.definition, -4...4, -1...4, options: [.float(0.2)]) { $0 > 0 ? $0 : 0.2 * $0 },
        .unary("LEAKY_RELU, rising", LeakyRelu.definition, -4...4, 0...4, options: [.float(-0.5)]) {
            $0 > 0 ? $0 : -0.5 * $0
        },
        .unary("HARD_SWISH", HardSwish.definition, -5...5, -0.4...5, types: [.float32, .int8, .uint8]) {
            $0 * min(max($0 + 3, 0), 6) / 6
        },
        .unary("EXP", Exp.definition, -6...1, 0...2.8, referenceSteps: (1, 8)) { exp($0) },
        .unary("LOG", Log.definition, 0.1...9, -2.5...2.5, referenceSteps: (1, 9000)) { log($0) },
        .unary("ELU", Elu.definition, -4...4, -1...4, referenceSteps: (1, 40)) { $0 < 0 ? expm1($0) : $0 },
        .unary("GELU", Gelu.definition, -4...4, -0.2...4, referenceSteps: (1, 10)) {
            0.5 * $0 * erfc(-$0 / 2.0.squareRoot())
        },
        .unary("GELU by tanh", Gelu.definition, -4...4, -0.2...4, options: [.int(1)], referenceSteps: (1, 10)) {
            0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0)))
        },
        .unary("SQRT", Sqrt.definition, 0...9, 0...3) { $0.squareRoot() },
        .unary("RSQRT", Rsqrt.definition, 0.25...9, 0...4, referenceSteps: (1, 9000)) { 1 / $0.squareRoot() },
        .unary("SQUARE", Square.definition, -4...4, 0...16, types: [.float32]) { $0 * $0 },
        .unary("ABS", Abs.definition, -4...4, 0...4) { abs($0) },
        .unary("NEG", Neg.definition, -4...4, -4...4, types: [.float32]) { -$0 },
        .unary("SIGN", Operators.Sign.definition, -4...4, -1...1, types: [.float32]) { $0 > 0 ? 1 : ($0 < 0 ? -1 : 0) },
        .unary("FLOOR", Rounding.floor, -4...4, -4...4, types: [.float32]) { floor($0) },
        .unary("CEIL", Rounding.ceil, -4...4, -4...4, types: [.float32]) { ceil($0) },
        .unary("ROUND", Rounding.round, -4...4, -4...4, types: [.float32]) { $0.rounded(.toNearestOrEven) },
        .unary("SIN", Trigonometric.sin, -7...7, -1...1, types: [.float32]) { sin($0) },
        .unary("COS", Trigonometric.cos, -7...7, -1...1, types: [.float32]) { cos($0) },
        ElementCase(description: "ADD", definition: Addition.add, domains: [-2...2, -1...3], range: -3...5) {
            $0[0] + $0[1]
        },
        ElementCase(
            description: "ADD, RELU6", definition: Addition.add, options: [.int(3)], domains: [-2...2, -1...3],
            range: 0...5
        ) { min(max($0[0] + $0[1], 0), 6) },
        ElementCase(description: "SUB", definition: Addition.subtract, domains: [-2...2, -1...3], range: -5...3) {
            $0[0] - $0[1]
        },
        ElementCase(description: "MUL", definition: Multiply.definition, domains: [-2...2, -1...3], range: -6...6) {
            $0[0] * $0[1]
        },
        ElementCase(
            description: "MUL, RELU_N1_TO_1", definition: Multiply.definition, options: [.int(2)],
            domains: [-2...2, -1...3], range: -1...1
        ) { min(max($0[0] * $0[1], -1), 1) },
        ElementCase(
            description: "DIV", definition: Divide.definition, domains: [1...2, 0.5...3], range: 0...4,
            referenceSteps: (1, 2)
        ) { $0[0] / $0[1] },
        ElementCase(
            description: "SQUARED_DIFFERENCE", definition: SquaredDifference.definition, domains: [-2...2, -1...3],
            range: 0...25, types: [.float32, .int8]
        ) { ($0[0] - $0[1]) * ($0[0] - $0[1]) },
        ElementCase(
            description: "MINIMUM", definition: Extremes.minimum, domains: [-2...2, -2...2], range: -2...2
        ) { min($0[0], $0[1]) },
        ElementCase(
            description: "MAXIMUM", definition: Extremes.maximum, domains: [-2...2, -2...2], range: -2...2
        ) { max($0[0], $0[1]) },
        ElementCase(description: "PRELU", definition: Prelu.definition, domains: [-2...2, -1...1], range: -2...2) {
            $0[0] >= 0 ? $0[0] : $0[0] * $0[1]
        },
        ElementCase(
            description: "POW", definition: Power.definition, domains: [0.5...2, -2...2], range: 0...4,
            types: [.float32]
        ) { pow($0[0], $0[1]) },
        ElementCase(
            description: "ATAN2", definition: Atan2.definition, domains: [-2...2, -2...2], range: -4...4,
            types: [.float32]
        ) { atan2($0[0], $0[1]) },
        ElementCase(
            description: "FLOOR_MOD", definition: FloorDivision.remainder, domains: [-9...9, 0.5...2], range: 0...2,
            types: [.float32]
        ) { $0[0] - floor($0[0] / $0[1]) * $0[1] },
    ]
}

extension TensorInfo {
    /// A tensor of the values nearest to real ones, and what it then holds.
    static func quantized(
        _ values: [Double], _ shape: [Int], _ type: TensorType, covering range: ClosedRange<Double>
    ) throws -> (tensor: TensorInfo, values: [Double]) {
        var info = TensorInfo(name: "x", type: type, shape: shape)
        guard let limits = FusedActivation.range(of: type) else {
            info.constant = try Bytes(copying: values.map { Float($0) })
            return (info, values.map { Double(Float($0)) })
        }
        info.quantization = quantization(type, covering: range)
        let (scale, zero) = (Double(info.scale), Double(info.zeroPoint))
        let stored = values.map {
            min(max(($0 / scale).rounded() + zero, Double(limits.minimum)), Double(limits.maximum))
        }
        info.constant =
            type == .int16
            ? try Bytes(copying: stored.map { Int16($0) })
            : try Bytes(copying: stored.map { UInt8(truncatingIfNeeded: Int($0)) })
        return (info, stored.map { ($0 - zero) * scale })
    }

    /// int16 symmetric; 8 bits over the range and zero.
    static func quantization(_ type: TensorType, covering range: ClosedRange<Double>) -> Quantization? {
        let (low, high) = (min(0, range.lowerBound), max(0, range.upperBound))
        switch type {
        case .int16: return Quantization(scale: Float(max(-low, high) / 32767), zeroPoint: 0)
        case .int8, .uint8:
            let scale = (high - low) / 255
            let zero = Int((-low / scale).rounded()) - (type == .int8 ? 128 : 0)
            return Quantization(scale: Float(scale), zeroPoint: zero)
        default: return nil
        }
    }
}

extension TensorInfo {
    /// The constant's elements.
    var numbers: [Double] {
        let bytes = constant!
        switch type {
        case .float32: return bytes.array(of: Float.self).map { Double($0) }
        case .int8: return bytes.array(of: Int8.self).map { Double($0) }
        case .uint8, .bool: return bytes.array(of: UInt8.self).map { Double($0) }
        case .int16: return bytes.array(of: Int16.self).map { Double($0) }
        case .int32: return bytes.array(of: Int32.self).map { Double($0) }
        case .int64: return bytes.array(of: Int64.self).map { Double($0) }
        default: return []
        }
    }
}
