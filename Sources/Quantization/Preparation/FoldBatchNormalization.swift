import Model

extension Model {
    /// Folds y = scale * L(x) + offset, given as MUL, DIV, ADD and SUB by constants after a linear operator L, into the
    /// weights and bias of L (Jacob et al., 2018, section 3.2). Weights that somebody else also reads are left alone.
    mutating func foldBatchNormalization() throws(Failure) {
        for graph in subgraphs.indices {
            var op = 0
            while op < subgraphs[graph].operators.count {
                // What was folded may be followed by more: look at the same operator again.
                guard let next = Affine(self, graph, after: op) else {
                    op += 1
                    continue
                }
                try fold(next, graph, into: op)
            }
        }
    }

    private mutating func fold(_ affine: Affine, _ graph: Int, into op: Int) throws(Failure) {
        let code = code(graph, op).builtin
        guard let linear = LinearOperator(code), let values = floats(graph, affine.weights) else { return }
        if let scale = affine.scale {
            let pattern = subgraphs[graph].tensors[affine.weights]
            let layout = WeightLayout(shape: pattern.shape, channelDimension: linear.channelDimension)
            var scaled = values
            for index in scaled.indices {
                scaled[index] = Float(Double(values[index]) * scale[layout.channel(of: index)])
            }
            subgraphs[graph].operators[op].inputs[linear.weights] = try addConstant(
                scaled, type: .float32, like: pattern, suffix: "", to: graph)
        }
        let bias = affine.bias.map { Double($0) }
        var folded = [Float](repeating: 0, count: bias.count)
        for channel in folded.indices {
            folded[channel] = Float(bias[channel] * (affine.scale?[channel] ?? 1) + affine.offset[channel])
        }
        let name = subgraphs[graph].tensors[affine.output].name + "/bias"
        let pattern = Tensor(name: name, type: .float32, shape: [folded.count])
        let tensor = try addConstant(folded, type: .float32, like: pattern, suffix: "", to: graph)
        while subgraphs[graph].operators[op].inputs.count <= linear.bias {
            subgraphs[graph].operators[op].inputs.append(-1)
        }
        subgraphs[graph].operators[op].inputs[linear.bias] = tensor
        subgraphs[graph].operators[op].outputs[0] = affine.output
        subgraphs[graph].operators[op].setActivation(affine.activation, code)
        raiseTransposeConvolution(graph, op)
        subgraphs[graph].operators.remove(at: affine.index)
    }

    /// TRANSPOSE_CONV takes a bias from version 3 on, an activation from version 4 on.
    mutating func raiseTransposeConvolution(_ graph: Int, _ op: Int) {
        let present = code(graph, op)
        guard present.builtin == .transposeConv else { return }
        let inputs = subgraphs[graph].operators[op].inputs
        let hasActivation = subgraphs[graph].operators[op].activation(.transposeConv) != FusedActivation.none
        let needed = hasActivation ? 4 : inputs.count > 3 && inputs[3] >= 0 ? 3 : 1
        guard present.version < needed else { return }
        subgraphs[graph].operators[op].opcode = operatorCode(.transposeConv, version: needed)
    }
}

/// An operator by constants that follows a linear one: y = scale * x + offset for each channel.
private struct Affine {
    let index: Int
    let output: Int
    let activation: FusedActivation
    /// nil: all ones.
    let scale: [Double]?
    let offset: [Double]
    /// The linear operator's weights and present bias.
    let weights: Int
    let bias: [Float]

