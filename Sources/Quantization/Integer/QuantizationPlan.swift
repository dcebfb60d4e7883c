import Model
import Operators

/// What integer quantization does to the main subgraph of a prepared model: which operators compute with integers, which
/// tensors share which parameters, how weights are stored. Decided once, from the ranges of the tensors; `IntegerScheme`
/// writes it as integers, `SimulatedModel` as float operators to train.
package struct QuantizationPlan {
    /// The float model, prepared.
    let model: Model
    let graph = 0
    let options: QuantizerOptions
    let type: TensorType
    let candidates: Candidates
    private(set) var scales: ScaleAssignment
    /// Of the tensors of the float model.
    let ranges: [ValueRange?]
    /// For each operator, merged from the rules that apply to it.
    private let rules: [LayerRule]
    /// For tensors of weights that have scales of their own, not those of their largest magnitudes.
    private var weightScales: [[Float]?]
    /// For each operator: its weights have one scale, so that few distinct values stay few.
    private let clustered: [Bool]

    /// `ranges`: for each tensor of the main subgraph the values it took; nil for those that are not float32.
    init(_ model: Model, ranges: [ValueRange?], options: QuantizerOptions) {
        self.model = model
        self.options = options
        self.ranges = ranges
        type = options.scheme.activationType
        let subgraph = model.subgraphs[0]
        var rules: [LayerRule] = []
        var bits = [Int](repeating: options.activationBits ?? type.bits, count: subgraph.tensors.count)
        for op in subgraph.operators {
            let rule = options.rule(for: op, model.operatorCodes[op.opcode], in: subgraph)
            if let wanted = rule.activationBits {
                for output in op.outputs where output >= 0 { bits[output] = wanted }
            }
            // Its output is its state, which is not clamped.
            if model.operatorCodes[op.opcode].builtin == .unidirectionalSequenceLstm {
                for output in op.outputs where output >= 0 { bits[output] = type.bits }
            }
            rules.append(rule)
        }
        self.rules = rules
        candidates = Candidates(
            model, 0, type: type, ranges: ranges,
            integerBoundary: options.inputType != .float32 || options.outputType != .float32,
            isFloat: rules.map { $0.isFloat ?? false }, weightBits: rules.map { $0.weightBits ?? options.weightBits })
        scales = ScaleAssignment(model, 0, type: type, ranges: ranges, candidates: candidates, bits: bits)
        weightScales = [[Float]?](repeating: nil, count: subgraph.tensors.count)
        let candidates = candidates
        clustered = subgraph.operators.indices.map { op in
            guard candidates.isInteger(op), let rule = candidates.rules[op].weights else { return false }
            let tensor = subgraph.operators[op].inputs[rule.input]
            return wantOneScale(
                model.floats(0, tensor) ?? [], shape: subgraph.tensors[tensor].shape,
                channelDimension: rule.channelDimension)
        }
    }

    /// The weights of an operator that computes with integers; nil if it has none.
    func weights(of op: Int) -> WeightForm? { candidates.isInteger(op) ? linearWeights(of: op) : nil }

    /// The matrices of an LSTM layer that computes with integers; of others none.
    func recurrentWeights(of op: Int) -> [WeightForm] { candidates.isInteger(op) ? matrices(of: op) : [] }

    /// The constant weights of an operator that computes in float because they have more bits than integer kernels take.
    func wideWeights(of op: Int) -> [WeightForm] {
        guard !candidates.isInteger(op), !(rules[op].isFloat ?? false) else { return [] }
        let forms = linearWeights(of: op).map { [$0] } ?? matrices(of: op)
        return forms.filter {
            $0.bits > Candidates.mostWeightBits && model.constant(graph, $0.tensor) != nil
                && model.subgraphs[graph].tensors[$0.tensor].type == .float32
        }
    }

    private func linearWeights(of op: Int) -> WeightForm? {
        guard let rule = candidates.rules[op].weights,
            rule.input < model.subgraphs[graph].operators[op].inputs.count
        else { return nil }
        return form(
            op, rule.input, bias: rule.bias, channelDimension: rule.channelDimension,
            isPerTensor: clustered[op] || (rules[op].perTensorWeights ?? options.perTensorWeights))
    }

    private func matrices(of op: Int) -> [WeightForm] {
        typealias Input = UnidirectionalSequenceLSTM.Input
        guard candidates.isSequenceLSTM(op) else { return [] }
        var forms: [WeightForm] = []
        for gate in 0..<4 where model.subgraphs[graph].operators[op].inputs[Input.inputWeights + gate] >= 0 {
            forms.append(form(op, Input.inputWeights + gate, bias: Input.bias + gate))
            forms.append(form(op, Input.recurrentWeights + gate, bias: nil))
        }
        if model.subgraphs[graph].operators[op].inputs[Input.projection] >= 0 {
            forms.append(form(op, Input.projection, bias: Input.projectionBias))
        }
        return forms
    }

    private func form(
        _ op: Int, _ input: Int, bias: Int?, channelDimension: Int = 0, isPerTensor: Bool = true
    ) -> WeightForm {
        let inputs = model.subgraphs[graph].operators[op].inputs
        let bias = bias.flatMap { $0 < inputs.count && inputs[$0] >= 0 ? $0 : nil }
        let bits = rules[op].weightBits ?? options.weightBits
        return WeightForm(
            input: input, tensor: inputs[input], bias: bias, channelDimension: channelDimension,
            // LiteRT's DEQUANTIZE knows one scale for int16.
            isPerTensor: isPerTensor || bits > Candidates.mostWeightBits, bits: bits,
            learnsScales: rules[op].learnsWeightScales ?? false, activations: type,
            code: model.code(graph, op).builtin)
    }

    /// The scales that weights of this form have: their own, or those that let the largest magnitudes be the largest
    /// numbers. nil if a weight is not finite.
    func scales(of form: WeightForm, _ values: [Float]) -> [Float]? {
        guard let largest = form.layout(in: model, graph).largest(values) else { return nil }
        return weightScales[form.tensor] ?? symmetricScales(largest: largest, steps: form.steps)
    }

    /// The same plan for the same graph with other weights.
    package func applied(to trained: Model) throws(Failure) -> QuantizationPlan {
        guard trained.subgraphs.count == model.subgraphs.count,
            trained.subgraphs[graph].operators.count == model.subgraphs[graph].operators.count,
            trained.subgraphs[graph].tensors.count == model.subgraphs[graph].tensors.count
        else { throw .invalidArgument("\(trained.origin): this is not the model that was planned for") }
        return QuantizationPlan(self, trained)
    }

    private init(_ plan: QuantizationPlan, _ model: Model) {
        self.model = model
        (options, type, candidates) = (plan.options, plan.type, plan.candidates)
        (scales, rules, weightScales) = (plan.scales, plan.rules, plan.weightScales)
        ranges = plan.ranges
        clustered = plan.clustered
    }

    /// Replaces the parameters of a group of activations.
    mutating func set(_ parameters: Parameters, ofGroup group: Int) { scales.set(parameters, ofGroup: group) }

    /// Replaces the scales of the weights in a tensor.
    mutating func set(weightScales: [Float], of tensor: Int) { self.weightScales[tensor] = weightScales }

    /// The integer model.
    package func quantized() throws(Failure) -> Model { try IntegerScheme.apply(self, means: nil) }
}

