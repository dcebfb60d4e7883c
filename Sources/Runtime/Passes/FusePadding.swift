import Model
import Operators

extension Compiler {
    /// A PAD of height and width with zeros right before a convolution becomes part of its padding. The bits stay: what
    /// is padded adds nothing to any sum.
    mutating func fusePadding(_ graph: Graph, _ items: inout [Item]) {
        rewrite(graph, &items) { matcher, _, layer in
            guard layer.definition.code == .conv2D || layer.definition.code == .depthwiseConv2D,
                let pad = matcher.take(layer.inputs[0], .pad), pad.inputs.count == 2,
                let margins = graph.tensors[pad.inputs[1]].integers, margins.count == 8,
                margins[0...1].allSatisfy({ $0 == 0 }), margins[6...7].allSatisfy({ $0 == 0 }),
                margins.allSatisfy({ $0 >= 0 })
            else { return nil }
            let (before, after, filter) = (
                graph.tensors[pad.inputs[0]], graph.tensors[layer.inputs[0]], graph.tensors[layer.inputs[1]]
            )
            // Each window must see some of the image.
            guard before.type == after.type, before.quantization?.scales == after.quantization?.scales,
                before.quantization?.zeroPoints == after.quantization?.zeroPoints, filter.rank == 4,
                margins[2...3].allSatisfy({ $0 < filter.shape[1] }), margins[4...5].allSatisfy({ $0 < filter.shape[2] })
            else { return nil }
            var options = layer.options
            options[ConvolutionMargins.field] = .ints(margins[2...5].map { Int64($0) })
            return matcher.replace(
                layer.definition, name: layer.name, inputs: [pad.inputs[0]] + layer.inputs.dropFirst(),
                options: options, version: layer.version)
        }
    }
}
