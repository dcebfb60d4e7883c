import Kernels
import Model
import Operators

/// Full integer quantization: int8 weights and int8 or int16 activations (TFLite 8-bit quantization specification; Jacob
/// et al., 2018). Operators without an integer kernel stay float between a DEQUANTIZE and a QUANTIZE. Only the main
/// subgraph is quantized.
struct IntegerScheme {
    var model: Model
    let plan: QuantizationPlan
    private let means: ChannelMeans?
    private var forms: TensorForms

    var original: Model { plan.model }
    private var options: QuantizerOptions { plan.options }
    var graph: Int { plan.graph }
    private var type: TensorType { plan.type }
    private var candidates: Candidates { plan.candidates }
    var scales: ScaleAssignment { plan.scales }

    /// `means`: of what linear operators read, for bias correction; nil: weights that were trained as integers need none.
    static func apply(_ plan: QuantizationPlan, means: ChannelMeans?) throws(Failure) -> Model {
        var scheme = IntegerScheme(plan, means)
        try scheme.rewrite()
        return scheme.model.compacted()
    }

    private init(_ plan: QuantizationPlan, _ means: ChannelMeans?) {
        self.plan = plan
        self.means = means
        model = plan.model
        forms = TensorForms(graph: plan.graph)
    }

    private mutating func rewrite() throws(Failure) {
        model.subgraphs[graph].operators = []
        reserveBoundary()
        for index in original.subgraphs[graph].operators.indices {
            if case .float(let reason) = candidates.decisions[index] {
                options.log(("\(original.place(graph, index)) stays float: \(reason)" as Sentence).text)
            }
            if candidates.isInteger(index) { try quantize(index) } else { try keep(index) }
        }
        for output in original.subgraphs[graph].outputs where isComputed(output) {
            _ = try forms.tensor(output, as: boundary(output, options.outputType), in: &model)
        }
    }

    private func isFloat(_ tensor: Int) -> Bool { original.subgraphs[graph].tensors[tensor].type == .float32 }

    /// A float output of the model that is neither a constant nor an input passed through.
    private func isComputed(_ output: Int) -> Bool {
        output >= 0 && isFloat(output) && original.constant(graph, output) == nil
            && !original.subgraphs[graph].inputs.contains(output)
    }

    // MARK: inputs and outputs of the model

    /// Inputs and outputs keep their tensor indices, whatever type they get.
    private mutating func reserveBoundary() {
        let subgraph = original.subgraphs[graph]
        let uses = Uses(subgraph)
        for input in subgraph.inputs where input >= 0 && isFloat(input) {
            let isRead = uses.consumers(of: input).contains { candidates.isInteger($0) }
            forms.reserve(input, boundary(input, isRead ? options.inputType : .float32), in: &model)
            forms.define(input, boundary(input, isRead ? options.inputType : .float32))
            if !isRead && options.inputType != .float32 {
                options.log(
                    ("input '\(subgraph.tensors[input].name)' stays FLOAT32: no integer operator reads it" as Sentence)
                        .text)
            }
        }
        for output in subgraph.outputs where isComputed(output) {
            forms.reserve(output, boundary(output, options.outputType), in: &model)
        }
    }

    /// The form an input or output of the model has; nil is float32.
    private func boundary(_ tensor: Int, _ wanted: TensorType) -> Parameters? {
        switch wanted {
        case .float32: nil
        case .uint8: scales.parameters(tensor)?.asUInt8
        default: scales.parameters(tensor)
        }
    }

    // MARK: operators

    private mutating func keep(_ index: Int) throws(Failure) {
        var op = original.subgraphs[graph].operators[index]
        for position in op.inputs.indices where op.inputs[position] >= 0 && isFloat(op.inputs[position]) {
            op.inputs[position] = try forms.tensor(op.inputs[position], as: nil, in: &model)
        }
        for position in op.outputs.indices where op.outputs[position] >= 0 && isFloat(op.outputs[position]) {
            op.outputs[position] = forms.define(op.outputs[position], nil, in: &model)
        }
        for form in plan.wideWeights(of: index) { op.inputs[form.input] = try dequantized(form) }
        model.subgraphs[graph].operators.append(op)
    }