/// How the weights of one operator are stored.
struct WeightForm {
    /// Position among the operator's inputs, and the tensor there.
    let input: Int
    let tensor: Int
    /// Position of the bias; nil if there is none.
    let bias: Int?
    let channelDimension: Int
    let isPerTensor: Bool
    let bits: Int
    let learnsScales: Bool
    /// Type and operator decide where LiteRT has kernels for packed weights.
    let activations: TensorType
    let code: BuiltinOperator

    /// The largest stored number; the least is its opposite.
    var steps: Int { (1 << (bits - 1)) - 1 }

    /// INT2 and INT4 where there are kernels for them; elsewhere few bits still deflate well.
    var type: TensorType {
        guard bits <= 4,
            code == .fullyConnected || activations == .int8 && (code == .conv2D || code == .depthwiseConv2D)
        else { return .int8 }
        return bits <= 2 && code == .fullyConnected ? .int2 : .int4
    }

    func layout(in model: Model, _ graph: Int) -> WeightLayout {
        isPerTensor
            ? .perTensor
            : WeightLayout(shape: model.subgraphs[graph].tensors[tensor].shape, channelDimension: channelDimension)
    }
}

extension TensorType {
    /// Of quantized activations.
    fileprivate var bits: Int { self == .int16 ? 16 : 8 }
}
