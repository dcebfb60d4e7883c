import Model
import Operators

extension Compiler {
    /// A PAD of height and width right before a convolution or a maximum pool becomes part of its padding. The bits
    /// stay, but for the sign of a zero that is a maximum: what is padded adds nothing to any sum.
    mutating func fusePadding(_ graph: Graph, _ items: inout [Item]) {
        rewrite(graph, &items, endingWith: [.conv2D, .depthwiseConv2D, .maxPool2D]) { matcher, _, layer in
            guard let pad = matcher.take(layer.inputs[0], .pad), pad.inputs.count == 2,
                let numbers = graph.tensors[pad.inputs[1]].integers, numbers.count == 8,
                let margins = Margins(numbers)
            else { return nil }
            let (before, after) = (graph.tensors[pad.inputs[0]], graph.tensors[layer.inputs[0]])
            guard before.type == after.type, before.count > 0,
                before.quantization?.scales == after.quantization?.scales,
                before.quantization?.zeroPoints == after.quantization?.zeroPoints
            else { return nil }
            if layer.definition.code == .maxPool2D {
                // The pool's own padding counts for nothing.
                guard layer.options.padding(0) == .valid,
                    margins.areSmaller(than: layer.options.int(4), layer.options.int(3))
                else { return nil }
            } else {
                let filter = graph.tensors[layer.inputs[1]]
                guard filter.rank == 4, margins.areSmaller(than: filter.shape[1], filter.shape[2]) else { return nil }
            }
            var options = layer.options
            options[Margins.field] = margins.option
            return matcher.replace(
                layer.definition, name: layer.name, inputs: [pad.inputs[0]] + layer.inputs.dropFirst(),
                options: options, customOptions: layer.customOptions, version: layer.version)
        }
    }
}
