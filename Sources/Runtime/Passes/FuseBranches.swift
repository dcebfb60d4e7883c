import Kernels
import Model
import Operators

extension Compiler {
    /// A scale and shift of a layer's result becomes a second result of the layer. The bits stay.
    mutating func fuseBranches(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast else { return }
        let weights = loaded.weights
        rewrite(graph, &items, endingWith: [.custom]) { matcher, _, last in
            guard last.definition.custom == ScaleShift.name, let layer = matcher.take(last.inputs[0], layers),
                layer.outputs.count == 1
            else { return nil }
            let branched = BranchedLayer(
                LayerPart(layer.definition, name: layer.name, version: layer.version, options: layer.options),
                layerInputs: graph.infos(layer.inputs),
                LayerPart(last.definition, name: last.name, version: last.version, options: last.options),
                inputs: graph.infos(last.inputs), output: graph.tensors[last.outputs[0]], weights: weights)
            guard let branched else { return nil }
            return matcher.branch(branched.definition, name: layer.name + "," + last.name)
        }
    }
}

private let layers: [BuiltinOperator] = [.conv2D, .depthwiseConv2D, .fullyConnected]
