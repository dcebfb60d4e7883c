import Kernels
import Model
import Operators

extension Compiler {
    // All measured. Between two layers that are joined lies at least so much, and in a cascade at least so much in all;
    // half of it is enough for several layers of which none copies its rows first.
    private static let leastBytes = 256 << 10
    private static let leastOfAll = 1 << 20
    /// The weights of a layer that is joined pass by for every few lines.
    private static let mostWeightBytes = 256 << 10
    private static let mostStages = 4

    /// Float convolutions one after the other, with large images in between, run together, a few lines at a time. The
    /// bits stay.
    mutating func fuseCascades(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast else { return }
        let compiler = self
        rewrite(graph, &items, endingWith: [.conv2D], fromEnd: true) { matcher, index, last in
            guard last.inputs[0] >= 0 else { return nil }
            var (stages, nodes) = compiler.stages(endingWith: last, graph, matcher)
            while nodes.count > 1 {
                let between = stages.dropLast().reduce(0) { $0 + $1.stage.imageBytes }
                let isLight = nodes.count > 2 && !stages.contains { $0.stage.gathersRows }
                guard between >= (isLight ? Self.leastOfAll / 2 : Self.leastOfAll) else { return nil }
                if let cascade = CascadedLayers(stages.map { $0.stage }, threadCount: compiler.threadCount) {
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

    /// Layers that follow one another, each reading nothing but what the one before it has computed, and nobody else
    /// that.
    private func stages(
        endingWith last: Node, _ graph: Graph, _ matcher: borrowing Matcher
    ) -> (stages: [LayerStage], nodes: [Node]) {
        var (stages, nodes): ([LayerStage], [Node]) = ([], [])
        var next: Node? = last
        while let node = next, nodes.count < Self.mostStages,
            nodes.isEmpty || isJoinable(node.outputs[0], graph, matcher)
        {
            let part = LayerPart(node.definition, name: node.name, version: node.version, options: node.options)
            // A layer that is not joined to another is not prepared here.
            guard !nodes.isEmpty || isJoinable(node.inputs[0], graph, matcher),
                let stage = part.stage(
                    inputs: graph.infos(node.inputs), output: graph.tensors[node.outputs[0]], precision: precision,
                    threadCount: threadCount, autotune: autotune, weights: loaded.weights),
                stage.stage.weightBytes <= Self.mostWeightBytes, nodes.isEmpty || stage.operand < 0
            else { break }
            stages.insert(stage, at: 0)
            nodes.insert(node, at: 0)
            next = matcher.peek(node.inputs[0], cascadable)
        }
        // The product of what a depthwise layer has computed stays with it, and with what comes before.
        if nodes.count > 2, nodes[0].definition.code == .conv2D, next?.definition.code == .depthwiseConv2D,
            isJoinable(nodes[0].inputs[0], graph, matcher)
        {
            stages.removeFirst()
            nodes.removeFirst()
        }
        return (stages, nodes)
    }

    /// Layers that read bfloat16 and write it are faster by themselves.
    private func isJoinable(_ tensor: Int, _ graph: Graph, _ matcher: borrowing Matcher) -> Bool {
        guard let layer = matcher.peek(tensor, cascadable), let input = graph.info(layer.inputs[0]) else {
            return false
        }
        let types = [input.type, graph.tensors[tensor].type]
        return types.contains(.float32) && types.allSatisfy { $0 == .float32 || $0 == .bfloat16 }
            && matcher.isReadOnce(tensor)
            && graph.byteCount(tensor) >= Self.leastBytes * max(1, graph.tensors[tensor].shape.first ?? 1)
    }
}

private let cascadable: [BuiltinOperator] = [.conv2D, .depthwiseConv2D]