    /// The affine operator after operator `linear`, if that is linear and the two can become one.
    init?(_ model: Model, _ graph: Int, after linear: Int) {
        let subgraph = model.subgraphs[graph]
        let first = subgraph.operators[linear]
        let code = model.code(graph, linear).builtin
        guard let form = LinearOperator(code), first.activation(code) == FusedActivation.none,
            first.inputs.count > form.weights,
            first.outputs.count == 1, first.outputs[0] >= 0
        else { return nil }
        let uses = Uses(subgraph)
        let middle = first.outputs[0]
        guard let next = uses.onlyConsumer(of: middle), subgraph.operators[next].outputs.count == 1 else { return nil }
        let second = subgraph.operators[next]
        guard
            subgraph.tensors[middle].type == .float32,
            subgraph.tensors[second.outputs[0]].shape == subgraph.tensors[middle].shape,
            model.floats(graph, first.inputs[form.weights]) != nil,
            subgraph.tensors[first.inputs[form.weights]].shape.count > form.channelDimension,
            let activation = second.activation(model.code(graph, next).builtin)
        else { return nil }
        let channels = subgraph.tensors[first.inputs[form.weights]].shape[form.channelDimension]
        guard subgraph.tensors[middle].shape.last == channels,
            let step = Self.step(model, graph, next, on: middle, channels: channels),
            let bias = Self.bias(model, graph, first, form, channels)
        else { return nil }
        if step.scale != nil && !Self.isOnlyReader(model, graph, of: first.inputs[form.weights]) { return nil }
        index = next
        output = second.outputs[0]
        self.activation = activation
        scale = step.scale
        offset = step.offset
        weights = first.inputs[form.weights]
        self.bias = bias
    }

    /// The present bias, zeros if there is none; nil if it is computed.
    private static func bias(
        _ model: Model, _ graph: Int, _ op: Operator, _ form: LinearOperator, _ channels: Int
    ) -> [Float]? {
        guard op.inputs.count > form.bias, op.inputs[form.bias] >= 0 else {
            return [Float](repeating: 0, count: channels)
        }
        guard let bias = model.floats(graph, op.inputs[form.bias]), bias.count == channels else { return nil }
        return bias
    }

    /// True if no other operator of any subgraph reads this constant or another tensor with the same data.
    private static func isOnlyReader(_ model: Model, _ graph: Int, of tensor: Int) -> Bool {
        let buffer = model.subgraphs[graph].tensors[tensor].buffer
        var readings = 0
        for subgraph in model.subgraphs {
            for op in subgraph.operators {
                for input in op.inputs where input >= 0 && subgraph.tensors[input].buffer == buffer { readings += 1 }
            }
        }
        return readings == 1
    }

    private static func step(
        _ model: Model, _ graph: Int, _ op: Int, on x: Int, channels: Int
    ) -> (scale: [Double]?, offset: [Double])? {
        let inputs = model.subgraphs[graph].operators[op].inputs
        guard inputs.count == 2, inputs[0] != inputs[1],
            let constants = perChannel(model, graph, inputs[0] == x ? inputs[1] : inputs[0], channels)
        else { return nil }
        let comesFirst = inputs[0] == x
        let zeros = [Double](repeating: 0, count: channels)
        switch model.code(graph, op).builtin {
        case .add: return (nil, constants)
        case .mul: return (constants, zeros)
        case .sub:
            return comesFirst
                ? (nil, constants.map { -$0 }) : ([Double](repeating: -1, count: channels), constants)
        case .div:
            guard comesFirst, constants.allSatisfy({ $0 != 0 }) else { return nil }
            return (constants.map { 1 / $0 }, zeros)
        default: return nil
        }
    }

    /// The finite constants of a tensor shaped [..., 1, channels] or with one element, spread over the channels.
    private static func perChannel(_ model: Model, _ graph: Int, _ tensor: Int, _ channels: Int) -> [Double]? {
        guard tensor >= 0, let values = model.floats(graph, tensor), values.allSatisfy({ $0.isFinite }) else {
            return nil
        }
        if values.count == 1 { return [Double](repeating: Double(values[0]), count: channels) }
        guard values.count == channels, model.subgraphs[graph].tensors[tensor].shape.last == channels else {
            return nil
        }
        return values.map { Double($0) }
    }
}
