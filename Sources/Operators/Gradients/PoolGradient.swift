import Kernels
import Model

/// The gradients of the pools. Inputs are dz; of the maximum also the pixels that its results come from, counted within
/// their windows, which MAX_POOL_2D gives as a second output where it is asked to. Options are the pool's, and the shape
/// of the images is stated.
enum PoolGradient {
    static let average = "edgeopt.average_pool_2d_gradient"
    static let maximum = "edgeopt.max_pool_2d_gradient"

    static var ofAverage: OperatorDefinition {
        .stated(average) { op throws(Failure) in
            let shape = try geometry(op)
            return { io in
                var dx = io.output(as: Float.self)
                Pooling.averageGradient(shape, io.input(0), &dx, pool: io.pool)
            }
        }
    }

    static var ofMaximum: OperatorDefinition {
        .stated(maximum, second: .uint16) { op throws(Failure) in
            let shape = try geometry(op)
            return { io in
                var dx = io.output(as: Float.self)
                Pooling.maximumGradient(shape, io.input(0), places: io.input(1), &dx, pool: io.pool)
            }
        }
    }

    private static func geometry(_ op: Preparation) throws(Failure) -> PoolShape {
        let windows = try PoolingWindows(op.options, input: op.output(), operator: op.name)
        _ = try op.gradientShape(windows.shape)
        return windows.poolShape
    }
}
