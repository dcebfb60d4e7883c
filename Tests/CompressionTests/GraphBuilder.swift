import Kernels
import Model
import Operators

/// Makes small float models by hand.
struct GraphBuilder {
    private(set) var model = Model()

    init() {
        model.subgraphs = [Subgraph()]
        model.origin = "made.tflite"
    }

    mutating func input(_ shape: [Int]) -> Int {
        let tensor = add(Tensor(name: "x", type: .float32, shape: shape))
        model.subgraphs[0].inputs.append(tensor)
        return tensor
    }

    mutating func constant(_ name: String, _ shape: [Int], _ values: [Float]? = nil) throws -> Int {
        let seed = UInt32(model.buffers.count)
        model.buffers.append(Buffer(try Bytes(copying: values ?? noise(shape.reduce(1, *), seed: seed))))
        return add(Tensor(name: name, type: .float32, shape: shape, buffer: model.buffers.count - 1))
    }

    mutating func integers(_ name: String, _ values: [Int32], shape: [Int]? = nil) throws -> Int {
        model.buffers.append(Buffer(try Bytes(copying: values)))
        return add(Tensor(name: name, type: .int32, shape: shape ?? [values.count], buffer: model.buffers.count - 1))
    }

    /// Adds an operator with one output, and gives that.
    mutating func op(
        _ code: BuiltinOperator, _ inputs: [Int], _ name: String, _ shape: [Int], options: Options = .none,
        version: Int = 1
    ) -> Int {
        let output = add(Tensor(name: name, type: .float32, shape: shape))
        let opcode = OperatorCode(code, version: version)
        if !model.operatorCodes.contains(opcode) { model.operatorCodes.append(opcode) }
        model.subgraphs[0].operators.append(
            Operator(
                opcode: model.operatorCodes.firstIndex(of: opcode)!, inputs: inputs, outputs: [output],
                options: options))
        return output
    }

    /// A convolution with SAME padding and a bias, named after `name`.
    mutating func convolution(
        _ x: Int, _ name: String, channels: Int, filter: Int = 1, activation: FusedActivation = .relu
    ) throws -> Int {
        let shape = model.subgraphs[0].tensors[x].shape
        let w = try constant(name + "/w", [channels, filter, filter, shape[3]])
        let b = try constant(name + "/b", [channels])
        return op(
            .conv2D, [x, w, b], name, [shape[0], shape[1], shape[2], channels],
            options: Options(.conv2D, [.int(0), .int(1), .int(1), .int(Int64(activation.rawValue)), .int(1), .int(1)]))
    }

    mutating func depthwise(_ x: Int, _ name: String, multiplier: Int = 1) throws -> Int {
        let shape = model.subgraphs[0].tensors[x].shape
        let channels = shape[3] * multiplier
        let w = try constant(name + "/w", [1, 3, 3, channels])
        let b = try constant(name + "/b", [channels])
        return op(
            .depthwiseConv2D, [x, w, b], name, [shape[0], shape[1], shape[2], channels],
            options: Options(
                .depthwiseConv2D,
                [.int(0), .int(1), .int(1), .int(Int64(multiplier)), .int(1), .int(1), .int(1)]))
    }

    mutating func product(_ x: Int, _ name: String, inputs: Int, outputs: Int) throws -> Int {
        let w = try constant(name + "/w", [outputs, inputs])
        let b = try constant(name + "/b", [outputs])
        return op(.fullyConnected, [x, w, b], name, [1, outputs], options: Options(.fullyConnected))
    }

    mutating func output(_ tensor: Int) { model.subgraphs[0].outputs.append(tensor) }

    private mutating func add(_ tensor: Tensor) -> Int {
        model.subgraphs[0].tensors.append(tensor)
        return model.subgraphs[0].tensors.count - 1
    }
}

extension Model {
    func values(_ name: String) -> [Float] {
        let tensor = subgraphs[0].tensors.first { $0.name == name }!
        return buffers[tensor.buffer].data!.array(of: Float.self)
    }

    func shape(_ name: String) -> [Int] { subgraphs[0].tensors.first { $0.name == name }!.shape }

    /// Runs the main subgraph operator by operator and gives its first output.
    func evaluate(_ input: [Float]) throws -> [Float] {
        let pool = try ThreadPool(threads: 1)
        let weights = try PackedWeightCache()
        let graph = subgraphs[0]
        var data = graph.tensors.map { buffers[$0.buffer].data }
        data[graph.inputs[0]] = try Bytes(copying: input)
        func info(_ tensor: Int) -> TensorInfo {
            TensorInfo(
                name: graph.tensors[tensor].name, type: graph.tensors[tensor].type, shape: graph.tensors[tensor].shape,
                quantization: nil, constant: data[tensor])
        }
        for op in graph.operators {
            let code = operatorCodes[op.opcode]
            let evaluation = Evaluation(
                OperatorRegistry.definition(code)!, version: code.version, options: op.options, pool: pool,
                weights: weights)
            let results = try evaluation.evaluate(
                op.inputs.map { $0 < 0 ? nil : info($0) }, outputs: op.outputs.map { info($0) })!
            for (tensor, result) in zip(op.outputs, results) {
                guard result.shape == graph.tensors[tensor].shape else {
                    throw Failure.execution(
                        "\(result.name): \(result.shape) is stated as \(graph.tensors[tensor].shape)")
                }
                data[tensor] = result.constant
            }
        }
        return data[graph.outputs[0]]!.array(of: Float.self)
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

func zeros(_ values: [Float]) -> Int { values.filter { $0 == 0 }.count }
