import Model
import Quantization

/// A constant float32 tensor that an operator multiplies its input with.
package struct WeightTensor: Sendable {
    package enum Kind: Sendable, Equatable { case convolution, depthwise, product, recurrent, table }

    package let subgraph: Int
    package let tensor: Int
    package let operation: Int
    package let kind: Kind
    package let matrix: WeightMatrix
    /// A convolution with a 1x1 filter and steps of 1.
    package let isPointwise: Bool
    /// It is a convolution, and the first operator with weights on the way from an input of the model.
    package let isFirst: Bool
    /// Of the weights, and of what the operator writes.
    package let names: [String]

    package var name: String { names[0] }
}

extension Model {
    /// The weights of all subgraphs, in the order of the operators. Data that several operators share come once.
    /// `ofAnyType`: also those that are not float32.
    package func weightTensors(ofAnyType: Bool = false) -> [WeightTensor] {
        var found: [WeightTensor] = []
        var seen = Set<Int>()
        for graph in subgraphs.indices {
            let first = firstOperators(graph)
            for (index, op) in subgraphs[graph].operators.enumerated() {
                for place in WeightPlaces.of(operatorCodes[op.opcode].builtin) where place.input < op.inputs.count {
                    let tensor = op.inputs[place.input]
                    guard let data = constant(graph, tensor),
                        ofAnyType || subgraphs[graph].tensors[tensor].type == .float32,
                        subgraphs[graph].tensors[tensor].sparsity == nil,
                        let matrix = matrix(graph, op, tensor, place), matrix.count > 0,
                        let size = subgraphs[graph].tensors[tensor].type.byteCount(matrix.count), data.count >= size,
                        seen.insert(subgraphs[graph].tensors[tensor].buffer).inserted
                    else { continue }
                    let outputs = op.outputs.filter { $0 >= 0 }.map { subgraphs[graph].tensors[$0].name }
                    found.append(
                        WeightTensor(
                            subgraph: graph, tensor: tensor, operation: index, kind: place.kind, matrix: matrix,
                            isPointwise: isPointwise(graph, op),
                            isFirst: first[index] && (place.kind == .convolution || place.kind == .depthwise),
                            names: [subgraphs[graph].tensors[tensor].name] + outputs))
                }
            }
        }
        return found
    }

    private func matrix(_ graph: Int, _ op: Operator, _ tensor: Int, _ place: WeightPlaces) -> WeightMatrix? {
        let shape = subgraphs[graph].tensors[tensor].shape
        guard shape.count >= 2, let count = elementCount(shape), count > 0 else { return nil }
        var channelsLast = place.channelsLast
        if operatorCodes[op.opcode].builtin == .batchMatmul { channelsLast = !op.options.bool(1) }
        guard channelsLast else { return WeightMatrix(rows: shape[0], columns: count / shape[0]) }
        let rows = shape[shape.count - 1]
        return WeightMatrix(rows: rows, columns: count / rows, isTransposed: true)
    }

    private func isPointwise(_ graph: Int, _ op: Operator) -> Bool {
        guard operatorCodes[op.opcode].builtin == .conv2D, op.inputs.count > 1, op.inputs[1] >= 0, op.inputs[0] >= 0
        else { return false }
        let filter = subgraphs[graph].tensors[op.inputs[1]].shape
        let input = subgraphs[graph].tensors[op.inputs[0]].shape
        return filter.count == 4 && input.count == 4 && filter[1] == 1 && filter[2] == 1 && filter[3] == input[3]
            && op.options.int(1) == 1 && op.options.int(2) == 1
    }

    /// For each operator: no operator with weights lies between an input of the subgraph and it.
    private func firstOperators(_ graph: Int) -> [Bool] {
        var isFresh = [Bool](repeating: false, count: subgraphs[graph].tensors.count)
        for input in subgraphs[graph].inputs where input >= 0 { isFresh[input] = true }
        return subgraphs[graph].operators.map { op in
            guard op.inputs.contains(where: { $0 >= 0 && isFresh[$0] }) else { return false }
            let hasWeights = WeightPlaces.of(operatorCodes[op.opcode].builtin).contains {
                $0.input < op.inputs.count && constant(graph, op.inputs[$0.input]) != nil
            }
            if !hasWeights { for output in op.outputs where output >= 0 { isFresh[output] = true } }
            return hasWeights
        }
    }
}

/// Where an operator takes weights.
struct WeightPlaces {
    let input: Int
    let kind: WeightTensor.Kind
    /// The output channels are the last dimension, not the first.
    var channelsLast = false

    static func of(_ code: BuiltinOperator) -> [WeightPlaces] {
        switch code {
        case .conv2D, .transposeConv: [WeightPlaces(input: 1, kind: .convolution)]
        case .conv3D: [WeightPlaces(input: 1, kind: .convolution, channelsLast: true)]
        case .depthwiseConv2D: [WeightPlaces(input: 1, kind: .depthwise, channelsLast: true)]
        case .fullyConnected: [WeightPlaces(input: 1, kind: .product)]
        case .batchMatmul: [WeightPlaces(input: 1, kind: .product, channelsLast: true)]
        case .embeddingLookup: [WeightPlaces(input: 1, kind: .table)]
        case .gather: [WeightPlaces(input: 0, kind: .table)]
        case .unidirectionalSequenceLstm, .lstm:
            (1...8).map { WeightPlaces(input: $0, kind: .recurrent) } + [WeightPlaces(input: 16, kind: .recurrent)]
        case .bidirectionalSequenceLstm:
            ((1...8).map { $0 } + [16] + (18...25).map { $0 } + [33]).map { WeightPlaces(input: $0, kind: .recurrent) }
        case .unidirectionalSequenceRnn, .rnn:
            (1...2).map { WeightPlaces(input: $0, kind: .recurrent) }
        default: []
        }
    }
}

extension Model {
    /// An operator takes this tensor as weights, as it is or in full.
    package func isWeight(_ graph: Int, _ tensor: Int) -> Bool {
        var forms = [tensor]
        for op in subgraphs[graph].operators {
            let code = operatorCodes[op.opcode].builtin
            if code == .densify || code == .dequantize, op.inputs.contains(where: { forms.contains($0) }) {
                forms += op.outputs
            }
            let isTaken = WeightPlaces.of(code).contains {
                $0.input < op.inputs.count && forms.contains(op.inputs[$0.input])
            }
            if isTaken { return true }
        }
        return false
    }
}