    /// Weights that are stored as int16, behind a DEQUANTIZE.
    private mutating func dequantized(_ form: WeightForm) throws(Failure) -> Int {
        let pattern = original.subgraphs[graph].tensors[form.tensor]
        guard let values = original.floats(graph, form.tensor), let scale = plan.scales(of: form, values)?.first else {
            throw notFinite(pattern.name, original)
        }
        let quantization = Quantization(scale: scale, zeroPoint: 0)
        if let known = forms.constant(form.tensor, .float32, quantization) { return known }
        let limit = Float(form.steps)
        let stored = values.map { Int16(max(-limit, min(limit, quantizationSteps($0, scale: scale)))) }
        let weights = try constant(form.tensor, .int16, quantization, stored)
        let result = model.add(
            Tensor(name: pattern.shortName + "_float32", type: .float32, shape: pattern.shape), to: graph)
        let code = model.operatorCode(.dequantize, version: OperatorVersions.lowest(.dequantize, .int16))
        model.subgraphs[graph].operators.append(
            Operator(opcode: code, inputs: [weights], outputs: [result], options: Options(.dequantize)))
        forms.addConstant(form.tensor, .float32, quantization, result)
        return result
    }

    private mutating func quantize(_ index: Int) throws(Failure) {
        var op = original.subgraphs[graph].operators[index]
        let before = op
        var clamps: [Operator] = []
        for position in candidates.activations(index) {
            guard let wanted = scales.wanted(by: index, input: position) else { continue }
            op.inputs[position] = try activation(before.inputs[position], as: wanted)
        }
        for position in op.outputs.indices where op.outputs[position] >= 0 && isFloat(op.outputs[position]) {
            guard let parameters = scales.parameters(before.outputs[position]) else { continue }
            let result = forms.define(before.outputs[position], parameters, in: &model)
            op.outputs[position] = result
            guard isCut(index, parameters) else { continue }
            let clamped = try forms.clamped(result, parameters, in: &model)
            op.outputs[position] = clamped.tensor
            clamps += clamped.operators
        }
        if let form = plan.weights(of: index) { try quantizeWeights(&op, before, form, index) }
        try quantizeRecurrent(&op, before, index)
        let code = original.code(graph, index)
        op.opcode = model.operatorCode(code.builtin, version: version(of: op, code))
        if type == .int16 { allowAnyScale(&op, code.builtin) }
        model.subgraphs[graph].operators.append(op)
        model.subgraphs[graph].operators += clamps
    }

    /// True if an operator may compute numbers outside of those in use: its activation does not end at zero.
    private func isCut(_ index: Int, _ parameters: Parameters) -> Bool {
        guard parameters.isCutBelow, !candidates.keepsScale(index) else { return false }
        let code = original.code(graph, index).builtin
        let activation = original.subgraphs[graph].operators[index].activation(code)
        let isPositive = activation == .relu || activation == .relu6 || code == .relu || code == .relu6
        return !(isPositive && parameters.zeroPoint == parameters.low && !parameters.isCutAbove)
    }

    private mutating func activation(_ tensor: Int, as wanted: Parameters) throws(Failure) -> Int {
        guard let values = original.floats(graph, tensor) else {
            return try forms.tensor(tensor, as: wanted, in: &model)
        }
        let stored = values.map { wanted.quantize($0) }
        return type == .int16
            ? try constant(tensor, .int16, wanted.quantization, stored.map { Int16($0) })
            : try constant(tensor, .int8, wanted.quantization, stored.map { Int8($0) })
    }

    /// The integer form of a constant, made once.
    mutating func constant<T: BitwiseCopyable>(
        _ tensor: Int, _ type: TensorType, _ quantization: Quantization, _ elements: [T]
    ) throws(Failure) -> Int {
        if let known = forms.constant(tensor, type, quantization) { return known }
        let index = try model.addConstant(
            elements, type: type, like: original.subgraphs[graph].tensors[tensor], suffix: "",
            quantization: quantization, to: graph)
        forms.addConstant(tensor, type, quantization, index)
        return index
    }

