import Model
import Operators

/// An LSTM layer of integers as it is simulated: weights, biases and peepholes are rounded before it, and it knows all
/// scales, for the cells of each step to compute as the integer layer's do. Training puts them in its place.
extension SimulatedModel {
    private typealias Input = UnidirectionalSequenceLSTM.Input

    /// Where the result of an LSTM layer has its parameters; nil: the operator is another.
    mutating func recurrentGrid(of index: Int) throws(Failure) -> ParameterTensors? {
        plan.recurrentWeights(of: index).isEmpty
            ? nil : try resultGrid(of: original.subgraphs[graph].operators[index])
    }

    /// Gives the layer its rounded weights and its scales. True if its results are in steps of their scale: without a
    /// projection.
    mutating func simulateRecurrent(
        _ op: inout Operator, _ index: Int, _ x: ParameterTensors, _ y: ParameterTensors
    ) throws(Failure) -> Bool {
        let isProjected = op.inputs[Input.projection] >= 0
        let hidden =
            isProjected
            ? try addConstant([IntegerScheme.projectedHiddenScale], like: op.outputs[0], "_hidden_scale") : y.scale
        let cell = try addConstant([plan.cellScale(of: index)], like: op.outputs[0], "_cell_scale")
        op.inputs += [Int](repeating: -1, count: Input.scales - op.inputs.count)
        op.inputs += [x.scale, y.scale, hidden, cell]
        op.inputs += [Int](repeating: -1, count: Input.simulatedCount - op.inputs.count)
        for form in plan.recurrentWeights(of: index) {
            let weights = try quantizedWeights(form, index)
            op.inputs[form.input] = weights.rounded
            let isProjection = form.input == Input.projection
            if !isProjection { op.inputs[Input.weightScales + form.input - Input.inputWeights] = weights.scales }
            guard let bias = form.bias else { continue }
            op.inputs[bias] = try roundedBias(op.inputs[bias], isProjection ? hidden : x.scale, weights.scales)
        }
        for input in Input.peepholes..<Input.bias where op.inputs[input] >= 0 {
            let tensor = op.inputs[input]
            var settings = FakeQuantizationSettings(low: -32767, high: 32767)
            settings.isUnclamped = true
            let name = original.subgraphs[graph].tensors[tensor].shortName
            let scale = model.add(Tensor(name: name + "_scales", type: .float32, shape: [1]), to: graph)
            let rounded = addTensor(like: tensor, "_rounded")
            try append(WeightScales.name, [tensor], [scale], settings)
            try append(FakeQuantize.name, [tensor, scale], [rounded], settings)
            op.inputs[input] = rounded
            op.inputs[Input.weightScales + input - Input.inputWeights] = scale
        }
        return !isProjected
    }
}
