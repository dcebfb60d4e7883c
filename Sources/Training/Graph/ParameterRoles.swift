import Model
import Quantization

/// Which constants of a graph training may move.
enum ParameterRoles {
    /// The inputs of operator `op` of the main subgraph that are constant and, by their place, parameters.
    static func candidates(_ model: Model, _ op: Int) -> [Int] {
        let inputs = model.subgraphs[0].operators[op].inputs
        return places(model.code(0, op).builtin).filter { place in
            guard place < inputs.count, inputs[place] >= 0 else { return false }
            let tensor = model.subgraphs[0].tensors[inputs[place]]
            return tensor.type == .float32 && model.constant(0, inputs[place]) != nil && tensor.sparsity == nil
                && !model.subgraphs[0].inputs.contains(inputs[place])
        }
    }

    private static func places(_ code: BuiltinOperator) -> [Int] {
        switch code {
        case .conv2D, .depthwiseConv2D, .fullyConnected, .conv3D: [1, 2]
        case .transposeConv: [1, 3]
        case .prelu, .embeddingLookup: [1]
        case .gather: [0]
        case .batchMatmul, .add, .sub, .mul, .div: [0, 1]
        case .rnn: [1, 2, 3]
        case .unidirectionalSequenceRnn: [1, 2, 3]
        case .unidirectionalSequenceLstm: Array(1...17) + Array(20...23)
        default: []
        }
    }

    /// The tensors of the main subgraph that are trained by default, in the order of their first use.
    static func parameters(of model: Model) -> [Int] {
        let graph = model.subgraphs[0]
        var found: [Int] = []
        var isFound = [Bool](repeating: false, count: graph.tensors.count)
        // What comes from parameters; before that, arithmetic with constants is preprocessing and stays as it is.
        var isTrained = [Bool](repeating: false, count: graph.tensors.count)
        for (index, op) in graph.operators.enumerated() {
            let code = model.code(0, index).builtin
            var follows = op.inputs.contains { $0 >= 0 && isTrained[$0] }
            for place in candidates(model, index) {
                let tensor = op.inputs[place]
                guard isFound[tensor] || !isArithmetic(code) || (follows && isScaleOrOffset(model, tensor, of: op))
                else { continue }
                follows = true
                if !isFound[tensor] { found.append(tensor) }
                isFound[tensor] = true
            }
            if follows { for output in op.outputs where output >= 0 { isTrained[output] = true } }
        }
        return found
    }

    private static func isArithmetic(_ code: BuiltinOperator) -> Bool {
        code == .add || code == .sub || code == .mul || code == .div
    }

    /// A vector over the channels, or a table of such vectors (positions): not a single number (an epsilon, the scale of
    /// attention), not a mask, whose large negative numbers mean "never".
    private static func isScaleOrOffset(_ model: Model, _ tensor: Int, of op: Operator) -> Bool {
        let shape = model.subgraphs[0].tensors[tensor].shape
        guard let channels = shape.last, channels > 1, let output = op.outputs.first, output >= 0,
            model.subgraphs[0].tensors[output].shape.last == channels, let values = model.floats(0, tensor)
        else { return false }
        return values.allSatisfy { abs($0) < 1e4 }
    }
}
