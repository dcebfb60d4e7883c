import Kernels
import Model

/// EXP.
enum Exp {
    static var definition: OperatorDefinition {
        .unary(.exp, maxVersion: 2, quantization: .unary) { unary throws(Failure) in
            try unary.kernel(.exp, library: { Real.exp($0) }) { x, y throws(Failure) in
                try unary.reference(x, y, Real.exp)
            }
        }.gradient { g throws(Failure) in
            [try g.dy * g.y]
        }
    }
}

/// LOG. What has no logarithm gives the least output value, where the output is quantized.
enum Log {
    static var definition: OperatorDefinition {
        .unary(.log, maxVersion: 2, quantization: .unary) { unary throws(Failure) in
            try unary.kernel(.log) { x, y throws(Failure) in
                let least = Float(y.minimum - y.zeroPoint) * y.scale
                return try unary.reference(x, y) { $0 <= 0 ? least : Real.log($0) }
            }
        }.gradient { g throws(Failure) in
            [try g.dy / g.x]
        }
    }
}

/// ELU: x if x >= 0, else exp(x) - 1.
enum Elu {
    static var definition: OperatorDefinition {
        .unary(.elu, maxVersion: 1, quantization: .byteUnary) { unary throws(Failure) in
            try unary.kernel(.elu) { x, y throws(Failure) in
                try unary.reference(x, y) { $0 < 0 ? Real.expm1($0) : $0 }
            }
        }.gradient { g throws(Failure) in
            // exp(x) = y + 1 where x < 0.
            return [try g.dy * (g.y + 1).apply(.minimum, g.y.scalar(1))]
        }
    }
}

/// GELU: x Phi(x), Phi the normal distribution. Options: 0 approximate (by tanh).
enum Gelu {
    static var definition: OperatorDefinition {
        .unary(.gelu, maxVersion: 3, quantization: .unary) { unary throws(Failure) in try kernel(unary) }.gradient {
            g throws(Failure) in
            [try g.dy.custom(GeluGradient.name, g.x, shape: g.x.shape, options: g.options)]
        }
    }

    private static func kernel(_ unary: Unary) throws(Failure) -> Kernel {
        let approximate = unary.op.options.bool(0)
        return try unary.kernel(approximate ? .geluTanh : .gelu) { x, y throws(Failure) in
            try unary.reference(x, y) { approximate ? byTanh($0) : exactly($0) }
        }
    }

    private static func exactly(_ x: Float) -> Float { 0.5 * x * Real.erfc(x * -Float(0.5).squareRoot()) }

    private static func byTanh(_ x: Float) -> Float {
        0.5 * x * (1 + Real.tanh(0.797_884_56 * (x + 0.044715 * x * x * x)))
    }
}

extension Unary {
    /// A real function by the tables of the reference kernels: 256 entries for 8 bits, 513 samples for 16.
    func reference(
        _ x: Affine, _ y: Affine, _ function: @escaping (Float) -> Float
    ) throws(Failure) -> Reference {
        guard input.type == .int16 else { return { ReferenceTables.entry($0, x, y, function) } }
        try op.requireSymmetric(x, y)
        let table = ReferenceTables.Interpolated(
            input: (x.scale, Float(x.zeroPoint)), output: (y.scale, Float(y.zeroPoint)), function)
        return { table($0) }
    }
}
