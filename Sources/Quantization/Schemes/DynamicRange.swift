import Model
import Operators

/// Weights stored as int8, activations float: matrix products quantize their input on the fly ("hybrid" kernels).
/// Constants of operators without such a kernel that are still weights (TRANSPOSE_CONV) get a DEQUANTIZE; a table read
/// by GATHER is read as int8 and its rows are converted.
struct DynamicRangeScheme {
    private var model: Model
    private let options: QuantizerOptions
    /// Quantized weights by where they came from: subgraphs that share a float buffer share the int8 one.
    private var stored: [(source: Int, form: Form, buffer: Int, quantization: Quantization)] = []

    private struct Form: Equatable {
        let shape: [Int]
        /// nil: one scale for all.
        let channelDimension: Int?
    }

    static func apply(to model: Model, options: QuantizerOptions) throws(Failure) -> Model {
        var scheme = DynamicRangeScheme(model: model, options: options)
        for graph in model.subgraphs.indices { try scheme.quantize(graph) }
        return scheme.model
    }

    private init(model: Model, options: QuantizerOptions) {
        self.model = model
        self.options = options
    }

    private mutating func quantize(_ graph: Int) throws(Failure) {
        let operators = model.subgraphs[graph].operators
        model.subgraphs[graph].operators = []
        for index in operators.indices {
            var op = operators[index]
            let code = model.operatorCodes[op.opcode]
            if let hybrid = Hybrid(code.builtin), isWeight(graph, op, hybrid.weights) {
                try quantize(&op, hybrid, code, graph)
            } else if code.builtin == .unidirectionalSequenceLstm, let matrices = matrices(graph, op) {
                // One version and option for all weights of the layer; peepholes are int8, too.
                for input in matrices { op.inputs[input] = try weights(op.inputs[input], channelDimension: nil, graph) }
                op.opcode = model.operatorCode(code.builtin, version: max(code.version, 3))
                op.set(UnidirectionalSequenceLSTM.Field.asymmetric, of: op.options.table, to: .int(1))
            } else if code.builtin == .transposeConv, isWeight(graph, op, 1) {
                op.inputs[1] = try dequantized(op.inputs[1], channelDimension: 0, graph)
            } else if code.builtin == .gather, isWeight(graph, op, 0) {
                try gather(op, code, graph)
                continue
            }
            model.subgraphs[graph].operators.append(op)
        }
    }

    /// The inputs of an LSTM layer that are int8 in LiteRT's hybrid kernel: all of them, or none.
    private func matrices(_ graph: Int, _ op: Operator) -> [Int]? {
        typealias Input = UnidirectionalSequenceLSTM.Input
        let places = (Array(Input.inputWeights..<Input.bias) + [Input.projection]).filter {
            $0 < op.inputs.count && op.inputs[$0] >= 0
        }
        let isLarge = places.contains { isWeight(graph, op, $0) }
        let areConstant = places.allSatisfy { model.floats(graph, op.inputs[$0]) != nil }
        return isLarge && areConstant ? places : nil
    }

    private func isWeight(_ graph: Int, _ op: Operator, _ input: Int) -> Bool {
        guard input < op.inputs.count, let data = model.constant(graph, op.inputs[input]), let output = op.outputs.first
        else { return false }
        let tensor = model.subgraphs[graph].tensors[op.inputs[input]]
        return tensor.type == .float32 && tensor.sparsity == nil && data.count / 4 >= max(1, options.minWeightElements)
            && output >= 0 && model.subgraphs[graph].tensors[output].type == .float32
    }

    private mutating func quantize(
        _ op: inout Operator, _ hybrid: Hybrid, _ code: OperatorCode, _ graph: Int
    ) throws(Failure) {
        let original = model.subgraphs[graph].tensors[op.inputs[hybrid.weights]]
        let isClustered =
            hybrid.channelDimension.flatMap { dimension in
                dimension >= original.shape.count
                    ? nil
                    : model.floats(graph, op.inputs[hybrid.weights]).map {
                        wantOneScale($0, shape: original.shape, channelDimension: dimension)
                    }
            } ?? false
        let perTensor =
            hybrid.channelDimension == nil || (options.perTensorWeights || isClustered) && hybrid.allowsPerTensor
        let dimension = perTensor ? nil : hybrid.channelDimension
        op.inputs[hybrid.weights] = try weights(op.inputs[hybrid.weights], channelDimension: dimension, graph)
        let version = perTensor ? hybrid.perTensorVersion : hybrid.perChannelVersion
        op.opcode = model.operatorCode(code.builtin, version: max(code.version, version))
        if let flag = hybrid.asymmetricInputs { op.set(flag.field, of: flag.table, to: .int(1)) }
    }

