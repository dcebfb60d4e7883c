import Kernels
import Model
import Operators

extension Compiler {
    /// What lies between two layers is worth joining them from this size on: less stays in the second-level cache
    /// anyhow.
    private static let leastBytes = 512 << 10
    /// The weights of a joined layer pass by for every few lines.
    private static let mostWeightBytes = 256 << 10

    /// Float convolutions one after the other, with large images in between, run together, a few lines at a time. The
    /// bits stay.
    mutating func fuseCascades(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast else { return }
        let (precision, threadCount, autotune, weights) = (precision, threadCount, autotune, loaded.weights)
        rewrite(graph, &items, fromEnd: true) { matcher, index, last in
            guard cascadable.contains(last.definition.code), last.inputs[0] >= 0, Self.isLarge(last.inputs[0], graph)
            else { return nil }
            var (stages, nodes): ([LayerStage], [Node]) = ([], [])
            var next: Node? = last
            while let node = next, nodes.count < 8 {
                let part = LayerPart(
                    node.definition, name: node.name, version: node.version, options: node.options)
                guard
                    let stage = part.stage(
                        inputs: graph.infos(node.inputs), output: graph.tensors[node.outputs[0]], precision: precision,
                        threadCount: threadCount, autotune: autotune, weights: weights),
                    stage.stage.weightBytes <= Self.mostWeightBytes, nodes.isEmpty || stage.operand < 0
                else { break }
                stages.insert(stage, at: 0)
                nodes.insert(node, at: 0)
                guard Self.isLarge(node.inputs[0], graph) else { break }
                next = matcher.peek(node.inputs[0], cascadable)
            }
            while nodes.count > 1 {
                if let cascade = CascadedLayers(stages.map { $0.stage }, threadCount: threadCount) {
                    matcher.begin(index)
                    for node in nodes.dropFirst() { _ = matcher.take(node.inputs[0], cascadable) }
                    var inputs = [nodes[0].inputs[0]]
                    if let operand = stages.last?.operand, operand >= 0 { inputs.append(last.inputs[operand]) }
                    let name = nodes.map { $0.name }.joined(separator: ",")
                    if let replaced = matcher.replace(cascade.definition, name: name, inputs: inputs) {
                        return replaced
                    }
                }
                stages.removeFirst()
                nodes.removeFirst()
            }
            return nil
        }
    }

    private static func isLarge(_ tensor: Int, _ graph: Graph) -> Bool {
        graph.tensors[tensor].type == .float32
            && graph.byteCount(tensor) >= leastBytes * max(1, graph.tensors[tensor].shape.first ?? 1)
    }
}

private let cascadable: [BuiltinOperator] = [.conv2D, .depthwiseConv2D]
