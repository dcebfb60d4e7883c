import Kernels
import Model

/// edgeopt.batch_normalization: y = clamp(gamma (x - mean) / sqrt(variance + epsilon) + beta) with the statistics of the
/// batch, or with those that are given. Inputs: 0 is missing, 1 x, 2 gamma, 3 beta, optionally 4 mean and 5 variance.
/// Outputs: 0 y, 1 and 2 mean and variance of the batch. Options: 0 least, 1 greatest y, 2 epsilon. With dy as input 0
/// and the statistics of the batch it is the gradient: of x, gamma and beta.
package enum BatchNormalize {
    package static let name = "edgeopt.batch_normalization"

    /// Tensor `y` becomes what it gives; the result are mean and variance. `given`: instead of the batch's.
    package static func append(
        _ x: Value, gamma: Int, beta: Int, given: (mean: Int, variance: Int)?, y: Int, _ activation: FusedActivation,
        epsilon: Float
    ) -> (mean: Int, variance: Int) {
        let graph = x.graph
        let pattern = Tensor(name: "", type: .float32, shape: graph.value(gamma).shape)
        let (mean, variance) = (graph.add(pattern).tensor, graph.add(pattern).tensor)
        let range = activation.floatRange
        graph.append(
            OperatorCode(.custom, custom: name),
            inputs: [-1, x.tensor, gamma, beta, given?.mean ?? -1, given?.variance ?? -1],
            outputs: [y, mean, variance],
            Options(.fakeQuant, [.float(range.minimum), .float(range.maximum), .float(epsilon)]))
        return (mean, variance)
    }

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, inPlace: true) { op throws(Failure) in
            let gamma = try op.input(2).shape
            return [try op.input(1).shape, gamma, gamma]
        } prepare: { op throws(Failure) in
            let (x, channels) = (try op.input(1), try op.input(2).count)
            for index in op.inputs.indices {
                guard let input = op.inputs[index] else { continue }
                guard input.type == .float32, input.count == (index < 2 ? x.count : channels), x.shape.last == channels
                else { throw op.unsupportedTypes() }
            }
            // Statistics come as a pair; the gradient needs them. Graphs of training keep to this.
            guard op.inputs.count == 6, op.outputs.count == 3, op.outputs.allSatisfy({ $0.type == .float32 }),
                op.inputs[3] != nil, (op.inputs[4] == nil) == (op.inputs[5] == nil),
                op.inputs[0] == nil || op.inputs[4] != nil
            else { throw op.invalid("its inputs or outputs are not those of a batch normalization") }
            let normalizer = BatchNormalizer(
                count: x.count, channels: channels, low: op.options.float(0), high: op.options.float(1),
                epsilon: op.options.float(2))
            let scratch = op.scratch(bytes: 4 * normalizer.scratchCount)
            return { io in
                var y = io.output(as: Float.self)
                var first = io.output(1, as: Float.self)
                var second = io.output(2, as: Float.self)
                var work = io.scratch(scratch, as: Float.self)
                normalizer.run(
                    dy: io.input(0), io.input(1), gamma: io.input(2), beta: io.input(3), mean: io.input(4),
                    variance: io.input(5), &y, &first, &second, scratch: &work, pool: io.pool)
            }
        }.gradient { g throws(Failure) in
            var inputs = g.inputs
            (inputs[0], inputs[4], inputs[5]) = (try g.dy, g.outputs[1], g.outputs[2])
            let results = try g.y.graph.emit(
                OperatorCode(.custom, custom: name), inputs, g.options, types: [.float32, .float32, .float32])
            return [nil, results[0], results[1], results[2]]
        }
    }
}
