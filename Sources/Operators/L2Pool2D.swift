import Kernels
import Model

/// L2_POOL_2D: root of the mean of the squares of the window's elements.
enum L2Pool2D {
    static var definition: OperatorDefinition {
        OperatorDefinition(.l2Pool2D, maxVersion: 1) { op throws(Failure) in
            [try PoolingWindows(op.options, input: op.input(0), operator: op.name).shape.output]
        } prepare: { op throws(Failure) in
            let windows = try PoolingWindows(op.options, input: op.input(0), operator: op.name)
            guard try op.input(0).type == .float32, try op.output().type == .float32 else {
                throw op.unsupportedTypes()
            }
            let stage = FloatStage(bias: nil, activation: windows.activation)
            return { io throws(Failure) in
                let x = io.input(0, as: Float.self)
                var y = io.output(as: Float.self)
                for index in 0..<y.count {
                    let at = windows.shape.position(index)
                    let (sum, count) = windows.fold(at, x, from: 0 as Float) { $0 + $1 * $1 }
                    y[index] = stage.value((sum / Float(count)).squareRoot(), io, channel: at.channel)
                }
            }
        }.gradient { g throws(Failure) in
            guard try FusedActivation(option: g.options.int(5), operator: g.name).isClamp else {
                throw .unsupported("\(g.name): has a gradient only where its activation clamps")
            }
            // Of y^2, the average of x^2; where y is 0 so are its x.
            let y = try g.y.apply(.maximum, g.y.scalar(1e-18))
            let squares = try (g.beforeActivation(5) / y).custom(
                PoolGradient.average, g.x, shape: g.x.shape, options: g.options)
            return [try g.x * squares]
        }
    }
}
