import Kernels
import Model
import Operators

/// How ranges of activations come about in training.
package enum RangeMethod: Equatable, Sendable {
    /// Those of the last batch.
    case lastValue
    /// Each batch moves them by 1 - `momentum` of the way to its own.
    case movingAverage(momentum: Float)
    /// They only grow.
    case allValues
    /// As calibration found them.
    case fixed
    /// The scale is trained (Esser et al., 2020), the zero point stays.
    case learned
}

/// A float model that computes what a plan's integer model will compute, by fake quantization of the same tensors with
/// the same parameters. Tensors of the plan's model keep their indices; new ones follow behind them.
package struct SimulatedModel {
    package internal(set) var model: Model
    let plan: QuantizationPlan

    /// Where a group of activations has its parameters.
    package struct Activation: Equatable, Sendable {
        let group: Int
        /// A constant: the range (two numbers), or the logarithm of the scale where it is learned.
        package let state: Int
        /// Computed tensors of two numbers, the least and largest value of what is quantized.
        package var observed: [Int]
        package let method: RangeMethod
        var isObserved: Bool { method != .fixed && method != .learned }
        /// Kept by learned scales.
        let zeroPoint: Int
    }
    /// Trained scales of the weights in a tensor.
    package struct LearnedScales: Equatable, Sendable {
        package let tensor: Int
        /// A constant: the logarithms of one scale, or of one for each channel.
        package let state: Int
    }
    package private(set) var activations: [Activation] = []
    package private(set) var weightScales: [LearnedScales] = []

    /// Where the value of a tensor is, rounded as a group is.
    private struct Form {
        let source: Int
        let group: Int
        let tensor: Int
    }
    struct RoundedWeights {
        let tensor: Int
        let settings: FakeQuantizationSettings
        let rounded: Int
        let scales: Int
    }
    struct ParameterTensors {
        let group: Int
        let scale: Int
        let zeroPoint: Int
    }
    private var forms: [Form] = []
    private var weights: [RoundedWeights] = []
    private var groups: [ParameterTensors] = []
    /// Inputs of the model that float operators read after rounding, too.
    private var replaced: [(input: Int, tensor: Int)] = []
    private let method: RangeMethod
    var original: Model { plan.model }
    var graph: Int { plan.graph }

    /// `method`: of all ranges but those of constants, which follow their values, and those that operators fix.
    package init(_ plan: QuantizationPlan, ranges method: RangeMethod) throws(Failure) {
        self.plan = plan
        self.method = method
        model = plan.model
        model.subgraphs[graph].operators = []
        try quantizeInputs()
        for op in original.subgraphs[graph].operators.indices {
            if plan.candidates.isInteger(op) { try simulate(op) } else { try keep(op) }
        }
    }

    /// True if `other`'s tensors are at the same places here.
    package func keepsTensors(of other: Model) -> Bool {
        guard let before = other.subgraphs.first?.tensors, before.count <= model.subgraphs[graph].tensors.count else {
            return false
        }
        return before.indices.allSatisfy { before[$0].name == model.subgraphs[graph].tensors[$0].name }
            && before.count == original.subgraphs[graph].tensors.count
    }

    /// Inputs that the exported model takes as integers are rounded for everybody.
    private mutating func quantizeInputs() throws(Failure) {
        guard plan.options.inputType != .float32 else { return }
        let subgraph = original.subgraphs[graph]
        let uses = Uses(subgraph)
        for input in subgraph.inputs where input >= 0 && subgraph.tensors[input].type == .float32 {
            guard uses.consumers(of: input).contains(where: { plan.candidates.isInteger($0) }) else { continue }
            let tensor = try form(of: input, group: plan.scales.group(input))
            replaced.append((input, tensor))
        }
    }

    private mutating func keep(_ index: Int) throws(Failure) {
        var op = original.subgraphs[graph].operators[index]
        for position in op.inputs.indices {
            if let other = replaced.first(where: { $0.input == op.inputs[position] }) {
                op.inputs[position] = other.tensor
            }
        }
        for form in plan.wideWeights(of: index) { op.inputs[form.input] = try quantizedWeights(form, index).rounded }
        model.subgraphs[graph].operators.append(op)
    }

    private mutating func simulate(_ index: Int) throws(Failure) {
        var op = original.subgraphs[graph].operators[index]
        let positions = plan.candidates.activations(index)
        for position in positions {
            let group = plan.scales.group(readBy: index, input: position)
            op.inputs[position] = try form(of: op.inputs[position], group: group)
        }
        var grids: [ParameterTensors?] = []
        for position in positions {
            grids.append(try parameters(of: plan.scales.group(readBy: index, input: position)))
        }
        let code = original.code(graph, index).builtin
        // Sums of products of 16 bits are too large for float.
        let isExactInFloat = plan.type == .int8 || code == .mean || code == .averagePool2D
        var scales = isExactInFloat ? grids.map { $0?.scale ?? -1 } : []
        var isInSteps = false
        if let form = plan.weights(of: index) {
            let weights = try quantizedWeights(form, index)
            op.inputs[form.input] = weights.rounded
            if let grid = grids.first ?? nil, let result = try resultGrid(ofLayer: op, code, form) {
                while op.inputs.count < 3 { op.inputs.append(-1) }
                op.inputs += [grid.scale, grid.zeroPoint, weights.scales, result.scale]
                isInSteps = true
            } else if let bias = form.bias, let first = scales.first {
                op.inputs[bias] = try roundedBias(op.inputs[bias], first, weights.scales)
            }
            scales.append(weights.scales)
        } else if plan.type == .int16, code == .add || code == .sub, let result = try resultGrid(of: op) {
            isInSteps = try bringTerms(of: &op, index, positions, grids, to: result)
        }
        if let grid = grids.first ?? nil, let result = try recurrentGrid(of: index) {
            isInSteps = try simulateRecurrent(&op, index, grid, result)
        }
        let results = op.outputs
        let isExact = plan.candidates.keepsScale(index) && !plan.candidates.computesValues(index)
        for position in op.outputs.indices where op.outputs[position] >= 0 {
            let output = op.outputs[position]
            guard isFloat(output), plan.scales.parameters(output) != nil else { continue }
            forms.append(Form(source: output, group: plan.scales.group(output), tensor: output))
            guard !isExact else { continue }
            op.outputs[position] = addTensor(like: output, "_exact")
        }
        var sum = isInSteps ? IntegerSum(form: nil, scales: []) : original.sum(graph, index, scales)
        if sum != nil, let activation = op.activation(code) {
            // Integer kernels clamp what they have scaled; clamping real numbers first would round differently.
            sum?.activation = activation
            op.setActivation(.none, code)
        }
        // Custom options of a builtin operator say that its sums must be those of the definition: what they are brought
        // back to whole steps by leaves no room for the errors of faster algorithms.
        if sum != nil {
            var settings = FakeQuantizationSettings(low: 0, high: 1)
            settings.isSymmetric = plan.type == .int16
            op.customOptions = try settings.encoded()
        }
        model.subgraphs[graph].operators.append(op)
        for (result, raw) in zip(results, op.outputs) where result != raw {
            try quantize(raw, to: result, source: result, group: plan.scales.group(result), sum: sum)
        }
    }

    /// Where the only result of an operator has its parameters.
    mutating func resultGrid(of op: Operator) throws(Failure) -> ParameterTensors? {
        guard op.outputs.count == 1, op.outputs[0] >= 0, isFloat(op.outputs[0]),
            plan.scales.parameters(op.outputs[0]) != nil
        else { return nil }
        return try parameters(of: plan.scales.group(op.outputs[0]))
    }

    /// The same of a layer that is computed by its integer kernel; nil: it is not. Sums of few products of 8 bits are
    /// exact in float too, and there sooner made than activations are rounded for them.
    private mutating func resultGrid(
        ofLayer op: Operator, _ code: BuiltinOperator, _ form: WeightForm
    ) throws(Failure) -> ParameterTensors? {
        let weights = original.subgraphs[graph].tensors[form.tensor].shape
        guard code == .conv2D || code == .depthwiseConv2D || code == .fullyConnected, op.inputs.count <= 3,
            form.channelDimension < weights.count,
            plan.type == .int16 || weights.reduce(1, &*) >= 32 * weights[form.channelDimension]
        else { return nil }
        return try resultGrid(of: op)
    }

    /// Makes an operator add terms that are in steps of its result, as its kernel has them.
    private mutating func bringTerms(
        of op: inout Operator, _ index: Int, _ positions: [Int], _ grids: [ParameterTensors?],
        to result: ParameterTensors
    ) throws(Failure) -> Bool {
        guard positions.count == 2, grids.allSatisfy({ $0 != nil }) else { return false }
        var settings = FakeQuantizationSettings(low: -32768, high: 32767)
        settings.isUnclamped = true
        for (position, grid) in zip(positions, grids) {
            guard let grid else { continue }
            let term = addTensor(like: original.subgraphs[graph].operators[index].inputs[position], "_term")
            let inputs = [op.inputs[position], grid.scale, grid.zeroPoint, result.scale]
            try append(FakeQuantize.name, inputs, [term], settings)
            op.inputs[position] = term
        }
        return true
    }

    private func isFloat(_ tensor: Int) -> Bool { original.subgraphs[graph].tensors[tensor].type == .float32 }

    mutating func addTensor(like pattern: Int, _ suffix: String) -> Int {
        let tensor = original.subgraphs[graph].tensors[pattern]
        return model.add(Tensor(name: tensor.shortName + suffix, type: .float32, shape: tensor.shape), to: graph)
    }

    // MARK: activations

    /// The tensor `source` as a group has it, rounded once more if it comes from another.
    private mutating func form(of source: Int, group: Int) throws(Failure) -> Int {
        if let known = forms.first(where: { $0.source == source && $0.group == group }) { return known.tensor }
        let first = forms.first { $0.source == source }?.tensor ?? source
        let tensor = addTensor(like: source, "_rounded")
        try quantize(first, to: tensor, source: source, group: group)
        forms.append(Form(source: source, group: group, tensor: tensor))
        return tensor
    }

    /// `sum`: what `x` was summed of, whose rounding is repeated then.
    private mutating func quantize(
        _ x: Int, to y: Int, source: Int, group: Int, sum: IntegerSum? = nil
    ) throws(Failure) {
        guard let parameters = plan.scales.parameters(group), let tensors = try self.parameters(of: group) else {
            return
        }
        var settings = FakeQuantizationSettings(low: parameters.low, high: parameters.high)
        var outputs = [y]
        if let entry = activations.firstIndex(where: { $0.group == group }), activations[entry].isObserved,
            plan.scales.isCovered(source) || isConstant(source)
        {
            let name = original.subgraphs[graph].tensors[source].shortName + "_range"
            outputs.append(model.add(Tensor(name: name, type: .float32, shape: [2]), to: graph))
            activations[entry].observed.append(outputs[1])
        }
        let inputs = [x, tensors.scale, tensors.zeroPoint]
        settings.activation = sum?.activation ?? .none
        settings.isInSteps = sum != nil && sum?.form == nil
        guard let sum, let form = sum.form else { return try append(FakeQuantize.name, inputs, outputs, settings) }
        settings.form = form
        try append(FakeRequantize.name, inputs + sum.scales, outputs, settings)
    }

    /// The tensors with the scale and the zero point of a group, made when they are first needed.
    private mutating func parameters(of group: Int) throws(Failure) -> ParameterTensors? {
        if let known = groups.first(where: { $0.group == group }) { return known }
        guard let parameters = plan.scales.parameters(group) else { return nil }
        let entry: ParameterTensors
        if let range = plan.scales.range(ofGroup: group) {
            entry = try addActivation(group, parameters, range)
        } else {
            let scale = try addConstant([parameters.scale], like: group, "_scale")
            let zeroPoint = try addConstant([Float(parameters.zeroPoint)], like: group, "_zero_point")
            entry = ParameterTensors(group: group, scale: scale, zeroPoint: zeroPoint)
        }
        groups.append(entry)
        return entry
    }

    /// The state of a group and what its parameters are computed with.
    private mutating func addActivation(
        _ group: Int, _ parameters: Parameters, _ range: ValueRange
    ) throws(Failure) -> ParameterTensors {
        let method = isConstant(group) ? .lastValue : method
        guard method != .learned else {
            let learned = try addLearned([parameters.scale], like: group)
            let scale = learned.scales
            let zeroPoint = try addConstant([Float(parameters.zeroPoint)], like: group, "_zero_point")
            activations.append(
                Activation(
                    group: group, state: learned.state, observed: [], method: method, zeroPoint: parameters.zeroPoint))
            return ParameterTensors(group: group, scale: scale, zeroPoint: zeroPoint)
        }
        let state = try addConstant([range.min, range.max], like: group, "_range_state")
        activations.append(
            Activation(group: group, state: state, observed: [], method: method, zeroPoint: parameters.zeroPoint))
        let name = original.subgraphs[graph].tensors[group].shortName
        let scale = model.add(Tensor(name: name + "_scale", type: .float32, shape: [1]), to: graph)
        let zeroPoint = model.add(Tensor(name: name + "_zero_point", type: .float32, shape: [1]), to: graph)
        var settings = FakeQuantizationSettings(low: parameters.low, high: parameters.high)
        settings.isSymmetric = parameters.type == .int16
        try append(RangeParameters.name, [state], [scale, zeroPoint], settings)
        return ParameterTensors(group: group, scale: scale, zeroPoint: zeroPoint)
    }

    private func isConstant(_ tensor: Int) -> Bool { original.constant(graph, tensor) != nil }

    // MARK: weights

    /// The weights of an operator after rounding, and their scales.
    mutating func quantizedWeights(_ form: WeightForm, _ op: Int) throws(Failure) -> RoundedWeights {
        var settings = FakeQuantizationSettings(
            low: -form.steps, high: form.steps, dimension: form.isPerTensor ? nil : form.channelDimension)
        settings.isUnclamped = !form.learnsScales
        if let known = weights.first(where: { $0.tensor == form.tensor && $0.settings == settings }) { return known }
        let values = original.floats(graph, form.tensor) ?? []
        guard let initial = plan.scales(of: form, values) else {
            throw notFinite(original.subgraphs[graph].tensors[form.tensor].name, original)
        }
        let scales: Int
        if form.learnsScales {
            let learned = try addLearned(initial, like: form.tensor)
            scales = learned.scales
            weightScales.append(LearnedScales(tensor: form.tensor, state: learned.state))
        } else {
            let name = original.subgraphs[graph].tensors[form.tensor].shortName + "_scales"
            scales = model.add(Tensor(name: name, type: .float32, shape: [initial.count]), to: graph)
            try append(WeightScales.name, [form.tensor], [scales], settings)
        }
        let rounded = addTensor(like: form.tensor, "_rounded")
        try append(FakeQuantize.name, [form.tensor, scales], [rounded], settings)
        let entry = RoundedWeights(tensor: form.tensor, settings: settings, rounded: rounded, scales: scales)
        weights.append(entry)
        return entry
    }

    mutating func roundedBias(_ bias: Int, _ first: Int, _ second: Int) throws(Failure) -> Int {
        let rounded = addTensor(like: bias, "_rounded")
        let settings = FakeQuantizationSettings(low: -1, high: 1)
        try append(FakeQuantizeBias.name, [bias, first, second], [rounded], settings)
        return rounded
    }

    /// Scales to be learned: their logarithms are the state, so that a step of the optimizer is a share of a scale and
    /// none becomes negative (Jain et al., 2020).
    private mutating func addLearned(
        _ scales: [Float], like pattern: Int
    ) throws(Failure) -> (state: Int, scales: Int) {
        let state = try addConstant(scales.map { Real.log($0) }, like: pattern, "_log_scales")
        let name = original.subgraphs[graph].tensors[pattern].shortName + "_scales"
        let result = model.add(Tensor(name: name, type: .float32, shape: [scales.count]), to: graph)
        model.subgraphs[graph].operators.append(
            Operator(opcode: model.operatorCode(.exp, version: 1), inputs: [state], outputs: [result]))
        return (state, result)
    }

    mutating func addConstant(_ values: [Float], like pattern: Int, _ suffix: String) throws(Failure) -> Int {
        let name = original.subgraphs[graph].tensors[pattern].shortName
        return try model.addConstant(
            values, type: .float32, like: Tensor(name: name, type: .float32, shape: [values.count]), suffix: suffix,
            to: graph)
    }

    mutating func append(
        _ name: String, _ inputs: [Int], _ outputs: [Int], _ settings: FakeQuantizationSettings
    ) throws(Failure) {
        let code = OperatorCode(.custom, custom: name)
        var opcode = model.operatorCodes.count
        if let known = model.operatorCodes.firstIndex(of: code) {
            opcode = known
        } else {
            model.operatorCodes.append(code)
        }
        var op = Operator(opcode: opcode, inputs: inputs, outputs: outputs)
        op.customOptions = try settings.encoded()
        model.subgraphs[graph].operators.append(op)
    }
}
