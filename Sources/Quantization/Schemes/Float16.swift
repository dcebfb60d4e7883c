import Kernels
import Model

/// Weights stored as float16, each followed by a DEQUANTIZE that gives back float32: half the size, and a runtime with
/// float16 arithmetic can skip the operator.
enum Float16Scheme {
    /// The largest finite float16.
    private static let limit: Float = 65504
    /// Rounding to a half costs next to nothing, so only size counts: below 128 elements, by default, the DEQUANTIZE
    /// would be larger than what it saves.
    private static let share = 8

    static func apply(to model: Model, options: QuantizerOptions) throws(Failure) -> Model {
        var model = model
        // Tensors of several subgraphs may share one buffer: so do their halves.
        var halves = [Int?](repeating: nil, count: model.buffers.count)
        for graph in model.subgraphs.indices {
            let uses = Uses(model.subgraphs[graph])
            var conversions: [Operator] = []
            for tensor in model.subgraphs[graph].tensors.indices {
                guard !uses.consumers(of: tensor).isEmpty, !uses.isOutput(tensor),
                    let values = model.floats(graph, tensor), values.count >= options.minWeightElements / share
                else { continue }
                if let value = values.first(where: { $0.isFinite && $0.magnitude > limit }) {
                    let name = model.subgraphs[graph].tensors[tensor].name
                    options.log(
                        ("tensor '\(name)' stays FLOAT32: its value \(value) is beyond the range of FLOAT16" as Sentence)
                            .text)
                    continue
                }
                let half = try store(values, of: tensor, graph, in: &model, &halves)
                let code = model.operatorCode(.dequantize, version: 3)
                let options = Options(.dequantize)
                conversions.append(Operator(opcode: code, inputs: [half], outputs: [tensor], options: options))
            }
            model.subgraphs[graph].operators.insert(contentsOf: conversions, at: 0)
        }
        return model
    }

    /// Adds the float16 tensor; the float32 one loses its data.
    private static func store(
        _ values: [Float], of tensor: Int, _ graph: Int, in model: inout Model, _ halves: inout [Int?]
    ) throws(Failure) -> Int {
        let original = model.subgraphs[graph].tensors[tensor]
        let buffer: Int
        if let known = halves[original.buffer] {
            buffer = known
        } else {
            model.buffers.append(Buffer(try Bytes(copying: FloatValues.halves(values))))
            buffer = model.buffers.count - 1
            halves[original.buffer] = buffer
        }
        model.subgraphs[graph].tensors[tensor].buffer = 0
        var half = Tensor(
            name: original.shortName + "_float16", type: .float16, shape: original.shape, buffer: buffer)
        half.hasRank = original.hasRank
        return model.add(half, to: graph)
    }
}
