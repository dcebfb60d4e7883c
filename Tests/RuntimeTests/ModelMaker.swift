import CEdgeOpt
import Model
import Operators

@testable import Runtime

/// Small models made by hand.
struct ModelMaker {
    var model = Model()

    init() { model.subgraphs = [Subgraph()] }

    mutating func tensor(
        _ name: String, _ shape: [Int], _ type: TensorType = .float32, signature: [Int]? = nil, subgraph: Int = 0
    ) -> Int {
        var tensor = Tensor(name: name, type: type, shape: shape)
        tensor.shapeSignature = signature
        model.subgraphs[subgraph].tensors.append(tensor)
        return model.subgraphs[subgraph].tensors.count - 1
    }

    mutating func constant<T: BitwiseCopyable>(
        _ name: String, _ shape: [Int], _ values: [T], _ type: TensorType, subgraph: Int = 0
    ) throws -> Int {
        model.buffers.append(Buffer(try Bytes(copying: values)))
        let index = tensor(name, shape, type, subgraph: subgraph)
        model.subgraphs[subgraph].tensors[index].buffer = model.buffers.count - 1
        return index
    }

    /// Adds an operator.
    mutating func add(
        _ code: BuiltinOperator, _ inputs: [Int], _ outputs: [Int], _ options: Options = .none, version: Int = 1,
        subgraph: Int = 0
    ) {
        let wanted = OperatorCode(code, version: version)
        let index = model.operatorCodes.firstIndex(of: wanted) ?? model.operatorCodes.count
        if index == model.operatorCodes.count { model.operatorCodes.append(wanted) }
        model.subgraphs[subgraph].operators.append(
            Operator(opcode: index, inputs: inputs, outputs: outputs, options: options))
    }

    /// A float tensor with the result of an operator.
    mutating func result(
        _ code: BuiltinOperator, _ inputs: [Int], shape: [Int], _ options: Options = .none, name: String? = nil
    ) -> Int {
        let output = tensor(name ?? "t\(model.subgraphs[0].tensors.count)", shape)
        add(code, inputs, [output], options)
        return output
    }

    mutating func ends(_ inputs: [Int], _ outputs: [Int], subgraph: Int = 0) {
        model.subgraphs[subgraph].inputs = inputs
        model.subgraphs[subgraph].outputs = outputs
    }

    func interpreter(_ options: Interpreter.Options = .init()) throws -> Interpreter {
        try model.validate()
        return try Interpreter(try LoadedModel(model), options)
    }
}

extension LiveTensor {
    var floats: [Float] {
        data.map { Array(UnsafeBufferPointer(start: $0.assumingMemoryBound(to: Float.self), count: byteCount / 4)) }
            ?? []
    }
    var integers: [Int32] {
        data.map { Array(UnsafeBufferPointer(start: $0.assumingMemoryBound(to: Int32.self), count: byteCount / 4)) }
            ?? []
    }

    func fill(_ values: [Float]) {
        values.withUnsafeBytes { source in
            data?.copyMemory(from: source.baseAddress!, byteCount: min(source.count, byteCount))
        }
    }
}

/// Memory of a caller.
final class CallerMemory {
    let base: UnsafeMutableRawPointer
    let count: Int
    init(floats: Int, offset: Int = 0) {
        base = .allocate(byteCount: floats * 4 + 64 + offset, alignment: 64) + offset
        count = floats * 4
        base.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    }
    var values: [Float] {
        get { (0..<count / 4).map { base.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) } }
        set {
            for (index, value) in newValue.enumerated() {
                base.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
            }
        }
    }
}
