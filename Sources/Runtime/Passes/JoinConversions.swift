import Model
import Operators

extension Compiler {
    /// DEQUANTIZE and QUANTIZE back to the same numbers: nothing happens. The bits stay: (q - z) s / s rounds to q - z.
    mutating func joinConversions(_ graph: Graph, _ items: inout [Item]) {
        rewrite(graph, &items, endingWith: [.quantize]) { matcher, _, last in
            guard let first = matcher.take(last.inputs[0], .dequantize) else {
                return nil
            }
            let (before, after) = (graph.tensors[first.inputs[0]], graph.tensors[last.outputs[0]])
            guard before.type == after.type, before.shape == after.shape,
                [.int8, .uint8, .int16].contains(before.type),
                let quantization = before.quantization, quantization.scales.count == 1,
                quantization.scales == after.quantization?.scales,
                quantization.zeroPoints == after.quantization?.zeroPoints
            else { return nil }
            let identity = Node.identity(place: last.place, from: first.inputs[0], to: last.outputs[0])
            return matcher.replace(identity.definition, name: identity.name, inputs: identity.inputs)
        }
    }
}
