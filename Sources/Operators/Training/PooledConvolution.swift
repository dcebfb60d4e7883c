import Kernels
import Model

/// edgeopt.conv_2d_max_pool: CONV_2D whose results only a maximum over windows that lie side by side reads, and which
/// are not kept. Inputs and options are those of CONV_2D, whose activation is that of the maxima; their shape is stated.
/// A second output remembers where they come from. The images have no gradient.
enum ConvolutionMaximum {
    static let name = "edgeopt.conv_2d_max_pool"
    /// edgeopt.conv_2d_max_pool_filter_gradient(dz, images, places); the second output is the gradient of the bias.
    static let filter = "edgeopt.conv_2d_max_pool_filter_gradient"

    static var definition: OperatorDefinition {
        .stated(name) { op throws(Failure) in
            let pooled = try kernel(op, op.input(0), filter: op.input(1), maxima: op.output(), places: op.output(1))
            let scratch = op.scratch(bytes: pooled.scratchByteCount)
            try op.input(2).require(op.input(1).shape[0], op)
            return { io in
                var y = io.output(as: Float.self)
                var places = io.output(1, as: Float.self)
                var work = io.scratch(scratch, as: UInt8.self)
                pooled.run(
                    io.input(0), weights: io.input(1), bias: io.input(2), &y, places: &places,
                    scratch: &work, pool: io.pool)
            }
        }.gradient { g throws(Failure) in
            let (dz, w) = (try g.beforeActivation(3), try g.b)
            var places = g.y.shape
            places[3] = (places[3] + 15) / 16 * 16
            let gradients = try dz.graph.emit(
                OperatorCode(.custom, custom: filter), [dz, g.x, g.remember(.float32, places)], g.options,
                types: [.float32, .float32], shapes: [w.shape, [w.shape[0]]])
            return [nil, gradients[0], gradients[1]]
        }
    }

    static var ofFilter: OperatorDefinition {
        .stated(filter) { op throws(Failure) in
            let pooled = try kernel(op, op.input(1), filter: op.output(), maxima: op.input(0), places: op.input(2))
            try op.output(1).require(op.output().shape[0], op)
            let scratch = op.scratch(bytes: pooled.scratchByteCount)
            return { io in
                var dw = io.output(as: Float.self)
                var db = io.output(1, as: Float.self)
                var work = io.scratch(scratch, as: UInt8.self)
                pooled.gradient(io.input(1), io.input(0), places: io.input(2), &dw, &db, scratch: &work, pool: io.pool)
            }
        }
    }

    private static func kernel(
        _ op: Preparation, _ input: TensorInfo, filter: TensorInfo, maxima: TensorInfo, places: TensorInfo
    ) throws(Failure) -> PooledConvolution {
        let (shape, options) = try Conv2D.geometry(op.options, input: input, filter: filter, name: op.name)
        guard maxima.rank == 4, maxima.shape[0] == shape.batch, maxima.shape[3] == shape.outputChannels,
            options.activation.isClamp,
            let kernel = PooledConvolution(
                shape, maxima: (maxima.shape[1], maxima.shape[2]), clamp: options.activation.floatRange,
                threads: op.threadCount)
        else { throw op.unsupportedTypes() }
        try places.require(kernel.placeCount, op)
        return kernel
    }
}

extension TensorInfo {
    fileprivate func require(_ wanted: Int, _ op: Preparation) throws(Failure) {
        guard count == wanted, type == .float32 else { throw op.unsupportedTypes() }
    }
}
