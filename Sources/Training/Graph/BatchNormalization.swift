import Kernels
import Model
import Operators
import Quantization

/// Batch normalization (Ioffe and Szegedy, 2015) put back behind the linear operators of a model that has it folded:
/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta for each channel, with the statistics of the batch in steps and
/// their moving averages in evaluation. It begins as the identity, with the statistics of the first batch, and is folded
/// again at export. The linear operator's own bias has no effect and stays as it is.
final class BatchNormalization: TrainingState {
    static let epsilon: Float = 1e-3

    /// One normalization. Tensors are those of the transformed model.
    struct Layer {
        let weights: Int
        let form: LinearOperator
        let channels: Int
        let gamma, beta, mean, variance: Int
        var batchMean = -1
        var batchVariance = -1
        let bias: Int
    }

    var layers: [Layer] = []
    private let momentum: Float
    private var hasBegun = false

    init(momentum: Float) { self.momentum = momentum }

    // MARK: The graph

    /// The source with normalized layers, and what follows their statistics.
    static func insert(into prepared: Model, momentum: Float) throws(Failure) -> TrainingSource {
        let state = BatchNormalization(momentum: momentum)
        var base = prepared
        let places = state.places(in: prepared)
        for op in places {
            let layer = base.subgraphs[0].operators[op]
            guard let form = LinearOperator(base.code(0, op).builtin) else { continue }
            try state.add(layer, form, &base)
        }
        try state.refuseNothing(prepared)
        var source = TrainingSource(prepared)
        source.training = try state.graph(base, places, usesBatch: true)
        source.evaluation = try state.graph(base, places, usesBatch: false)
        source.states = [state]
        return source
    }

    /// Linear operators with weights of their own whose results are looked at by others: not the model's last ones.
    func places(in model: Model) -> [Int] {
        let graph = model.subgraphs[0]
        let uses = Uses(graph)
        return graph.operators.indices.filter { index in
            let op = graph.operators[index]
            guard let form = LinearOperator(model.code(0, index).builtin), op.inputs.count > form.weights,
                op.inputs[form.weights] >= 0, model.floats(0, op.inputs[form.weights]) != nil,
                uses.consumers(of: op.inputs[form.weights]).count == 1, op.outputs.count == 1,
                !isLast(op.outputs[0], model, uses)
            else { return false }
            let weights = graph.tensors[op.inputs[form.weights]].shape
            return weights.count > form.channelDimension
                && graph.tensors[op.outputs[0]].shape.last == weights[form.channelDimension]
        }
    }

    private func isLast(_ tensor: Int, _ model: Model, _ uses: Uses) -> Bool {
        if uses.isOutput(tensor) { return true }
        let consumers = uses.consumers(of: tensor)
        return consumers.count == 1
            && [.softmax, .logistic, .logSoftmax].contains(model.code(0, consumers[0]).builtin)
            && uses.isOutput(model.subgraphs[0].operators[consumers[0]].outputs[0])
    }

    func refuseNothing(_ model: Model) throws(Failure) {
        guard layers.isEmpty else { return }
        throw .invalidArgument("\(model.origin): there is no layer that batch normalization could be put behind")
    }

    /// The tensors of the layer behind an operator.
    func add(_ op: Operator, _ form: LinearOperator, _ model: inout Model) throws(Failure) {
        let weights = op.inputs[form.weights]
        let channels = model.subgraphs[0].tensors[weights].shape[form.channelDimension]
        let name = model.subgraphs[0].tensors[op.outputs[0]].shortName + "/normalization"
        let pattern = Tensor(name: name, type: .float32, shape: [channels])
        let ones = [Float](repeating: 1, count: channels)
        let zeros = [Float](repeating: 0, count: channels)
        let unit = [Float](repeating: 1 - Self.epsilon, count: channels)
        layers.append(
            Layer(
                weights: weights, form: form, channels: channels,
                gamma: try model.addConstant(ones, type: .float32, like: pattern, suffix: "/gamma", to: 0),
                beta: try model.addConstant(zeros, type: .float32, like: pattern, suffix: "/beta", to: 0),
                mean: try model.addConstant(zeros, type: .float32, like: pattern, suffix: "/mean", to: 0),
                variance: try model.addConstant(unit, type: .float32, like: pattern, suffix: "/variance", to: 0),
                bias: op.inputs.count > form.bias ? op.inputs[form.bias] : -1))
    }

    /// Both graphs have the same tensors in the same places.
    private func graph(_ base: Model, _ places: [Int], usesBatch: Bool) throws(Failure) -> Model {
        var bare = base
        bare.subgraphs[0].operators = []
        let graph = GraphEmitter(bare)
        for (index, op) in base.subgraphs[0].operators.enumerated() {
            let code = base.code(0, index)
            guard let layer = places.firstIndex(of: index) else {
                graph.append(op, code)
                continue
            }
            var linear = op
            let activation = op.activation(code.builtin) ?? .none
            linear.setActivation(.none, code.builtin)
            var raw = base.subgraphs[0].tensors[op.outputs[0]]
            raw.name = raw.shortName + "/linear"
            let x = graph.add(raw)
            linear.outputs = [x.tensor]
            graph.append(linear, code)
            let isClamp = activation.isClamp
            let y = isClamp ? op.outputs[0] : graph.add(raw).tensor
            let normalization = layers[layer]
            (layers[layer].batchMean, layers[layer].batchVariance) = BatchNormalize.append(
                x, gamma: normalization.gamma, beta: normalization.beta,
                given: usesBatch ? nil : (normalization.mean, normalization.variance), y: y,
                isClamp ? activation : .none, epsilon: Self.epsilon)
            guard !isClamp else { continue }
            graph.append(
                OperatorCode(.add), inputs: [y, try graph.constant([0], []).tensor], outputs: op.outputs,
                Options(.add, [.int(Int64(activation.rawValue))]))
        }
        return graph.model
    }

