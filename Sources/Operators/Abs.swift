import Model

/// ABS: y = |x|.
enum Abs {
    static var definition: OperatorDefinition {
        OperatorDefinition(.abs, maxVersion: 5, quantization: .unary, inPlace: true) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            switch try op.input(0).type {
            case .float32:
                return { io in
                    let x = io.input(0, as: Float.self)
                    var y = io.output(as: Float.self)
                    for i in 0..<y.count { y[i] = abs(x[i]) }
                }
            default: throw op.unsupportedTypes()
            }
        }
    }
}
