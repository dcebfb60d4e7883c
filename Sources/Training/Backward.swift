import Model
import Operators

extension Model {
    /// Reverse-mode differentiation of a subgraph: the same model with operators appended that compute the gradients of
    /// the sum of tensor `loss` with respect to `tensors` (float32). The gradients become further outputs, in the order
    /// of `tensors`; `gradients` are their indices, nil for a tensor that the loss does not depend on (no output then).
    /// Operators that lead from none of the tensors to the loss get no backward operators.
    ///
    /// `recomputing`: results of forward operators are not kept for the backward pass, but some, from which the others are
    /// computed a second time (Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016).
    ///
    /// All shapes of the subgraph must be known. Throws `EO_UNSUPPORTED` naming every operator on the way that has no
    /// gradient.
    package func appendingGradients(
        of loss: Int, withRespectTo tensors: [Int], subgraph: Int = 0, recomputing: Bool = false
    ) throws(Failure) -> (model: Model, gradients: [Int?]) {
        let count = subgraphs.indices.contains(subgraph) ? subgraphs[subgraph].tensors.count : 0
        guard let bad = ([loss] + tensors).first(where: { $0 < 0 || $0 >= count }) else {
            var backward = Backward(self, subgraph, loss: loss, tensors)
            return try backward.append(recomputing ? Checkpoints(self, subgraph).segments : [])
        }
        throw .outOfRange("\(origin): there is no tensor \(bad) in subgraph \(subgraph)")
    }
}

private struct Backward {
    let model: Model
    let source: Subgraph
    let loss: Int
    let tensors: [Int]
    let graph: GraphEmitter
    /// Of each tensor of the forward graph: whether it depends on `tensors`, and its gradient as far as it is known.
    var depends: [Bool]
    var gradients: [Value?]
    /// Where the backward pass finds operators and tensors of the forward graph: themselves, or what is computed again.
    var places: [Int]
    var copies: [Int]

    init(_ model: Model, _ subgraph: Int, loss: Int, _ tensors: [Int]) {
        self.model = model
        source = model.subgraphs[subgraph]
        self.loss = loss
        self.tensors = tensors
        graph = GraphEmitter(model, subgraph: subgraph)
        depends = [Bool](repeating: false, count: source.tensors.count)
        gradients = [Value?](repeating: nil, count: source.tensors.count)
        places = Array(source.operators.indices)
        copies = Array(source.tensors.indices)
    }

    /// `segments`: of operators that are computed again.
    mutating func append(_ segments: [Range<Int>]) throws(Failure) -> (model: Model, gradients: [Int?]) {
        var segments = segments
        let path = try path()
        let first = graph.operatorCount
        let seed = graph.value(loss)
        gradients[loss] = try seed.scalar(1).broadcast(to: seed.shape)
        for index in path.reversed() {
            if let last = segments.last, last.contains(index) { `repeat`(segments.removeLast()) }
            try differentiate(index)
        }
        var results: [Int?] = []
        for tensor in tensors { results.append(try result(tensor, results)) }
        graph.dropDead(from: first, keeping: results.compactMap { $0 })
        for result in results { if let result { graph.addOutput(result) } }
        return (graph.model, results)
    }

    /// The operators that lead from `tensors` to the loss.
    private mutating func path() throws(Failure) -> [Int] {
        for tensor in tensors { depends[tensor] = true }
        var path: [Int] = []
        for (index, op) in source.operators.enumerated() where op.inputs.contains(where: { $0 >= 0 && depends[$0] }) {
            guard op.outputs.contains(where: { source.tensors[$0].type.isReal }) else { continue }
            for output in op.outputs where source.tensors[output].type.isReal { depends[output] = true }
            path.append(index)
        }
        var leads = [Bool](repeating: false, count: source.tensors.count)
        leads[loss] = true
        var missing: [String] = []
        var kept: [Int] = []
        for index in path.reversed() {
            let op = source.operators[index]
            guard op.outputs.contains(where: { leads[$0] }) else { continue }
            for input in op.inputs where input >= 0 && depends[input] { leads[input] = true }
            kept.append(index)
            let code = model.operatorCodes[op.opcode]
            if OperatorRegistry.definition(code)?.gradient == nil {
                missing.append("operator " + index.description + ", " + code.name)
            }
        }
        guard missing.isEmpty else {
            let list = missing.reversed().joined(separator: "; ")
            throw .unsupported("\(model.origin): cannot be trained, these have no gradient: \(list)")
        }
        return kept.reversed()
    }

    /// Computes the results of a segment once more. What the gradients do not read is dropped later.
    private mutating func `repeat`(_ segment: Range<Int>) {
        for index in segment {
            let op = source.operators[index]
            let code = model.operatorCodes[op.opcode]
            let hasState = op.inputs.contains { $0 >= 0 && source.tensors[$0].isVariable }
            if hasState || OperatorRegistry.definition(code)?.isRandom != false { continue }
            let inputs = op.inputs.map { $0 < 0 ? $0 : copies[$0] }
            for output in op.outputs { copies[output] = graph.add(source.tensors[output]).tensor }
            places[index] = graph.operatorCount
            graph.append(code, inputs: inputs, outputs: op.outputs.map { copies[$0] }, op.options, op.customOptions)
        }
    }

    private mutating func differentiate(_ index: Int) throws(Failure) {
        let op = source.operators[index]
        let code = model.operatorCodes[op.opcode]
        guard op.outputs.contains(where: { gradients[$0] != nil }),
            let gradient = OperatorRegistry.definition(code)?.gradient
        else { return }
        var context: GradientContext {
            GradientContext(
                places[index], name: code.name, options: op.options, customOptions: op.customOptions,
                inputs: op.inputs.map { $0 < 0 ? nil : graph.value(copies[$0]) },
                outputs: op.outputs.map { graph.value(copies[$0]) },
                outputGradients: op.outputs.map { gradients[$0] },
                isNeeded: op.inputs.map { $0 >= 0 && depends[$0] })
        }
        let results = try gradient(context)
        for (input, result) in zip(op.inputs, results) where input >= 0 && depends[input] {
            guard let result else { continue }
            let part = try result.sum(to: source.tensors[input].shape)
            gradients[input] = if let known = gradients[input] { try known + part } else { part }
        }
    }

    /// The tensor that becomes the output for `tensor`: its gradient, or a copy where that is something else too.
    private func result(_ tensor: Int, _ earlier: [Int?]) throws(Failure) -> Int? {
        guard var gradient = gradients[tensor] else { return nil }
        if gradient.tensor < source.tensors.count || earlier.contains(gradient.tensor) || tensor == loss {
            gradient = try gradient.apply(.reshape, graph.indices(gradient.shape))
        }
        graph.name(gradient.tensor, "gradient of " + source.tensors[tensor].name)
        return gradient.tensor
    }
}

extension TensorType {
    /// Values that gradients flow through.
    var isReal: Bool { self == .float32 || self == .float16 }
}
