import Model
import Operators

extension Compiler {
    /// MUL, DIV, ADD and SUB by constants for each output channel after a float32 layer, such as a batch normalization,
    /// go into its weights and bias. Rounding changes.
    mutating func fuseScaledLayers(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast else { return }
        rewrite(graph, &items, endingWith: affine, fromEnd: true) { matcher, _, last in
            var steps: [(code: BuiltinOperator, constant: Int, comesFirst: Bool)] = []
            var node = last
            while affine.contains(node.definition.code), steps.count < 4 {
                guard steps.isEmpty || matcher.isPlain(node),
                    let place = node.inputs.firstIndex(where: { matcher.isConstant($0) }), node.inputs.count == 2,
                    let before = matcher.take(node.inputs[1 - place], affine + layers),
                    graph.tensors[node.inputs[1 - place]].shape == graph.tensors[node.outputs[0]].shape
                else { return nil }
                steps.insert((node.definition.code, node.inputs[place], place == 0), at: 0)
                node = before
            }
            guard !steps.isEmpty, layers.contains(node.definition.code), node.definition.custom == nil,
                var scaled = ScaledLayer(
                    LayerPart(node.definition, name: node.name, version: node.version, options: node.options),
                    inputs: graph.infos(node.inputs), output: graph.tensors[node.outputs[0]],
                    activation: last.options.int(0))
            else { return nil }
            for step in steps {
                guard scaled.apply(step.code, graph.tensors[step.constant], comesFirst: step.comesFirst) else {
                    return nil
                }
            }
            return matcher.replace(scaled.definition, name: node.name, inputs: node.inputs, version: node.version)
        }
    }
}

private let affine: [BuiltinOperator] = [.mul, .div, .add, .sub]
private let layers: [BuiltinOperator] = [.conv2D, .depthwiseConv2D, .fullyConnected]
