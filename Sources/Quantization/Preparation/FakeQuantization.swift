import Model

extension Model {
    /// FAKE_QUANT, which tools for quantization-aware training leave in float files, becomes what it says: the range of
    /// the tensor it reads, in the place that the format has for ranges. One that writes an output of the model and
    /// reads something else of it stays.
    mutating func takeFakeQuantization() {
        for graph in subgraphs.indices {
            var op = 0
            while op < subgraphs[graph].operators.count {
                if code(graph, op).builtin != .fakeQuant || !takeRange(graph, op) { op += 1 }
            }
        }
    }

    private mutating func takeRange(_ graph: Int, _ index: Int) -> Bool {
        let op = subgraphs[graph].operators[index]
        let (least, most) = (op.options.float(0), op.options.float(1))
        guard op.inputs.count == 1, op.outputs.count == 1, op.inputs[0] >= 0, op.outputs[0] >= 0, least < most,
            (most - least).isFinite
        else { return false }
        var (source, result) = (op.inputs[0], op.outputs[0])
        let uses = Uses(subgraphs[graph])
        if uses.isOutput(result) {
            guard let producer = uses.producer(of: source), !uses.isOutput(source) else { return false }
            for place in subgraphs[graph].operators[producer].outputs.indices
            where subgraphs[graph].operators[producer].outputs[place] == source {
                subgraphs[graph].operators[producer].outputs[place] = result
            }
            (source, result) = (result, source)
        }
        for reader in subgraphs[graph].operators.indices {
            for place in subgraphs[graph].operators[reader].inputs.indices
            where subgraphs[graph].operators[reader].inputs[place] == result {
                subgraphs[graph].operators[reader].inputs[place] = source
            }
        }
        subgraphs[graph].operators.remove(at: index)
        // Weights are quantized by their own values.
        guard constant(graph, source) == nil else { return true }
        var known = Quantization()
        (known.min, known.max) = ([least], [most])
        subgraphs[graph].tensors[source].quantization = known
        return true
    }
}

extension Tensor {
    /// The range that the file states for a float tensor.
    var statedRange: ValueRange? {
        guard type == .float32, let quantization, quantization.min.count == 1, quantization.max.count == 1,
            quantization.min[0] < quantization.max[0], (quantization.max[0] - quantization.min[0]).isFinite
        else { return nil }
        return ValueRange(Swift.min(quantization.min[0], 0), Swift.max(quantization.max[0], 0))
    }
}
