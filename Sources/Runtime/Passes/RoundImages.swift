import Kernels
import Model
import Operators

extension Compiler {
    /// Where layers compute in bfloat16, what only such layers read is stored in it: half the memory is written and read,
    /// and most of them would round it anyway. `items` read all that they compute, but for outputs and what is kept.
    /// Not optimized: it runs once for each compilation, and small counts.
    @_optimize(none)
    func roundImages(_ graph: inout Graph, _ items: [Item]) {
        guard precision == .bfloat16, arithmetic == .fast, BfloatConvolution.isFast else { return }
        var isRounded = [Bool](repeating: false, count: graph.tensors.count)
        var reads: [Bool] = []
        for item in items {
            let rounding = rounding(item, graph)
            reads.append(rounding.input)
            guard item.nodes.count == 1, rounding.input || rounding.output else { continue }
            // What follows a layer takes floats, and reads and writes results in their place; a second one has its own.
            for (place, output) in item.outputs.enumerated() where !graph.isKept[output] {
                isRounded[output] = place > 0 || rounding.output && item.outputs.count == 1
            }
        }
        for output in graph.outputs { isRounded[output] = false }
        var isSettled = false
        while !isSettled {
            isSettled = true
            for (index, item) in items.enumerated() {
                let moves = reads[index] && (item.code.map { moving.contains($0) } ?? false)
                let isWhole =
                    !moves || item.inputs.allSatisfy { $0 >= 0 && isRounded[$0] } && isRounded[item.outputs[0]]
                for (place, input) in item.inputs.enumerated() where input >= 0 && isRounded[input] {
                    guard !reads[index] || !isWhole || place > 0 && !moves else { continue }
                    (isRounded[input], isSettled) = (false, false)
                }
                if !isWhole, isRounded[item.outputs[0]] { (isRounded[item.outputs[0]], isSettled) = (false, false) }
            }
        }
        for tensor in isRounded.indices where isRounded[tensor] { graph.tensors[tensor].type = .bfloat16 }
    }

    /// Which images of an operator can be bfloat16; of one that moves or pools numbers, all of them or none.
    private func rounding(_ item: Item, _ graph: Graph) -> RoundedImages {
        var rounding = RoundedImages()
        guard let code = item.code, let input = graph.info(item.inputs.first ?? -1), input.type == .float32 else {
            return rounding
        }
        let node = item.nodes[0]
        if moving.contains(code) {
            let isPlain = item.outputs.count == 1 && node.options.int(code == .concatenation ? 1 : 5) == 0
            (rounding.input, rounding.output) = (isPlain, isPlain)
        } else if layers.contains(code), item.inputs.count > 1, graph.info(item.inputs[1])?.type == .float32 {
            let part = LayerPart(node.definition, name: node.name, version: node.version, options: node.options)
            rounding = part.rounding(
                inputs: graph.infos(node.inputs), outputs: node.outputs.map { graph.tensors[$0] },
                weights: loaded.weights)
        }
        return rounding
    }
}

private let layers: [BuiltinOperator] = [.conv2D, .depthwiseConv2D, .fullyConnected]
private let moving: [BuiltinOperator] = [.concatenation, .maxPool2D, .averagePool2D]
