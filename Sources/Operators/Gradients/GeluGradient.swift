import Kernels
import Model

/// edgeopt.gelu_gradient: dy times the derivative of GELU at x. Inputs are dy and x; options are GELU's.
enum GeluGradient {
    static let name = "edgeopt.gelu_gradient"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, inPlace: true) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            guard try op.input(0).type == .float32, try op.input(1).count == op.input(0).count else {
                throw op.unsupportedTypes()
            }
            let byTanh = op.options.bool(0)
            return { io in
                var dx = io.output(as: Float.self)
                Elementwise.geluGradient(io.input(0), io.input(1), &dx, byTanh: byTanh, pool: io.pool)
            }
        }
    }
}
