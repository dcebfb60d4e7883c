import Kernels
import Model

/// edgeopt.clamp_gradient: dy where low < y < high, else 0: what a clamp hands back, seen from its result. Inputs are dy
/// and y; options 0 low, 1 high.
enum ClampGradient {
    static let name = "edgeopt.clamp_gradient"

    static func emit(_ dy: Value, _ y: Value, _ range: (Float, Float)) throws(Failure) -> Value {
        if let pooled = try emitBeforePool(dy, y, range) { return pooled }
        return try dy.custom(
            name, y, shape: dy.shape, options: Options(.fakeQuant, [.float(range.0), .float(range.1)]))
    }

    /// Where dy is what a pool hands back, its maxima are clamped where they come from clamped elements: they are fewer,
    /// and y need not be kept.
    private static func emitBeforePool(_ dy: Value, _ y: Value, _ range: (Float, Float)) throws(Failure) -> Value? {
        let graph = dy.graph
        guard let back = graph.producer(of: dy.tensor, named: PoolGradient.maximum),
            let pool = graph.producer(of: back.inputs[1], named: nil), pool.inputs == [y.tensor],
            try FusedActivation(option: pool.options.int(5), operator: name) == .none
        else { return nil }
        let clamped = try emit(graph.value(back.inputs[0]), graph.value(pool.outputs[0]), range)
        return try clamped.custom(
            PoolGradient.maximum, graph.value(back.inputs[1]), shape: dy.shape, options: back.options)
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