    mutating func constant<T: BitwiseCopyable>(
        _ form: WeightForm, _ quantization: Quantization, _ elements: [T]
    ) throws(Failure) -> Int { try constant(form.tensor, form.type, quantization, elements) }

    private mutating func quantizeWeights(
        _ op: inout Operator, _ before: Operator, _ form: WeightForm, _ index: Int
    ) throws(Failure) {
        guard let position = candidates.activations(index).first, let values = original.floats(graph, form.tensor),
            let input = scales.wanted(by: index, input: position), let output = scales.parameters(before.outputs[0])
        else { return }
        guard let wanted = plan.scales(of: form, values) else {
            throw notFinite(original.subgraphs[graph].tensors[form.tensor].name, original)
        }
        let biasTensor = form.bias.map { before.inputs[$0] }
        var linear = LinearWeights(
            values, form.layout(in: original, graph), form, scales: wanted,
            bias: biasTensor.flatMap { original.floats(graph, $0) } ?? [], input: input, output: output)
        if let shift = shift(of: linear.weights, values, before, index) { linear.correct(by: shift) }
        let quantization = linear.weights.quantization
        switch form.type {
        case .int4: op.inputs[form.input] = try constant(form, quantization, packed(linear.weights.values, bits: 4))
        case .int2: op.inputs[form.input] = try constant(form, quantization, packed(linear.weights.values, bits: 2))
        default: op.inputs[form.input] = try constant(form, quantization, linear.weights.values)
        }
        guard let biasTensor, let bias = form.bias else { return }
        op.inputs[bias] =
            type == .int16
            ? try constant(biasTensor, .int64, linear.biasQuantization, linear.bias)
            : try constant(biasTensor, .int32, linear.biasQuantization, linear.bias.map { Int32($0) })
    }

    /// By how much the rounding of its weights moves each output channel of an operator on average (bias correction;
    /// Nagel et al., 2019, section 4.2). nil where the mean of the input is not known, or taps do not all see it.
    private func shift(
        of weights: QuantizedWeights, _ values: [Float], _ op: Operator, _ index: Int
    ) -> [Double]? {
        let code = original.code(graph, index).builtin
        guard code != .transposeConv, let linear = LinearOperator(code),
            let means = means?.means(op.inputs[linear.input])
        else { return nil }
        let shape = original.subgraphs[graph].tensors[op.inputs[linear.weights]].shape
        let layout = WeightLayout(shape: shape, channelDimension: linear.channelDimension)
        let isDepthwise = code == .depthwiseConv2D
        guard isDepthwise ? layout.channels % means.count == 0 : shape.last == means.count else { return nil }
        let multiplier = layout.channels / means.count
        var shift = [Double](repeating: 0, count: layout.channels)
        for element in values.indices {
            let channel = layout.channel(of: element)
            let scale = weights.scales[weights.scales.count == 1 ? 0 : channel]
            let error = Double(weights.values[element]) * Double(scale) - Double(values[element])
            shift[channel] += error * means[isDepthwise ? channel / multiplier : element % means.count]
        }
        return shift
    }

    // MARK: versions and options

    private func version(of op: Operator, _ code: OperatorCode) -> Int {
        var version = max(code.version, OperatorVersions.lowest(code.builtin, type))
        if let linear = LinearOperator(code.builtin) {
            let weights = model.subgraphs[graph].tensors[op.inputs[linear.weights]].type
            version = max(version, OperatorVersions.lowest(code.builtin, type, weights: weights))
        }
        if code.builtin == .mul, type == .int8, op.inputs.count == 2 {
            let tensors = model.subgraphs[graph].tensors
            let scales = (op.inputs + op.outputs).map { Double(tensors[$0].quantization?.scales.first ?? 0) }
            if scales[0] * scales[1] >= scales[2] { version = max(version, OperatorVersions.mulWithLargeScale) }
        }
        return version
    }

    /// int16 ADD and SUB want power-of-two scales unless told otherwise.
    private func allowAnyScale(_ op: inout Operator, _ code: BuiltinOperator) {
        switch code {
        case .add: op.set(1, of: .add, to: .int(0))
        case .sub: op.set(1, of: .sub, to: .int(0))
        default: break
        }
    }
}
