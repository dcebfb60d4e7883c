import Model

extension Model {
    /// The data of a constant tensor, without what its buffer has beyond; nil if it is computed, an input, or kept in
    /// another file.
    package func constant(_ graph: Int, _ tensor: Int) -> Bytes? {
        guard tensor >= 0 else { return nil }
        let tensor = subgraphs[graph].tensors[tensor]
        guard !tensor.isVariable, tensor.externalBuffer == 0 else { return nil }
        guard let data = data(of: tensor), tensor.sparsity == nil,
            let count = elementCount(tensor.shape), let size = tensor.type.byteCount(count)
        else { return data(of: tensor) }
        return data.slice(offset: 0, count: size)
    }

    /// The numbers of a dense constant float32 tensor; nil if it is not one, or has none.
    package func floats(_ graph: Int, _ tensor: Int) -> [Float]? {
        guard let data = constant(graph, tensor) else { return nil }
        let tensor = subgraphs[graph].tensors[tensor]
        guard tensor.type == .float32, tensor.sparsity == nil, data.count > 0 else { return nil }
        return data.array(of: Float.self)
    }

    /// The index of an operator code, added if it is not there yet.
    package mutating func operatorCode(_ builtin: BuiltinOperator, version: Int) -> Int {
        let code = OperatorCode(builtin, version: version)
        if let index = operatorCodes.firstIndex(of: code) { return index }
        operatorCodes.append(code)
        return operatorCodes.count - 1
    }

    /// Adds a tensor and gives its index in the subgraph.
    package mutating func add(_ tensor: Tensor, to graph: Int) -> Int {
        subgraphs[graph].tensors.append(tensor)
        return subgraphs[graph].tensors.count - 1
    }

    /// Adds a constant like `pattern` with other data (and a name of its own), and gives its index in the subgraph.
    package mutating func addConstant<T: BitwiseCopyable>(
        _ elements: [T], type: TensorType, like pattern: Tensor, suffix: String, quantization: Quantization? = nil,
        to graph: Int
    ) throws(Failure) -> Int {
        buffers.append(Buffer(try Bytes(copying: elements)))
        let tensor = Tensor(
            name: pattern.name + suffix, type: type, shape: pattern.shape, buffer: buffers.count - 1,
            quantization: quantization)
        return add(tensor, to: graph)
    }

    package func code(_ graph: Int, _ op: Int) -> OperatorCode { operatorCodes[subgraphs[graph].operators[op].opcode] }

    /// "model.tflite: operator 3 (CONV_2D)", for messages.
    package func place(_ graph: Int, _ op: Int) -> Sentence {
        "\(origin): operator \(op) (\(code(graph, op).name))" + (subgraphs.count > 1 ? " of subgraph \(graph)" : "")
    }
}

extension Tensor {
    /// The name for a second form of this tensor: converters join the names of everything they fused with ';', which
    /// need not be stored twice.
    package var shortName: String { String(decoding: name.utf8.prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self) }
}

extension String {
    /// Of ASCII letters alone: `lowercased()` would bring 17 KB of Unicode's tables.
    package var lowercaseASCII: String {
        String(decoding: utf8.map { (65...90).contains($0) ? $0 | 32 : $0 }, as: UTF8.self)
    }
}
