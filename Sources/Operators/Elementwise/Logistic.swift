import Kernels
import Model

/// LOGISTIC: 1 / (1 + exp(-x)). Quantized output: 1/256 from -128 (uint8: from 0), 16 bits 1/32768.
enum Logistic {
    static var definition: OperatorDefinition {
        .unary(
            .logistic, maxVersion: 3,
            quantization: .fixedOutput(int8: (1 / 256, -128), int16: 1 / 32768)
        ) { unary throws(Failure) in
            try unary.kernel(.logistic, library: library) { x, y throws(Failure) in
                if unary.input.type != .int16 {
                    return { ReferenceTables.entry($0, x, y) { 1 / (1 + Real.exp(-$0)) } }
                }
                try unary.op.requireFraction(x, y)
                return reference16(LogisticScale(x.scale, exactShifts: 0...0), ReferenceTables.logistic)
            }
        }.gradient { g throws(Failure) in
            [try g.dy * g.y * (1 - g.y)]
        }
    }

    /// Beyond 16.6 nothing of exp(-x) is left, and below -9 nothing but exp(x), in float.
    private static func library(_ x: Float) -> Float {
        x > 16.619047 ? 1 : (x < -9 ? Real.exp(x) : 1 / (1 + Real.exp(-x)))
    }

    /// Linear interpolation in the table, 9 bits of fraction, in Q0.16 with 9 more bits.
    private static func reference16(_ scale: LogisticScale, _ table: [UInt32]) -> Unary.Reference {
        {
            let x = scale($0)
            let magnitude = x.magnitude
            let index = Int(magnitude >> 9)
            var y: UInt32 = 0x7FFF << 10
            if index < 255 { y = table[index] << 9 &+ (magnitude & 0x1FF) &* (table[index + 1] &- table[index]) }
            y = x >= 0 ? y &+ 512 : (1 << 25) &- y &+ 511
            return Int32(y >> 10)
        }
    }
}

/// x logistic(b x) in float32: what the compiler makes of LOGISTIC and MUL (Ramachandran et al., Searching for Activation
/// Functions, 2017).
package enum Swish {
    package static let name = "SWISH"

    package static func definition(slope: Float) -> OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, inPlace: true, shapes: Unary.shapes) {
            op throws(Failure) in try Unary(op).kernel(.swish(slope))
        }
    }
}

/// TANH. Quantized output: 1/128 around 0 (uint8: around 128), 16 bits 1/32768.
enum Tanh {
    static var definition: OperatorDefinition {
        .unary(
            .tanh, maxVersion: 3,
            quantization: .fixedOutput(int8: (1 / 128, 0), int16: 1 / 32768)
        ) { unary throws(Failure) in
            try unary.kernel(.tanh, library: { Real.tanh($0) }) { x, y throws(Failure) in
                if unary.input.type != .int16 { return { ReferenceTables.entry($0, x, y, Real.tanh) } }
                try unary.op.requireFraction(x, y)
                return reference16(LogisticScale(x.scale, exactShifts: 0...1), ReferenceTables.logistic)
            }
        }.gradient { g throws(Failure) in
            [try g.dy * (1 - g.y * g.y)]
        }
    }

    /// tanh x = 2 logistic(2 x) - 1: the logistic table read at twice the argument.
    private static func reference16(_ scale: LogisticScale, _ table: [UInt32]) -> Unary.Reference {
        {
            let x = scale($0)
            let magnitude = x.magnitude
            let index = Int(magnitude >> 8)
            var y: Int32 = 0xFFFF << 8
            if index < 255 {
                y = Int32(table[index] << 8 &+ (magnitude & 0xFF) &* (table[index + 1] &- table[index]))
            }
            y = x >= 0 ? y - (1 << 23) + 128 : -y + (1 << 23) + 127
            return y >> 8
        }
    }
}

extension Preparation {
    /// 16-bit outputs that are fractions in [-1, 1).
    func requireFraction(_ input: Affine, _ output: Affine) throws(Failure) {
        try requireSymmetric(input, output)
        guard powerOfTwoExponent(output.scale) == -15 else {
            throw invalid("the int16 output must have scale 1/32768, found \(output.scale)")
        }
    }
}
