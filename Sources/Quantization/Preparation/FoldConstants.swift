import Kernels
import Model
import Operators

extension Model {
    /// Computes the operators all of whose inputs are constants and whose outputs are float32: dequantized float16
    /// weights, densified sparse ones, the arithmetic of unfolded normalizations. An operator that the library cannot
    /// run stays where it is.
    mutating func foldConstants() throws(Failure) {
        let pool = try ThreadPool(threads: 1)
        let weights = try PackedWeightCache()
        try decodeSparseConstants()
        for graph in subgraphs.indices {
            var kept: [Operator] = []
            for op in subgraphs[graph].operators {
                if let results = evaluate(op, graph, pool, weights) {
                    replaceOutputs(of: op, graph, with: results)
                } else {
                    kept.append(op)
                }
            }
            subgraphs[graph].operators = kept
        }
    }

    /// Constants in the sparse encoding, in full: operators know dense ones only.
    private mutating func decodeSparseConstants() throws(Failure) {
        for graph in subgraphs.indices {
            for index in subgraphs[graph].tensors.indices {
                let tensor = subgraphs[graph].tensors[index]
                guard let sparsity = tensor.sparsity, let data = constant(graph, index),
                    case .sound(let layout) = sparsity.layout(shape: tensor.shape)
                else { continue }
                buffers.append(Buffer(try layout.densify(data, type: tensor.type)))
                subgraphs[graph].tensors[index].buffer = buffers.count - 1
                subgraphs[graph].tensors[index].sparsity = nil
            }
        }
    }

    private func evaluate(
        _ op: Operator, _ graph: Int, _ pool: ThreadPool, _ weights: PackedWeightCache
    ) -> [TensorInfo]? {
        let tensors = subgraphs[graph].tensors
        let isDensify = operatorCodes[op.opcode].builtin == .densify
        guard !op.inputs.isEmpty,
            op.outputs.allSatisfy({ $0 >= 0 && (isDensify || tensors[$0].type == .float32) }),
            op.inputs.allSatisfy({ $0 < 0 || constant(graph, $0) != nil }),
            !subgraphs[graph].outputs.contains(where: op.outputs.contains),
            let definition = OperatorRegistry.definition(operatorCodes[op.opcode])
        else { return nil }
        let inputs: [TensorInfo?] = op.inputs.map { $0 < 0 ? nil : info(graph, $0) }
        let outputs = op.outputs.map { info(graph, $0) }
        guard isWorthFolding(operatorCodes[op.opcode].builtin, inputs, outputs) else { return nil }
        let evaluation = Evaluation(
            definition, version: operatorCodes[op.opcode].version, options: op.options,
            customOptions: op.customOptions, pool: pool, weights: weights)
        do throws(Failure) { return try evaluation.evaluate(inputs, outputs: outputs) } catch { return nil }
    }

    /// A constant that is repeated or filled stays an operator: its result could be any size.
    private func isWorthFolding(_ code: BuiltinOperator, _ inputs: [TensorInfo?], _ outputs: [TensorInfo]) -> Bool {
        if code == .dequantize || code == .densify { return true }
        let before = inputs.reduce(0) { $0 + ($1?.count ?? 0) }
        let after = outputs.reduce(0) { $0 + $1.count }
        return after <= before
    }

    private func info(_ graph: Int, _ tensor: Int) -> TensorInfo {
        let data = constant(graph, tensor)
        let tensor = subgraphs[graph].tensors[tensor]
        return TensorInfo(
            name: tensor.name, type: tensor.type, shape: tensor.shape, quantization: tensor.quantization,
            constant: data, isVariable: tensor.isVariable)
    }

    private mutating func replaceOutputs(of op: Operator, _ graph: Int, with results: [TensorInfo]) {
        for (tensor, result) in zip(op.outputs, results) {
            buffers.append(Buffer(result.constant))
            subgraphs[graph].tensors[tensor].buffer = buffers.count - 1
            subgraphs[graph].tensors[tensor].shape = result.shape
        }
    }
}
