@testable import Model

/// Small models made by hand.
enum Samples {
    static func bytes<T: BitwiseCopyable>(_ values: [T]) throws(Failure) -> Bytes { try Bytes(copying: values) }

    /// An int8 CONV_2D with per-channel weights and a bias.
    static func convolution() throws(Failure) -> Model {
        var model = Model()
        model.description = "made by hand"
        model.operatorCodes = [OperatorCode(.conv2D, version: 3)]
        model.buffers = [
            Buffer(), Buffer(try bytes([Int8](repeating: 3, count: 2 * 3 * 3 * 4))), Buffer(try bytes([Int32(5), -5])),
        ]
        var graph = Subgraph()
        graph.name = "main"
        graph.tensors = [
            Tensor(
                name: "x", type: .int8, shape: [1, 8, 8, 4], quantization: Quantization(scale: 0.5, zeroPoint: -128)),
            Tensor(
                name: "w", type: .int8, shape: [2, 3, 3, 4], buffer: 1,
                quantization: Quantization(scales: [0.25, 0.125], dimension: 0)),
            Tensor(
                name: "b", type: .int32, shape: [2], buffer: 2,
                quantization: Quantization(scales: [0.125, 0.0625], dimension: 0)),
            Tensor(name: "y", type: .int8, shape: [1, 8, 8, 2], quantization: Quantization(scale: 1, zeroPoint: 3)),
        ]
        graph.tensors[0].shapeSignature = [-1, 8, 8, 4]
        graph.operators = [
            Operator(
                opcode: 0, inputs: [0, 1, 2], outputs: [3],
                options: Options(.conv2D, [.int(0), .int(1), .int(1), .int(3), .int(1), .int(1)]))
        ]
        graph.inputs = [0]
        graph.outputs = [3]
        model.subgraphs = [graph]
        model.signatures = [
            Signature(
                key: "serving_default", subgraph: 0, inputs: [.init(name: "image", tensor: 0)],
                outputs: [.init(name: "scores", tensor: 3)])
        ]
        return model
    }

    /// One RELU over a float tensor of `count`, to which a case adds what it is about.
    static func identity(_ count: Int = 4) -> Model {
        var model = Model()
        model.operatorCodes = [OperatorCode(.relu)]
        var graph = Subgraph()
        graph.tensors = [
            Tensor(name: "x", type: .float32, shape: [count]), Tensor(name: "y", type: .float32, shape: [count]),
        ]
        graph.operators = [Operator(opcode: 0, inputs: [0], outputs: [1])]
        graph.inputs = [0]
        graph.outputs = [1]
        model.subgraphs = [graph]
        return model
    }

    /// `identity` with one constant that nobody uses.
    static func constant(_ type: TensorType, _ shape: [Int], _ data: Bytes) -> Model {
        var model = identity()
        model.buffers.append(Buffer(data))
        model.subgraphs[0].tensors.append(Tensor(name: "c", type: type, shape: shape, buffer: 1))
        return model
    }
}
