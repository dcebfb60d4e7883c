import Model
import Operators

/// The graph that a trainer runs: the model, its losses and, for steps, what computes the gradients. Inputs are, in this
/// order, those of the model, labels, the weights of the samples, parameters, states.
struct TrainingGraph {
    /// Outputs of steps: the loss, predictions, observed tensors, gradients; of evaluation: the loss, predictions, the
    /// model's own outputs; at the beginning: the loss, predictions, observed tensors.
    let model: Model
    let dataCount: Int
    /// Of each loss, with the kind settled.
    let terms: [LossTerm]
    let labels: [LabelFormat]
    /// Shapes of what the losses look at: logits rather than probabilities.
    let predictions: [[Int]]
    /// Operators up to the loss; the gradients follow.
    let forwardCount: Int
    let batchSize: Int
    /// The trained tensors that the loss depends on: those with a gradient.
    let reached: [Int]

    var sampleWeights: Int { dataCount + labels.count }
    var firstParameter: Int { sampleWeights + 1 }

    /// What becomes an input or output of the graph beside the model's own.
    struct Tensors {
        var trained: [Int] = []
        var states: [Int] = []
        var observed: [Int] = []
    }

    /// `step(recomputing: true)`: results of the forward pass are computed again where the backward pass needs them.
    enum Purpose: Equatable { case step(recomputing: Bool), evaluation, beginning }

    /// `source` is a model for any batch size.
    init(
        _ source: Model, batchSize: Int, losses: [LossTerm], tensors: Tensors, for purpose: Purpose
    ) throws(Failure) {
        var start = try source.withBatchSize(batchSize).expandingSequenceLSTMs()
        start.signatures = []
        let outputs = start.subgraphs[0].outputs
        dataCount = start.subgraphs[0].inputs.count
        self.batchSize = batchSize
        let graph = GraphEmitter(start)
        var parts = Parts()
        for (index, term) in losses.enumerated() { try parts.add(term, index, outputs, batchSize, graph) }
        let loss = try parts.sum(graph, batchSize)
        (terms, labels) = (parts.terms, parts.labels)
        predictions = parts.predictions.map { $0.shape }
        var model = graph.model
        for tensor in tensors.trained + tensors.states { model.subgraphs[0].tensors[tensor].buffer = 0 }
        model.subgraphs[0].inputs += parts.inputs + tensors.trained + tensors.states
        model.subgraphs[0].outputs =
            [loss] + parts.predictions.map { $0.tensor } + (purpose == .evaluation ? outputs : tensors.observed)
        if case .step = purpose { model.poolEarly(trained: tensors.trained) }
        forwardCount = model.subgraphs[0].operators.count
        guard case .step(let recomputing) = purpose else {
            self.model = model
            reached = tensors.trained
            return
        }
        let (complete, gradients) = try model.appendingGradients(
            of: loss, withRespectTo: tensors.trained, recomputing: recomputing)
        self.model = complete
        reached = zip(tensors.trained, gradients).filter { $0.1 != nil }.map { $0.0 }
    }

    /// The losses as they are put together.
    private struct Parts {
        var terms: [LossTerm] = []
        var labels: [LabelFormat] = []
        var predictions: [Value] = []
        /// Labels, then the weights of the samples.
        private(set) var inputs: [Int] = []
        private var losses: [Value] = []

        /// Everything up to the loss of each sample.
        mutating func add(
            _ given: LossTerm, _ index: Int, _ outputs: [Int], _ batchSize: Int, _ graph: GraphEmitter
        ) throws(Failure) {
            guard outputs.indices.contains(given.output) else {
                throw .outOfRange("loss \(index): there is no output \(given.output), only \(outputs.count)")
            }
            var term = given
            let end = ModelEnd(graph.model, outputs[given.output])
            if term.kind == .automatic { term.kind = try end.usualLoss() }
            let definition = try LossDefinition.of(term.kind)
            let prediction = try end.value(before: definition.end, graph)
            guard prediction.type == .float32 else {
                throw .unsupported("loss \(index): output \(given.output) is \(prediction.type.name), not FLOAT32")
            }
            guard prediction.shape.first == batchSize else {
                throw .unsupported(
                    "loss \(index): output \(given.output) has shape \(prediction.shape.listed); its first dimension"
                        + " does not count the \(batchSize) samples")
            }
            let format = try definition.labels(prediction.shape, term)
            let label = graph.add(Tensor(name: "labels of loss \(index)", type: format.type, shape: format.shape))
            inputs.append(label.tensor)
            losses.append(try definition.emit(prediction, label, term))
            terms.append(term)
            labels.append(format)
            predictions.append(prediction)
        }

        /// sum of weight * sum of the samples' losses times the samples' weights.
        mutating func sum(_ graph: GraphEmitter, _ batchSize: Int) throws(Failure) -> Int {
            let weights = graph.add(Tensor(name: "weights of samples", type: .float32, shape: [batchSize]))
            inputs.append(weights.tensor)
            var total: Value?
            for (loss, term) in zip(losses, terms) {
                // The host's gradient has all weights in it.
                let isHost = term.kind == .host
                let weighted = isHost ? loss : try loss * weights
                let sum = try weighted.sum([0], keep: false).scaled(by: isHost ? 1 : term.weight)
                total = if let others = total { try others + sum } else { sum }
            }
            guard let total else { throw .invalidArgument("there is no loss to minimize") }
            return total.tensor
        }
    }
}

/// How a model ends at one of its outputs.
private struct ModelEnd {
    private let code: BuiltinOperator?
    private let op: Operator?
    private let output: Int

    init(_ model: Model, _ output: Int) {
        self.output = output
        var tensor = output
        let graph = model.subgraphs[0]
        while let index = graph.operators.lastIndex(where: { $0.outputs.contains(tensor) }) {
            let code = model.operatorCodes[graph.operators[index].opcode]
            // What simulates quantization after the end is not part of a loss.
            guard code.builtin == .custom, code.custom?.utf8.starts(with: "edgeopt.fake_quantize".utf8) == true,
                let before = graph.operators[index].inputs.first, before >= 0
            else {
                (self.code, op) = (code.builtin, graph.operators[index])
                return
            }
            tensor = before
        }
        (code, op) = (nil, nil)
    }

    func usualLoss() throws(Failure) -> LossKind {
        switch code {
        case .softmax, .logSoftmax: return .sparseCategoricalCrossEntropy
        case .logistic: return .binaryCrossEntropy
        default:
            throw .invalidArgument(
                "the model ends in neither SOFTMAX nor LOGISTIC, so its loss cannot be guessed: choose one")
        }
    }

    /// What the operator at the end is given, if it is `wanted`; else the output itself.
    func value(before wanted: BuiltinOperator?, _ graph: GraphEmitter) throws(Failure) -> Value {
        guard let wanted, code == wanted, let op, let input = op.inputs.first, input >= 0 else {
            return graph.value(output)
        }
        return try graph.value(input).scaled(by: wanted == .softmax ? op.options.float(0) : 1)
    }
}
