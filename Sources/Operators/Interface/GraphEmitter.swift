import Model

/// Appends operators to one subgraph of a model: what a graph transformation is written in. Shapes are inferred as they
/// are emitted, so all shapes of the subgraph must be known. One thread at a time.
package final class GraphEmitter {
    package private(set) var model: Model
    package let subgraph: Int
    /// Small constants that were emitted already.
    private var constants: [(tensor: Int, type: TensorType, shape: [Int], data: Bytes)] = []

    package init(_ model: Model, subgraph: Int = 0) {
        self.model = model
        self.subgraph = subgraph
    }

    package var tensorCount: Int { model.subgraphs[subgraph].tensors.count }
    package var operatorCount: Int { model.subgraphs[subgraph].operators.count }

    /// Tensor `index` of the subgraph.
    package func value(_ index: Int) -> Value {
        let tensor = model.subgraphs[subgraph].tensors[index]
        return Value(graph: self, tensor: index, type: tensor.type, shape: tensor.shape)
    }

    /// The tensor as an operator's shape rule sees it.
    package func info(_ index: Int) -> TensorInfo {
        let tensor = model.subgraphs[subgraph].tensors[index]
        let isInput = model.subgraphs[subgraph].inputs.contains(index)
        let data = isInput || tensor.isVariable ? nil : model.data(of: tensor)
        return TensorInfo(
            name: tensor.name, type: tensor.type, shape: tensor.shape, quantization: tensor.quantization,
            constant: data?.count == 0 ? nil : data, isVariable: tensor.isVariable)
    }

    package func name(_ tensor: Int, _ name: String) { model.subgraphs[subgraph].tensors[tensor].name = name }

    /// Appends an operator and gives its results. `types`: of the results; nil: one with the type of the first input.
    /// `shapes`: of the results, for operators whose rule cannot infer them.
    @inline(never) package func emit(
        _ code: OperatorCode, _ inputs: [Value?], _ options: Options = .none, types: [TensorType]? = nil,
        shapes: [[Int]]? = nil, customOptions: Bytes? = nil
    ) throws(Failure) -> [Value] {
        guard let definition = OperatorRegistry.definition(code) else {
            throw .unsupported("\(model.origin): \(code.name) is not supported")
        }
        let types = types ?? [inputs.first.flatMap { $0?.type } ?? .float32]
        var options = options
        if options.table == .none { options = Options(code.builtin.optionTable, options.fields) }
        let inference = ShapeInference(
            name: code.name, version: code.version, options: options, customOptions: customOptions,
            inputs: inputs.map { $0.map { info($0.tensor) } }, outputCount: types.count,
            statedOutputShapes: shapes ?? types.map { _ in [] })
        guard let inferred = try definition.shapes(inference), inferred.count >= types.count else {
            throw .unsupported("\(model.origin): \(code.name): the shape of its result is not known")
        }
        var outputs: [Value] = []
        for (type, shape) in zip(types, inferred) { outputs.append(add(Tensor(name: "", type: type, shape: shape))) }
        append(
            code, inputs: inputs.map { $0?.tensor ?? -1 }, outputs: outputs.map { $0.tensor }, options, customOptions)
        return outputs
    }

    /// Appends an operator between tensors that are there.
    @inline(never) package func append(
        _ code: OperatorCode, inputs: [Int], outputs: [Int], _ options: Options, _ customOptions: Bytes? = nil
    ) {
        var index = model.operatorCodes.firstIndex(of: code)
        if index == nil {
            model.operatorCodes.append(code)
            index = model.operatorCodes.count - 1
        }
        var op = Operator(opcode: index ?? 0, inputs: inputs, outputs: outputs, options: options)
        op.customOptions = customOptions
        model.subgraphs[subgraph].operators.append(op)
    }

    /// Adds a tensor without data.
    @inline(never) package func add(_ tensor: Tensor) -> Value {
        model.subgraphs[subgraph].tensors.append(tensor)
        return value(tensorCount - 1)
    }

    /// One more result of an operator that is there.
    func addResult(_ tensor: Tensor, toOperator number: Int) -> Value {
        let result = add(tensor)
        model.subgraphs[subgraph].operators[number].outputs.append(result.tensor)
        return result
    }

    /// The operator that computes a tensor, if it has this custom name (nil: none).
    func producer(of tensor: Int, named custom: String?) -> Operator? {
        model.subgraphs[subgraph].operators.last {
            $0.outputs.contains(tensor) && model.operatorCodes[$0.opcode].custom == custom
        }
    }

    @inline(never) package func constant(_ values: [Float], _ shape: [Int]) throws(Failure) -> Value {
        try constant(.float32, shape, Bytes(copying: values))
    }

    /// A vector of indices, axes or sizes.
    @inline(never) package func indices(_ values: [Int]) throws(Failure) -> Value {
        try constant(.int32, [values.count], Bytes(copying: values.map { Int32(truncatingIfNeeded: $0) }))
    }

    @inline(never) package func constant(_ type: TensorType, _ shape: [Int], _ data: Bytes) throws(Failure) -> Value {
        if let known = constants.first(where: { $0.type == type && $0.shape == shape && $0.data == data }) {
            return value(known.tensor)
        }
        model.buffers.append(Buffer(data))
        let added = add(Tensor(name: "", type: type, shape: shape, buffer: model.buffers.count - 1))
        if data.count <= 4096 { constants.append((added.tensor, type, shape, data)) }
        return added
    }

    /// Drops the operators from number `first` on that lead to none of `results`.
    package func dropDead(from first: Int, keeping results: [Int]) {
        var isRead = [Bool](repeating: false, count: tensorCount)
        for result in results + model.subgraphs[subgraph].outputs { isRead[result] = true }
        let operators = model.subgraphs[subgraph].operators
        var staying: [Operator] = []
        for op in operators[first...].reversed() where op.outputs.contains(where: { isRead[$0] }) {
            for input in op.inputs where input >= 0 { isRead[input] = true }
            staying.append(op)
        }
        model.subgraphs[subgraph].operators = operators[..<first] + staying.reversed()
    }

    package func addOutput(_ tensor: Int) { model.subgraphs[subgraph].outputs.append(tensor) }
}
