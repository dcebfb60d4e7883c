import Kernels
import Model
import Operators

extension Compiler {
    /// Results may be this much larger than what they are computed from; beyond, computing at invoke is cheaper than
    /// keeping them. Eight times covers int4 to float32.
    private static let foldingGrowth = 8
    private static let foldingFloor = 1 << 16

    /// Computes the outputs of a node now, if they are the same at every invoke.
    func fold(_ node: Node, _ graph: inout Graph) throws(Failure) -> Bool {
        let inputs = node.inputs.filter { $0 >= 0 }
        let areConstant = !inputs.isEmpty && inputs.allSatisfy { graph.tensors[$0].isConstant }
        guard areConstant || node.definition.readsOnlyShapes, !node.definition.isRandom, node.subgraphs.isEmpty,
            node.outputs.allSatisfy({ graph.tensors[$0].type.bits != nil })
        else { return false }
        if node.definition.isView, graph.byteCount(node.inputs[0]) == graph.byteCount(node.outputs[0]) {
            graph.tensors[node.outputs[0]].constant = graph.tensors[node.inputs[0]].constant
            graph.isShareable[node.outputs[0]] = graph.isShareable[node.inputs[0]]
            return true
        }
        let read = inputs.reduce(0) { $0 + graph.byteCount($1) }
        let written = node.outputs.reduce(0) { $0 + graph.byteCount($1) }
        guard written <= max(read * Self.foldingGrowth, Self.foldingFloor) else { return false }

        try keep(inputs, graph, but: nil)
        if node.outputs.count == 1, areConstant, inputs.allSatisfy({ graph.isShareable[$0] }),
            let source = graph.tensors[inputs[0]].constant
        {
            let output = node.outputs[0]
            let form: Sentence = "folded into \(subgraph).\(output), \(arithmetic == .fast ? "fast" : "reference")"
            if isOnlyPacked(output, graph), node.definition.code == .dequantize, source.identity != 0,
                graph.tensors[inputs[0]].type == .float16, source.count == graph.byteCount(inputs[0])
            {
                graph.tensors[output].constant = Bytes(loaded.weights.widened(source, form: form))
                return true
            }
            let storage = try loaded.weights.derived(source, form: form) { () throws(Failure) in
                try evaluate(node, graph)[0].storage
            }
            graph.tensors[output].constant = Bytes(storage)
            graph.isShareable[output] = true
            return true
        }
        for (output, constant) in zip(node.outputs, try evaluate(node, graph)) {
            graph.tensors[output].constant = constant
        }
        return true
    }

    /// Of a tensor, not a small one, whether layers on the CPU read it as weights, and nobody else does.
    private func isOnlyPacked(_ tensor: Int, _ graph: Graph) -> Bool {
        guard arithmetic == .fast, delegates.isEmpty, graph.byteCount(tensor) >= 1 << 14, !graph.isKept[tensor],
            !graph.outputs.contains(tensor)
        else { return false }
        for index in graph.nodes.indices {
            for (place, input) in graph.nodes[index].inputs.enumerated() where input == tensor {
                guard place == 1, packingLayers.contains(graph.nodes[index].definition.code) else { return false }
            }
        }
        return true
    }

    /// Gives deferred constants, but for a packed one, memory that stays.
    func keep(_ tensors: [Int], _ graph: Graph, but packed: Storage?) throws(Failure) {
        for tensor in tensors where tensor >= 0 {
            if let constant = graph.tensors[tensor].constant, constant.storage !== packed { try constant.keep() }
        }
    }

    private func evaluate(_ node: Node, _ graph: Graph) throws(Failure) -> [Bytes] {
        let evaluation = Evaluation(
            node.definition, version: node.version, options: node.options, customOptions: node.customOptions,
            arithmetic: arithmetic, pool: try ThreadPool(threads: 1), weights: try PackedWeightCache())
        let results = try evaluation.evaluate(
            graph.infos(node.inputs), outputs: node.outputs.map { graph.tensors[$0] })
        let constants = (results ?? []).compactMap { $0.constant }
        guard constants.count == node.outputs.count else {
            throw .execution("\(node.name): could not be computed from its constants")
        }
        return constants
    }
}

private let packingLayers: [BuiltinOperator] = [.conv2D, .depthwiseConv2D, .fullyConnected]
