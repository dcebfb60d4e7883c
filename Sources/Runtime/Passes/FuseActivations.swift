import Model
import Operators

extension Compiler {
    /// An activation right after an operator that can apply it itself is applied there. The bits stay: both clamp the
    /// same numbers, because only activations with one quantization on both sides are taken.
    mutating func fuseActivations(_ graph: Graph, _ items: inout [Item]) {
        let counts = graph.readCounts
        var producer = [Int](repeating: -1, count: graph.tensors.count)
        var isGone = [Bool](repeating: false, count: items.count)
        for index in items.indices where items[index].delegate == nil {
            let node = items[index].nodes[0]
            if let activation = FusedActivation(node.definition.code), node.inputs.count == 1,
                producer[node.inputs[0]] >= 0
            {
                let first = producer[node.inputs[0]]
                let result = node.inputs[0]
                if counts[result] == 1,
                    fuse(activation, items[first].nodes[0], result, node.outputs[0], graph, &items[first])
                {
                    decide(node, runner: "fused", reason: "fused into operator \(items[first].nodes[0].place)")
                    isGone[index] = true
                    continue
                }
            }
            if activationField(node) != nil { producer[node.outputs[0]] = index }
        }
        items = items.indices.filter { !isGone[$0] }.map { items[$0] }
    }

    private func fuse(
        _ activation: FusedActivation, _ node: Node, _ before: Int, _ after: Int, _ graph: Graph,
        _ item: inout Item
    ) -> Bool {
        let from = graph.tensors[before]
        let to = graph.tensors[after]
        guard let field = activationField(node), node.options.int(field) == 0, from.type == to.type,
            from.shape == to.shape
        else { return false }
        switch from.type {
        case .float32: break
        case .int8, .uint8, .int16:
            guard from.quantization?.scales == to.quantization?.scales,
                from.quantization?.zeroPoints == to.quantization?.zeroPoints
            else { return false }
        default: return false
        }
        item = Item(node.with(field, .int(Int64(activation.rawValue)), outputs: [after]))
        return true
    }
}

/// Which field of a node's options takes an activation without a change of bits; nil if none does.
private func activationField(_ node: Node) -> Int? {
    switch node.definition.code {
    case .conv2D, .depthwiseConv2D, .fullyConnected, .add, .sub, .mul, .averagePool2D, .maxPool2D:
        FusedActivation.place(in: node.definition.code)?.field
    default: nil
    }
}
