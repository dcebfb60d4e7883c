import Kernels
import Model
import Operators
import Runtime

extension SimulatedModel {
    /// The plan with the ranges and scales that training arrived at, for the trained weights: what
    /// `QuantizationPlan.quantized` then writes is what was simulated. `trained` is the plan's model with other constants;
    /// `state` gives the values of a state tensor. Ranges and scales must be finite.
    package func plan(
        for trained: Model, state: (_ tensor: Int) throws(Failure) -> [Float]
    ) throws(Failure) -> QuantizationPlan {
        var plan = try plan.applied(to: trained)
        for activation in activations {
            let values = try state(activation.state)
            guard let before = plan.scales.parameters(activation.group), values.allSatisfy({ $0.isFinite }) else {
                throw .execution(
                    "\(trained.origin): the range of '\(name(activation.group))' is not finite after training")
            }
            var after = before
            if activation.method == .learned {
                after.scale = Real.exp(values.first ?? 0)
                after.zeroPoint = activation.zeroPoint
                guard after.scale.isNormal else {
                    throw .execution("\(trained.origin): the scale of '\(name(activation.group))' is \(after.scale)")
                }
            } else if values.count == 2 {
                after = Parameters(ValueRange(values[0], values[1]), type: before.type, bits: before.bits)
            }
            plan.set(after, ofGroup: activation.group)
        }
        for weights in weightScales {
            let scales = try state(weights.state).map { Real.exp($0) }
            guard scales.allSatisfy({ $0.isFinite && $0 > 0 }) else {
                throw .execution("\(trained.origin): the scales of a layer's weights are not positive after training")
            }
            plan.set(weightScales: scales, of: weights.tensor)
        }
        return plan
    }

    private func name(_ tensor: Int) -> String { plan.model.subgraphs[plan.graph].tensors[tensor].name }

    /// The values of a state tensor before training.
    package func initialState(_ tensor: Int) -> [Float] { model.floats(plan.graph, tensor) ?? [] }

    /// The simulation with trained weights and states.
    package func model(
        for trained: Model, state: (_ tensor: Int) throws(Failure) -> [Float]
    ) throws(Failure) -> Model {
        var result = model
        for tensor in trained.subgraphs[plan.graph].tensors.indices {
            guard let data = trained.constant(plan.graph, tensor) else { continue }
            result.buffers.append(Buffer(data))
            result.subgraphs[plan.graph].tensors[tensor].buffer = result.buffers.count - 1
        }
        for tensor in states {
            result.buffers.append(Buffer(try Bytes(copying: try state(tensor))))
            result.subgraphs[plan.graph].tensors[tensor].buffer = result.buffers.count - 1
        }
        return result
    }

    /// All state tensors.
    package var states: [Int] { activations.map { $0.state } + weightScales.map { $0.state } }

    /// The integer model of the untrained one.
    package func quantized() throws(Failure) -> Model {
        try plan(for: plan.model) { (tensor) throws(Failure) in initialState(tensor) }.quantized()
    }
}