    /// The int8 form of a constant: a new tensor.
    private mutating func weights(_ tensor: Int, channelDimension: Int?, _ graph: Int) throws(Failure) -> Int {
        let original = model.subgraphs[graph].tensors[tensor]
        let form = Form(shape: original.shape, channelDimension: channelDimension)
        var result = Tensor(name: original.name, type: .int8, shape: original.shape)
        if let known = stored.first(where: { $0.source == original.buffer && $0.form == form }) {
            result.buffer = known.buffer
            result.quantization = known.quantization
            return addOnce(result, to: graph)
        }
        let quantized = try quantizedWeights(tensor, channelDimension: channelDimension, graph)
        model.buffers.append(Buffer(try Bytes(copying: quantized.values)))
        result.buffer = model.buffers.count - 1
        result.quantization = quantized.quantization
        stored.append((original.buffer, form, result.buffer, quantized.quantization))
        return model.add(result, to: graph)
    }

    private func quantizedWeights(
        _ tensor: Int, channelDimension: Int?, _ graph: Int
    ) throws(Failure) -> QuantizedWeights {
        let name = model.subgraphs[graph].tensors[tensor].name
        let shape = model.subgraphs[graph].tensors[tensor].shape
        guard let values = model.floats(graph, tensor) else { throw .invalidModel("tensor '\(name)' is not constant") }
        let dimension = channelDimension ?? 0
        guard dimension < shape.count else {
            throw .invalidModel("\(model.origin): weights '\(name)' have \(shape.count) dimensions, too few")
        }
        let layout =
            channelDimension == nil ? .perTensor : WeightLayout(shape: shape, channelDimension: dimension)
        guard let largest = layout.largest(values) else { throw notFinite(name, model) }
        let scales = symmetricScales(largest: largest)
        return QuantizedWeights(
            values: layout.quantize(values, scales: scales), scales: scales, channelDimension: dimension)
    }

    /// An equal tensor of the subgraph, or a new one.
    private mutating func addOnce(_ tensor: Tensor, to graph: Int) -> Int {
        if let index = model.subgraphs[graph].tensors.firstIndex(of: tensor) { return index }
        return model.add(tensor, to: graph)
    }

    /// A float32 tensor that a DEQUANTIZE computes from the int8 form of a constant.
    private mutating func dequantized(_ tensor: Int, channelDimension: Int, _ graph: Int) throws(Failure) -> Int {
        let dimension = options.perTensorWeights ? nil : channelDimension
        let stored = try weights(tensor, channelDimension: dimension, graph)
        let original = model.subgraphs[graph].tensors[tensor]
        let result = model.add(
            Tensor(name: original.shortName + "_float32", type: .float32, shape: original.shape), to: graph)
        appendDequantize(from: stored, to: result, version: dimension == nil ? 2 : 5, graph)
        return result
    }

    private mutating func gather(_ op: Operator, _ code: OperatorCode, _ graph: Int) throws(Failure) {
        var op = op
        op.inputs[0] = try weights(op.inputs[0], channelDimension: nil, graph)
        let result = op.outputs[0]
        let table = model.subgraphs[graph].tensors[op.inputs[0]]
        var rows = model.subgraphs[graph].tensors[result]
        rows.name = rows.shortName + "_int8"
        rows.type = .int8
        rows.quantization = table.quantization
        op.outputs[0] = model.add(rows, to: graph)
        op.opcode = model.operatorCode(.gather, version: max(code.version, 2))
        model.subgraphs[graph].operators.append(op)
        appendDequantize(from: op.outputs[0], to: result, version: 2, graph)
    }

    private mutating func appendDequantize(from input: Int, to output: Int, version: Int, _ graph: Int) {
        let code = model.operatorCode(.dequantize, version: version)
        model.subgraphs[graph].operators.append(
            Operator(opcode: code, inputs: [input], outputs: [output], options: Options(.dequantize)))
    }
}

/// How an operator takes int8 weights beside float activations.
private struct Hybrid {
    let weights: Int
    /// nil: one scale for the tensor only.
    let channelDimension: Int?
    var allowsPerTensor = true
    let perTensorVersion: Int
    let perChannelVersion: Int
    /// The option that lets the input have a zero point.
    var asymmetricInputs: (table: OptionTable, field: Int)?

    init?(_ code: BuiltinOperator) {
        switch code {
        case .conv2D:
            (weights, channelDimension, perTensorVersion, perChannelVersion) = (1, 0, 2, 5)
        case .depthwiseConv2D:
            (weights, channelDimension, perTensorVersion, perChannelVersion) = (1, 3, 4, 6)
            allowsPerTensor = false
        case .fullyConnected:
            (weights, channelDimension, perTensorVersion, perChannelVersion) = (1, 0, 9, 12)
            asymmetricInputs = (.fullyConnected, 3)
        case .batchMatmul:
            (weights, channelDimension, perTensorVersion, perChannelVersion) = (1, nil, 4, 4)
            asymmetricInputs = (.batchMatMul, 2)
        case .embeddingLookup:
            (weights, channelDimension, perTensorVersion, perChannelVersion) = (1, 0, 1, 4)
        default: return nil
        }
    }
}

func notFinite(_ tensor: String, _ model: Model) -> Failure {
    .invalidModel("\(model.origin): the constant tensor '\(tensor)' has a value that is NaN or infinite")
}