    // MARK: What follows the steps

    var states: [Int] { layers.flatMap { [$0.mean, $0.variance] } }
    var learned: [Int] { layers.flatMap { [$0.gamma, $0.beta] } }
    var observed: [Int] { layers.flatMap { [$0.batchMean, $0.batchVariance] } }
    var replaced: [Int] { layers.map { $0.bias }.filter { $0 >= 0 } }

    var needsBeginning: Bool { !hasBegun }

    /// The statistics of a batch become those of the layers, and gamma and beta undo them.
    func begin(_ values: borrowing StateValues) {
        for layer in layers.indices {
            let (mean, variance) = (2 * layer, 2 * layer + 1)
            for channel in 0..<layers[layer].channels {
                let (seenMean, seenVariance) = (values.observed(mean)[channel], values.observed(variance)[channel])
                values.set(state: mean, channel, seenMean)
                values.set(state: variance, channel, seenVariance)
                values.set(learned: mean, channel, (seenVariance + Self.epsilon).squareRoot())
                values.set(learned: variance, channel, seenMean)
            }
        }
        hasBegun = true
    }

    func update(_ values: borrowing StateValues, step: Int) {
        for index in 0..<2 * layers.count {
            var state = values.state(index)
            ParameterArithmetic.blend(values.observed(index), into: &state, share: momentum)
        }
    }

    var memory: [UInt8] { [hasBegun ? 1 : 0] }

    func restore(_ memory: [UInt8]) throws(Failure) {
        guard memory == [0] || memory == [1] else {
            throw .invalidArgument("the memory of batch normalization is damaged")
        }
        hasBegun = memory == [1]
    }

    // MARK: Export

    /// Folds the moving averages, gamma and beta into weights and bias.
    func export(_ model: Model, _ values: borrowing StateValues) throws(Failure) -> Model {
        guard hasBegun else { return model }
        var folded = model
        for (index, layer) in layers.enumerated() {
            guard let weights = model.floats(0, layer.weights),
                let op = model.subgraphs[0].operators.firstIndex(where: { $0.inputs.contains(layer.weights) })
            else { continue }
            let bias = layer.bias >= 0 ? model.floats(0, layer.bias) ?? [] : []
            let shape = model.subgraphs[0].tensors[layer.weights].shape
            let inner = shape[(layer.form.channelDimension + 1)...].reduce(1, &*)
            var factors: [Double] = []
            var offsets: [Float] = []
            for channel in 0..<layer.channels {
                let mean = Double(values.state(2 * index)[channel])
                let variance = Double(values.state(2 * index + 1)[channel])
                let factor =
                    Double(values.learned(2 * index)[channel]) / (variance + Double(Self.epsilon)).squareRoot()
                factors.append(factor)
                let old = channel < bias.count ? Double(bias[channel]) : 0
                offsets.append(Float((old - mean) * factor + Double(values.learned(2 * index + 1)[channel])))
            }
            var scaled = weights
            for element in scaled.indices {
                scaled[element] = Float(Double(weights[element]) * factors[element / inner % layer.channels])
            }
            folded.buffers.append(Buffer(try Bytes(copying: scaled)))
            folded.subgraphs[0].tensors[layer.weights].buffer = folded.buffers.count - 1
            try folded.setBias(offsets, of: op, layer.form)
        }
        return folded
    }
}

extension Model {
    /// Gives a linear operator of the main subgraph another bias, or its first one.
    fileprivate mutating func setBias(_ values: [Float], of op: Int, _ form: LinearOperator) throws(Failure) {
        if let old = subgraphs[0].operators[op].inputs.dropFirst(form.bias).first, old >= 0,
            Uses(subgraphs[0]).consumers(of: old).count == 1
        {
            buffers.append(Buffer(try Bytes(copying: values)))
            subgraphs[0].tensors[old].buffer = buffers.count - 1
            return
        }
        let name = subgraphs[0].tensors[subgraphs[0].operators[op].outputs[0]].shortName + "/bias"
        let tensor = try addConstant(
            values, type: .float32, like: Tensor(name: name, type: .float32, shape: [values.count]), suffix: "", to: 0)
        while subgraphs[0].operators[op].inputs.count <= form.bias { subgraphs[0].operators[op].inputs.append(-1) }
        let old = subgraphs[0].operators[op].inputs[form.bias]
        if old >= 0 { subgraphs[0].tensors[tensor].name = subgraphs[0].tensors[old].name }
        subgraphs[0].operators[op].inputs[form.bias] = tensor
        guard code(0, op).builtin == .transposeConv else { return }
        let hasActivation = subgraphs[0].operators[op].activation(.transposeConv) != FusedActivation.none
        let version = max(code(0, op).version, hasActivation ? 4 : 3)
        subgraphs[0].operators[op].opcode = operatorCode(.transposeConv, version: version)
    }
}

extension GraphEmitter {
    /// Appends an operator of another graph with the same tensors.
    func append(_ op: Operator, _ code: OperatorCode) {
        append(code, inputs: op.inputs, outputs: op.outputs, op.options, op.customOptions)
    }
}
