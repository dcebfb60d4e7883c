import Model
import Operators
import Quantization

/// Batch normalization where quantization is simulated: weights and biases are rounded as they are exported, so they are
/// folded in every step (Jacob et al., 2018, section 3.2), with the moving statistics. Those follow what the layers write:
/// undoing scale and shift gives the statistics of the batch.
extension BatchNormalization {
    /// `source` simulates quantization. Layers are those with a bias of their own whose activation the simulation applies
    /// behind them: those that compute with integers.
    static func fold(into source: TrainingSource, momentum: Float) throws(Failure) -> TrainingSource {
        let state = BatchNormalization(momentum: momentum)
        var base = source.training
        var places: [Int] = []
        for index in state.places(in: source.prepared) {
            let op = source.prepared.subgraphs[0].operators[index]
            guard let form = LinearOperator(source.prepared.code(0, index).builtin), op.inputs.count > form.bias,
                op.inputs[form.bias] >= 0, source.prepared.floats(0, op.inputs[form.bias]) != nil,
                Uses(source.prepared.subgraphs[0]).consumers(of: op.inputs[form.bias]).count == 1,
                let place = source.training.simulated(op.inputs[form.weights])
            else { continue }
            try state.add(op, form, &base)
            places.append(place)
        }
        try state.refuseNothing(source.prepared)
        var result = source
        result.training = try state.foldedGraph(base, places)
        result.evaluation = result.training
        // What is exported is folded before it is quantized.
        result.states.insert(state, at: 0)
        return result
    }

    /// `places`: the operators of the layers.
    private func foldedGraph(_ base: Model, _ places: [Int]) throws(Failure) -> Model {
        var bare = base
        bare.subgraphs[0].operators = []
        let graph = GraphEmitter(bare)
        var scales: [Value] = []
        var folded = Array(base.subgraphs[0].tensors.indices)
        for layer in layers {
            let scale = try graph.value(layer.gamma) * (graph.value(layer.variance) + Self.epsilon).apply(.rsqrt)
            let weights = graph.value(layer.weights)
            var shape = [Int](repeating: 1, count: weights.rank)
            shape[layer.form.channelDimension] = layer.channels
            folded[layer.weights] = try (weights * scale.reshape(shape)).tensor
            let shift = try (graph.value(layer.bias) - graph.value(layer.mean)) * scale
            folded[layer.bias] = try (shift + graph.value(layer.beta)).tensor
            scales.append(scale)
        }
        for (index, op) in base.subgraphs[0].operators.enumerated() {
            var op = op
            op.inputs = op.inputs.map { $0 < 0 ? $0 : folded[$0] }
            graph.append(op, base.operatorCodes[op.opcode])
            guard let layer = places.firstIndex(of: index) else { continue }
            // What comes from an integer kernel is in steps of the last input.
            let isInSteps = op.inputs.count > layers[layer].form.bias + 1
            try observe(
                graph.value(op.outputs[0]), layer, scales[layer], step: isInSteps ? op.inputs.last : nil)
        }
        return graph.model
    }

    /// Mean and variance before scale and shift of what a layer writes, y = scale (x - mean) + beta.
    private func observe(_ y: Value, _ layer: Int, _ scale: Value, step: Int?) throws(Failure) {
        let graph = y.graph
        let axes = try graph.indices(Array(0..<y.rank - 1))
        var mean = try y.apply(.mean, axes, options: Options(.reducer))
        var variance = try (y - mean).apply(.square).apply(.mean, axes, options: Options(.reducer))
        if let step {
            mean = try mean * graph.value(step)
            variance = try variance * graph.value(step) * graph.value(step)
        }
        // Channels that have become 0 say nothing.
        let square = try scale * scale + 1e-12
        let shift = try (mean - graph.value(layers[layer].beta)) * scale / square
        layers[layer].batchMean = try (shift + graph.value(layers[layer].mean)).tensor
        layers[layer].batchVariance = try (variance / square).tensor
    }
}

extension Model {
    /// The linear operator without activation that reads these weights, or what they are rounded to.
    fileprivate func simulated(_ weights: Int) -> Int? {
        let graph = subgraphs[0]
        return graph.operators.indices.first { index in
            let builtin = code(0, index).builtin
            guard let form = LinearOperator(builtin), graph.operators[index].inputs.count > form.weights,
                graph.operators[index].activation(builtin) ?? FusedActivation.none == FusedActivation.none
            else { return false }
            let read = graph.operators[index].inputs[form.weights]
            return read == weights
                || graph.operators.contains { $0.outputs.first == read && $0.inputs.first == weights }
        }
    }
}
