import Model
import Operators

/// Fields of the schema's StableHLOCompositeOptions.
enum CompositeField {
    static func decomposition(_ op: Operator) -> Int { op.options.int(1) }
}

extension GraphBuilder {
    /// Puts the operators of a composite's decomposition in its place. `tensors`: what the operator's tensors are in the
    /// graph.
    mutating func inline(_ op: Operator, place: Int, depth: Int, tensors: [Int]) throws(Failure) {
        let model = loaded.model
        let index = CompositeField.decomposition(op)
        guard model.subgraphs.indices.contains(index), depth < model.subgraphs.count else {
            throw .invalidModel("\(model.origin): operator \(place), STABLEHLO_COMPOSITE, has no usable decomposition")
        }
        let body = model.subgraphs[index]
        guard body.inputs.count == op.inputs.count, body.outputs.count == op.outputs.count else {
            throw .invalidModel(
                "\(model.origin): operator \(place), STABLEHLO_COMPOSITE, has \(op.inputs.count) inputs and"
                    + " \(op.outputs.count) outputs, its decomposition \(body.inputs.count) and \(body.outputs.count)")
        }
        let first = graph.tensors.count
        try addTensors(of: body)
        var names = Array(first..<first + body.tensors.count)
        for (inner, outer) in zip(body.inputs, op.inputs) { names[inner] = outer < 0 ? -1 : tensors[outer] }
        // A result that the decomposition computes gets the outer name at once; one that it only passes on is a view.
        let computed = Set(body.operators.flatMap { $0.outputs })
        var passedOn: [(inner: Int, outer: Int)] = []
        for (inner, outer) in zip(body.outputs, op.outputs) {
            if computed.contains(inner), names[inner] == first + inner {
                names[inner] = tensors[outer]
            } else {
                passedOn.append((inner, tensors[outer]))
            }
        }
        for inner in body.operators {
            let code = model.operatorCodes[inner.opcode]
            if code.builtin == .stablehloComposite {
                try inline(inner, place: place, depth: depth + 1, tensors: names)
            } else {
                try addNode(inner, code, place: place, isInlined: true, tensors: names)
            }
        }
        for (inner, outer) in passedOn {
            graph.nodes.append(.identity(place: place, from: names[inner], to: outer))
        }
    }
}

extension Node {
    /// Gives a tensor a second name.
    static func identity(place: Int, from: Int, to: Int) -> Node {
        let definition = OperatorDefinition(.reshape, maxVersion: 1, isView: true) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            throw op.unsupported("a view is not prepared")
        }
        return Node(
            place: place, isInlined: true, name: "IDENTITY", version: 1, definition: definition, inputs: [from],
            outputs: [to])
    }
}
