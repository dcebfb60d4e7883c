import Kernels
import Model
import Operators

extension Compiler {
    /// What follows a layer element by element (a residual sum, an activation that is no clamp) is done by the layer's
    /// kernel while its results are in the processor's caches. The bits stay.
    mutating func fuseFollowing(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast else { return }
        let weights = loaded.weights
        rewrite(graph, &items) { matcher, index, last in
            guard last.inputs.count <= 2, last.inputs.allSatisfy({ $0 >= 0 }), last.outputs.count == 1,
                !layers.contains(last.definition.code), last.inputs.count == 1 || last.inputs[0] != last.inputs[1]
            else { return nil }
            // The layer nearest to the operator: what a farther one reads would be kept longer.
            let isSecond = last.inputs.count == 2 && matcher.age(last.inputs[1]) > matcher.age(last.inputs[0])
            for order in last.inputs.indices {
                let place = isSecond ? 1 - order : order
                matcher.begin(index)
                let middle = last.inputs[place]
                guard let layer = matcher.take(middle, layers), layer.definition.custom != FinishedLayer.name,
                    layer.inputs.allSatisfy({ $0 < 0 || !graph.tensors[$0].isVariable })
                else { continue }
                let others = last.inputs.count == 2 ? [last.inputs[1 - place]] : []
                let finished = FinishedLayer(
                    .init(layer.definition, name: layer.name, version: layer.version, options: layer.options),
                    inputCount: layer.inputs.count,
                    .init(last.definition, name: last.name, version: last.version, options: last.options),
                    middle: graph.tensors[middle], place: place, inputs: graph.infos(last.inputs),
                    output: graph.tensors[last.outputs[0]], weights: weights)
                guard let finished,
                    let replaced = matcher.replace(
                        finished.definition, name: layer.name + "+" + last.name, inputs: layer.inputs + others)
                else { continue }
                return replaced
            }
            return nil
        }
    }
}

private let layers: [BuiltinOperator] = [.conv2D, .depthwiseConv2D, .fullyConnected]
