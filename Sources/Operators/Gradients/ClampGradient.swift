import Kernels
import Model

/// edgeopt.clamp_gradient: dy where low < y < high, else 0: what a clamp hands back, seen from its result. Inputs are dy
/// and y; options 0 low, 1 high.
enum ClampGradient {
    static let name = "edgeopt.clamp_gradient"

    static func emit(_ dy: Value, _ y: Value, _ range: (Float, Float)) throws(Failure) -> Value {
        try dy.custom(
            name, y, shape: dy.shape, options: Options(.fakeQuant, [.float(range.0), .float(range.1)]))
    }

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, inPlace: true) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            guard try op.input(0).type == .float32, try op.input(1).count == op.input(0).count else {
                throw op.unsupportedTypes()
            }
            let range = (op.options.float(0), op.options.float(1))
            return { io in
                var dx = io.output(as: Float.self)
                Elementwise.clampGradient(io.input(0), io.input(1), &dx, clamp: range, pool: io.pool)
            }
        }
    }
}
