import Model

extension Model {
    /// Makes RELU, RELU6 and RELU_N1_TO_1 part of the operator before them, where nobody else reads what that operator
    /// writes.
    mutating func fuseActivations() {
        for graph in subgraphs.indices {
            var op = 0
            while op < subgraphs[graph].operators.count {
                if !fuseActivation(graph, op) { op += 1 }
            }
        }
    }

    private mutating func fuseActivation(_ graph: Int, _ op: Int) -> Bool {
        let subgraph = subgraphs[graph]
        let second = subgraph.operators[op]
        guard let activation = FusedActivation(code(graph, op).builtin), second.inputs.count == 1,
            second.outputs.count == 1
        else { return false }
        let uses = Uses(subgraph)
        guard let producer = uses.producer(of: second.inputs[0]), uses.onlyConsumer(of: second.inputs[0]) == op,
            subgraph.operators[producer].outputs.count == 1,
            subgraph.operators[producer].activation(code(graph, producer).builtin) == FusedActivation.none,
            subgraph.tensors[second.inputs[0]].type == .float32
        else { return false }
        subgraphs[graph].operators[producer].setActivation(activation, code(graph, producer).builtin)
        subgraphs[graph].operators[producer].outputs = second.outputs
        raiseTransposeConvolution(graph, producer)
        subgraphs[graph].operators.remove(at: op)
        return true
    }
}
