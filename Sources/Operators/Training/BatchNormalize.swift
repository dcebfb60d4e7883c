import Kernels
import Model

/// edgeopt.batch_normalization: y = clamp(gamma (x - mean) / sqrt(variance + epsilon) + beta) with the statistics of the
/// batch, or with those that are given. Inputs: 0 x, 1 gamma, 2 beta, optionally 3 mean and 4 variance. Outputs: 0 y, 1 and
/// 2 mean and variance of the batch. Options: 0 least, 1 greatest y, 2 epsilon.
package enum BatchNormalize {
    package static let name = "edgeopt.batch_normalization"
    /// edgeopt.batch_normalization_gradient(dy, x, gamma, beta, mean, variance) of x, gamma and beta.
    static let back = "edgeopt.batch_normalization_gradient"

    /// Tensor `y` becomes what it gives; the result are mean and variance. `given`: instead of the batch's.
    package static func append(
        _ x: Value, gamma: Value, beta: Value, given: (mean: Int, variance: Int)?, y: Int,
        activation: FusedActivation, epsilon: Float
    ) -> (mean: Int, variance: Int) {
        let pattern = Tensor(name: "", type: .float32, shape: gamma.shape)
        let (mean, variance) = (x.graph.add(pattern).tensor, x.graph.add(pattern).tensor)
        let range = activation.floatRange
        x.graph.append(
            OperatorCode(.custom, custom: name),
            inputs: [x.tensor, gamma.tensor, beta.tensor] + (given.map { [$0.mean, $0.variance] } ?? []),
            outputs: [y, mean, variance],
            Options(.fakeQuant, [.float(range.minimum), .float(range.maximum), .float(epsilon)]))
        return (mean, variance)
    }

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { op throws(Failure) in
            let (x, gamma) = (try op.input(0).shape, try op.input(1).shape)
            return [x, gamma, gamma]
        } prepare: { op throws(Failure) in
            let normalizer = try normalizer(op, op.input(0))
            let scratch = op.scratch(bytes: 4 * normalizer.scratchCount)
            let isGiven = op.hasInput(3)
            return { io in
                var y = io.output(as: Float.self)
                var mean = io.output(1, as: Float.self)
                var variance = io.output(2, as: Float.self)
                var work = io.scratch(scratch, as: Float.self)
                normalizer.statistics(io.input(0), mean: &mean, variance: &variance, scratch: &work, pool: io.pool)
                if isGiven {
                    normalizer.apply(
                        io.input(0), gamma: io.input(1), beta: io.input(2), mean: io.input(3), variance: io.input(4),
                        &y, scratch: &work, pool: io.pool)
                } else {
                    normalizer.apply(
                        io.input(0), gamma: io.input(1), beta: io.input(2), mean: mean.span, variance: variance.span,
                        &y, scratch: &work, pool: io.pool)
                }
            }
        }.gradient { g throws(Failure) in
            guard g.inputs.count == 3 else { throw .unsupported("\(name): has no gradient for given statistics") }
            let inputs: [Value?] = [try g.dy, try g.x, try g.b, try g.input(2), g.outputs[1], g.outputs[2]]
            let results = try g.y.graph.emit(
                OperatorCode(.custom, custom: back), inputs, g.options, types: [.float32, .float32, .float32])
            return [results[0], results[1], results[2]]
        }
    }

    static var gradient: OperatorDefinition {
        OperatorDefinition(.custom, custom: back, maxVersion: 1, inPlace: true) { op throws(Failure) in
            let (x, gamma) = (try op.input(1).shape, try op.input(2).shape)
            return [x, gamma, gamma]
        } prepare: { op throws(Failure) in
            guard try op.input(0).count == op.input(1).count else { throw op.unsupportedTypes() }
            let normalizer = try normalizer(op, op.input(1))
            let scratch = op.scratch(bytes: 4 * normalizer.scratchCount)
            return { io in
                var dx = io.output(as: Float.self)
                var gamma = io.output(1, as: Float.self)
                var beta = io.output(2, as: Float.self)
                var work = io.scratch(scratch, as: Float.self)
                normalizer.gradient(
                    io.input(0), io.input(1), gamma: io.input(2), beta: io.input(3), mean: io.input(4),
                    variance: io.input(5), &dx, ofGamma: &gamma, ofBeta: &beta, scratch: &work, pool: io.pool)
            }
        }
    }

    private static func normalizer(_ op: Preparation, _ x: TensorInfo) throws(Failure) -> BatchNormalizer {
        let channels = x.shape.last ?? 0
        for index in op.inputs.indices {
            let input = try op.input(index)
            guard input.type == .float32, input.count == channels || input.shape == x.shape, channels > 0 else {
                throw op.unsupportedTypes()
            }
        }
        return BatchNormalizer(
            count: x.count, channels: channels, clamp: (op.options.float(0), op.options.float(1)),
            epsilon: op.options.float(2))
    }
}
