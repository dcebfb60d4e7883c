import Kernels
import Model
import Operators

/// Makes the graph of one subgraph or signature of a model.
struct GraphBuilder {
    let loaded: LoadedModel
    let subgraph: Int
    var graph = Graph(
        tensors: [], hasShape: [], isShareable: [], nodes: [], inputs: [], outputs: [], isKept: [])
    /// The tensors that VAR_HANDLE computes, by the names of their variables.
    var handles: [(tensor: Int, name: String)] = []

    private var model: Model { loaded.model }

    init(_ loaded: LoadedModel, subgraph: Int) throws(Failure) {
        self.loaded = loaded
        self.subgraph = subgraph
        guard loaded.model.subgraphs.indices.contains(subgraph) else {
            throw .outOfRange("\(loaded.model.origin): there is no subgraph \(subgraph)")
        }
    }

    /// `inputs` and `outputs` are tensors of the subgraph.
    mutating func build(inputs: [Int], outputs: [Int]) throws(Failure) -> Graph {
        try checkOperators()
        let source = model.subgraphs[subgraph]
        try addTensors(of: source)
        try addNodes(of: source)
        for input in inputs { graph.tensors[input].constant = nil }
        graph.inputs = inputs
        graph.outputs = outputs
        try checkOrder()
        return graph
    }

    // MARK: Tensors

    mutating func addTensors(of source: Subgraph) throws(Failure) {
        // Not of decompositions: there may be many, and what is reserved grows by no more than that.
        if graph.tensors.isEmpty { graph.tensors.reserveCapacity(source.tensors.count) }
        for tensor in source.tensors {
            var info = TensorInfo(tensor)
            info.blockScales = try blockScales(tensor, in: source)
            if !tensor.isVariable { info.constant = try constant(tensor) }
            graph.tensors.append(info)
            graph.hasShape.append(true)
            graph.isShareable.append(info.isConstant)
            graph.isKept.append(false)
        }
    }

    /// The data of a constant tensor: dense, and aligned to its elements.
    private func constant(_ tensor: Tensor) throws(Failure) -> Bytes? {
        guard let data = model.data(of: tensor), data.count > 0 else { return nil }
        guard let expected = tensor.type.byteCount(elementCount(tensor.shape) ?? 0) else { return data }
        if let sparsity = tensor.sparsity { return try dense(tensor, data, sparsity) }
        guard let exact = data.slice(offset: 0, count: expected) else {
            throw .invalidModel(
                "\(model.origin): tensor '\(tensor.name)' needs \(expected) bytes, its buffer has \(data.count)")
        }
        let alignment = max(1, (tensor.type.bits ?? 8) / 8)
        guard unsafe UInt(bitPattern: exact.baseAddress) % UInt(min(alignment, 8)) != 0 else { return exact }
        return Bytes(
            try loaded.weights.derived(exact, form: "aligned") { () throws(Failure) in
                try exact.copied().storage
            })
    }

    private func dense(_ tensor: Tensor, _ data: Bytes, _ sparsity: Sparsity) throws(Failure) -> Bytes {
        guard case .sound(let layout) = sparsity.layout(shape: tensor.shape) else {
            throw .invalidModel("\(model.origin): tensor '\(tensor.name)' has an unusable sparse layout")
        }
        return Bytes(
            try loaded.weights.derived(data, form: "dense") { () throws(Failure) in
                try layout.densify(data, type: tensor.type).storage
            })
    }

    /// Blockwise scales are a tensor of their own.
    private func blockScales(_ tensor: Tensor, in source: Subgraph) throws(Failure) -> [Float]? {
        guard case .blockwise(let index, _, _) = tensor.quantization?.details, source.tensors.indices.contains(index),
            let data = try constant(source.tensors[index])
        else { return nil }
        return FloatValues.read(data, source.tensors[index].type)
    }

    // MARK: Operators

    private mutating func addNodes(of source: Subgraph) throws(Failure) {
        let own = Array(source.tensors.indices)
        graph.nodes.reserveCapacity(source.operators.count)
        for (place, op) in source.operators.enumerated() {
            let code = model.operatorCodes[op.opcode]
            if code.builtin == .stablehloComposite {
                try inline(op, place: place, depth: 0, tensors: own)
            } else {
                try addNode(op, code, place: place, isInlined: false, tensors: own)
            }
        }
    }

    mutating func addNode(
        _ op: Operator, _ code: OperatorCode, place: Int, isInlined: Bool, tensors: [Int]
    ) throws(Failure) {
        guard try !addResource(op, code, place: place, tensors: tensors) else { return }
        guard let definition = OperatorRegistry.definition(code) ?? ControlFlow.definition(code.builtin) else {
            throw .unsupported("\(model.origin): operator \(place), \(code.name), is not supported")
        }
        graph.nodes.append(
            Node(
                place: place, isInlined: isInlined, name: code.name, version: code.version, definition: definition,
                options: op.options, customOptions: op.customOptions,
                inputs: op.inputs.map { $0 < 0 ? -1 : tensors[$0] },
                outputs: op.outputs.map { tensors[$0] },
                intermediates: op.intermediates.map { $0 < 0 ? -1 : tensors[$0] },
                subgraphs: ControlFlow.definition(code.builtin) == nil ? [] : op.options.subgraphs))
    }

    /// Every tensor that is read is an input, a constant, a variable, or the result of an earlier operator, and every
    /// result has one producer.
    private mutating func checkOrder() throws(Failure) {
        var isReady = graph.tensors.map { $0.isConstant || $0.isVariable || elementCount($0.shape) == 0 }
        for input in graph.inputs { isReady[input] = true }
        var isProduced = [Bool](repeating: false, count: graph.tensors.count)
        for input in graph.inputs { isProduced[input] = true }
        for node in graph.nodes {
            for input in node.inputs where input >= 0 && !isReady[input] {
                throw .invalidModel(
                    "\(model.origin): operator \(node.place), \(node.name), reads tensor '\(graph.tensors[input].name)'"
                        + " before anything computes it")
            }
            for output in node.outputs {
                guard output >= 0, !isProduced[output], !graph.tensors[output].isVariable else {
                    throw .invalidModel(
                        "\(model.origin): operator \(node.place), \(node.name), writes a tensor that is an input, a"
                            + " variable, or the result of another operator")
                }
                isProduced[output] = true
                isReady[output] = true
                graph.tensors[output].constant = nil
            }
        }
        for output in graph.outputs where !isReady[output] {
            throw .invalidModel("\(model.origin): output '\(graph.tensors[output].name)' is computed by no operator")
        }
    }
}
