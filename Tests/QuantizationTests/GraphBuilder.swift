import Kernels
import Model
import Operators

/// Makes small models by hand.
struct GraphBuilder {
    private(set) var model = Model()

    init() {
        model.subgraphs = [Subgraph()]
        model.origin = "made.tflite"
    }

    mutating func input(_ name: String = "x", _ shape: [Int], type: TensorType = .float32) -> Int {
        let tensor = add(Tensor(name: name, type: type, shape: shape))
        model.subgraphs[0].inputs.append(tensor)
        return tensor
    }

    mutating func constant(_ name: String, _ shape: [Int], _ values: [Float]) throws -> Int {
        model.buffers.append(Buffer(try Bytes(copying: values)))
        return add(Tensor(name: name, type: .float32, shape: shape, buffer: model.buffers.count - 1))
    }

    mutating func integers(_ name: String, _ values: [Int32], shape: [Int]? = nil) throws -> Int {
        model.buffers.append(Buffer(try Bytes(copying: values)))
        return add(
            Tensor(name: name, type: .int32, shape: shape ?? [values.count], buffer: model.buffers.count - 1))
    }

    /// Adds an operator with one output, and gives that.
    mutating func op(
        _ code: BuiltinOperator, _ inputs: [Int], _ name: String, _ shape: [Int], options: Options = .none,
        version: Int = 1, type: TensorType = .float32
    ) -> Int {
        let output = add(Tensor(name: name, type: type, shape: shape))
        model.operatorCodes.append(OperatorCode(code, version: version))
        model.subgraphs[0].operators.append(
            Operator(opcode: model.operatorCodes.count - 1, inputs: inputs, outputs: [output], options: options))
        return output
    }

    mutating func output(_ tensor: Int) { model.subgraphs[0].outputs.append(tensor) }

    private mutating func add(_ tensor: Tensor) -> Int {
        model.subgraphs[0].tensors.append(tensor)
        return model.subgraphs[0].tensors.count - 1
    }

    /// Options of a convolution with VALID padding and strides 1.
    static func convolution(_ activation: FusedActivation = .none) -> Options {
        Options(.conv2D, [.int(1), .int(1), .int(1), .int(Int64(activation.rawValue)), .int(1), .int(1)])
    }
    static func depthwise(multiplier: Int = 1) -> Options {
        Options(.depthwiseConv2D, [.int(1), .int(1), .int(1), .int(Int64(multiplier)), .int(0), .int(1), .int(1)])
    }
    static let transposeConvolution = Options(.transposeConv, [.int(1), .int(1), .int(1)])
}

extension Model {
    func names() -> [String] { subgraphs[0].operators.map { operatorCodes[$0.opcode].name } }

    func version(_ op: Int) -> Int { operatorCodes[subgraphs[0].operators[op].opcode].version }

    func tensor(_ op: Int, input: Int) -> Tensor { subgraphs[0].tensors[subgraphs[0].operators[op].inputs[input]] }

    func tensor(_ op: Int, output: Int = 0) -> Tensor {
        subgraphs[0].tensors[subgraphs[0].operators[op].outputs[output]]
    }

    func elements<T: BitwiseCopyable>(_ tensor: Tensor, as type: T.Type = T.self) -> [T] {
        buffers[tensor.buffer].data?.array(of: T.self) ?? []
    }

    /// Runs the main subgraph operator by operator and gives the data of every tensor.
    func evaluate(_ inputs: [Bytes], arithmetic: Arithmetic = .reference) throws -> [Bytes?] {
        let pool = try ThreadPool(threads: 1)
        let weights = try PackedWeightCache()
        let graph = subgraphs[0]
        var data = graph.tensors.map { buffers[$0.buffer].data }
        for (tensor, bytes) in zip(graph.inputs, inputs) { data[tensor] = bytes }
        func info(_ tensor: Int) -> TensorInfo {
            let description = graph.tensors[tensor]
            return TensorInfo(
                name: description.name, type: description.type, shape: description.shape,
                quantization: description.quantization, constant: data[tensor])
        }
        for op in graph.operators {
            let code = operatorCodes[op.opcode]
            guard let definition = OperatorRegistry.definition(code) else {
                throw Failure.unsupported("\(code.name) is not there")
            }
            var evaluation = Evaluation(
                definition, version: code.version, options: op.options, pool: pool, weights: weights)
            evaluation.arithmetic = arithmetic
            let results = try evaluation.evaluate(
                op.inputs.map { $0 < 0 ? nil : info($0) }, outputs: op.outputs.map { info($0) })
            for (tensor, result) in zip(op.outputs, results ?? []) { data[tensor] = result.constant }
        }
        return data
    }

    /// The first output for one float input.
    func evaluate(_ input: [Float]) throws -> [Float] {
        let data = try evaluate([try Bytes(copying: input)])
        return data[subgraphs[0].outputs[0]]?.array(of: Float.self) ?? []
    }
}

/// Numbers in [-1, 1] without structure, the same on every run.
func noise(_ count: Int, seed: UInt32 = 1) -> [Float] {
    var state = seed &* 2_654_435_761 | 1
    return (0..<count).map { _ in
        state ^= state << 13
        state ^= state >> 17
        state ^= state << 5
        return Float(state >> 8) / Float(1 << 23) - 1
    }
}
