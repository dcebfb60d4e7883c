import Kernels
import Model
import Operators

/// UNIDIRECTIONAL_SEQUENCE_LSTM of integers as LiteRT has it: one scale for each matrix, int16 cell states with a power
/// of two for a scale, and five intermediate tensors, the last of which has the scale of what the cells give.
extension IntegerScheme {
    private typealias Input = UnidirectionalSequenceLSTM.Input

    /// Of the cells' outputs before a projection: products of an output gate and tanh are in (-1, 1).
    static let projectedHiddenScale: Float = 1 / 127

    mutating func quantizeRecurrent(_ op: inout Operator, _ before: Operator, _ index: Int) throws(Failure) {
        let forms = plan.recurrentWeights(of: index)
        guard !forms.isEmpty, let x = scales.wanted(by: index, input: Input.sequence),
            let y = scales.parameters(before.outputs[0])
        else { return }
        let isProjected = before.inputs[Input.projection] >= 0
        let hidden = isProjected ? Parameters(type: .int8, scale: Self.projectedHiddenScale, zeroPoint: 0) : y
        let gate = Parameters(type: .int16, scale: 0x1p-12, zeroPoint: 0)
        for form in forms {
            guard let values = original.floats(graph, form.tensor), let wanted = plan.scales(of: form, values) else {
                throw notFinite(original.subgraphs[graph].tensors[form.tensor].name, original)
            }
            let isProjection = form.input == Input.projection
            let bias = form.bias.map { before.inputs[$0] }
            let linear = LinearWeights(
                values, .perTensor, form, scales: wanted, bias: bias.flatMap { original.floats(graph, $0) } ?? [],
                input: isProjection ? hidden : form.input < Input.recurrentWeights ? x : y,
                output: isProjection ? y : gate)
            op.inputs[form.input] = try constant(form, linear.weights.quantization, linear.weights.values)
            guard let bias, let place = form.bias else { continue }
            op.inputs[place] = try constant(
                bias, .int32, linear.biasQuantization, linear.bias.map { Int32(truncatingIfNeeded: $0) })
        }
        try quantizePeepholes(&op, before)
        quantizeStates(&op, index, y, hidden)
    }

    private mutating func quantizePeepholes(_ op: inout Operator, _ before: Operator) throws(Failure) {
        for input in Input.peepholes..<Input.bias where before.inputs[input] >= 0 {
            let values = original.floats(graph, before.inputs[input]) ?? []
            let parameters = Parameters(ValueRange(of: values) ?? ValueRange(0, 0), type: .int16)
            op.inputs[input] = try constant(
                before.inputs[input], .int16, parameters.quantization, values.map { Int16(parameters.quantize($0)) })
        }
    }

    private mutating func quantizeStates(
        _ op: inout Operator, _ index: Int, _ output: Parameters, _ hidden: Parameters
    ) {
        let before = original.subgraphs[graph].operators[index]
        let (h, c) = (before.inputs[Input.outputState], before.inputs[Input.cellState])
        model.subgraphs[graph].tensors[h].type = .int8
        model.subgraphs[graph].tensors[h].quantization = output.quantization
        model.subgraphs[graph].tensors[c].type = .int16
        model.subgraphs[graph].tensors[c].quantization = Quantization(scale: plan.cellScale(of: index), zeroPoint: 0)
        let name = original.subgraphs[graph].tensors[before.outputs[0]].shortName
        op.intermediates = (0..<5).map { place in
            var tensor = Tensor(name: "\(name)_intermediate\(place)", type: .float32, shape: [0])
            if place == 4 { (tensor.type, tensor.quantization) = (.int8, hidden.quantization) }
            return model.add(tensor, to: graph)
        }
    }
}

extension QuantizationPlan {
    /// Cell states are given at least the range [-16, 16): a bit more than calibration may find costs nothing.
    private static let cellBits = 4...6

    /// The scale of an LSTM layer's cell state: a power of two.
    func cellScale(of op: Int) -> Float {
        let cell = model.subgraphs[graph].operators[op].inputs[UnidirectionalSequenceLSTM.Input.cellState]
        let range = ranges[cell].map { max(-$0.min, $0.max) } ?? 0
        let bits = Self.cellBits.first { Float(1 << $0) > range } ?? Self.cellBits.upperBound
        return Float(sign: .plus, exponent: bits - 15, significand: 1)
    }
}
