import Model
import Operators

/// Which operators of the main subgraph compute with integers, and why the others do not.
struct Candidates {
    enum Decision {
        case integer
        /// Stays float; the reason completes "... stays float: ".
        case float(Sentence)
        /// Was never float: works on indices, shapes, conditions.
        case untouched
    }
    private(set) var decisions: [Decision] = []
    private(set) var rules: [QuantizationRule] = []

    private let model: Model
    private let graph: Int
    private let ranges: [ValueRange?]

    /// The most bits that weights of an integer kernel have.
    static let mostWeightBits = 8

    /// `ranges`: what calibration saw, nil for tensors that are not float32 or never computed. `isFloat`: the operators
    /// that shall stay float; `weightBits`: how many bits the weights of each shall have.
    init(
        _ model: Model, _ graph: Int, type: TensorType, ranges: [ValueRange?], integerBoundary: Bool, isFloat: [Bool],
        weightBits: [Int]
    ) {
        self.model = model
        self.graph = graph
        self.ranges = ranges
        for index in model.subgraphs[graph].operators.indices {
            let rule = OperatorRegistry.definition(model.code(graph, index))?.quantization
            rules.append(rule ?? .floatOnly)
            if isFloat[index] {
                decisions.append(.float("the options say so"))
            } else if weightBits[index] > Self.mostWeightBits, hasWeights(index) {
                decisions.append(
                    .float(
                        "its weights have \(weightBits[index]) bits, in integer kernels at most \(Self.mostWeightBits)")
                )
            } else {
                decisions.append(rule.map { decide(index, $0, type) } ?? .float("the operator is not known"))
            }
        }
        leaveMoversBetweenFloatOperators(integerBoundary: integerBoundary)
    }

    private func hasWeights(_ op: Int) -> Bool { rules[op].weights != nil || isSequenceLSTM(op) }

    func isSequenceLSTM(_ op: Int) -> Bool { model.code(graph, op).builtin == .unidirectionalSequenceLstm }

    func isInteger(_ op: Int) -> Bool { if case .integer = decisions[op] { true } else { false } }

    /// The inputs that are quantized as activations.
    func activations(_ op: Int) -> [Int] {
        let inputs = model.subgraphs[graph].operators[op].inputs
        let positions = rules[op].allInputs ? Array(inputs.indices) : rules[op].activations
        return positions.filter { $0 < inputs.count && inputs[$0] >= 0 && tensor(inputs[$0]).type == .float32 }
    }

    /// Values only change places: the input's scale is the output's.
    func keepsScale(_ op: Int) -> Bool {
        if case .sameAsInput = rules[op].output { return rules[op].weights == nil }
        return false
    }

    /// It keeps the scale, but averages neighbours.
    func computesValues(_ op: Int) -> Bool {
        let code = model.code(graph, op).builtin
        return code == .averagePool2D || code == .resizeBilinear
    }

    private func tensor(_ index: Int) -> Tensor { model.subgraphs[graph].tensors[index] }

    private func decide(_ index: Int, _ rule: QuantizationRule, _ type: TensorType) -> Decision {
        let op = model.subgraphs[graph].operators[index]
        let floats = (op.inputs + op.outputs).filter { $0 >= 0 && tensor($0).type == .float32 }
        guard !floats.isEmpty else { return .untouched }
        guard type == .int16 ? rule.int16x8 : rule.int8 else { return .float("it has no \(type.name) kernel") }
        let activations = (rule.allInputs ? Array(op.inputs.indices) : rule.activations).filter {
            $0 < op.inputs.count && op.inputs[$0] >= 0
        }
        guard !activations.isEmpty, activations.allSatisfy({ tensor(op.inputs[$0]).type == .float32 }) else {
            return .float("its inputs are not float")
        }
        for position in activations {
            let input = op.inputs[position]
            if tensor(input).isVariable { return .float("it reads the variable tensor '\(tensor(input).name)'") }
            if let values = model.floats(graph, input) {
                if ValueRange(of: values) == nil { return .float("'\(tensor(input).name)' has NaN or infinite values") }
            } else if let reason = obstacle(values: input) {
                return .float(reason)
            }
        }
        for output in op.outputs where output >= 0 && tensor(output).type == .float32 {
            if let reason = obstacle(values: output) { return .float(reason) }
        }
        if case .fixed(_, let int16) = rule.output, type == .int16, int16 <= 0 {
            return .float("it has no \(type.name) kernel")
        }
        if let reason = isSequenceLSTM(index) ? recurrentObstacle(op) : obstacle(op, rule) { return .float(reason) }
        return .integer
    }

    /// Wider ranges come from masks (-1e9, the lowest float): next to such a value all others would become zero.
    private static let widest = 1e8

    private func obstacle(values index: Int) -> Sentence? {
        guard let range = ranges[index] else { return "nothing is known about the values of '\(tensor(index).name)'" }
        guard range.width > Self.widest else { return nil }
        return "the values of '\(tensor(index).name)' reach from \(range.min) to \(range.max), too far for integers"
    }

    /// What is wrong with the weights, bias or fused activation of an operator.
    private func obstacle(_ op: Operator, _ rule: QuantizationRule) -> Sentence? {
        switch op.activation(model.operatorCodes[op.opcode].builtin) {
        case .tanh?, .signBit?: return "its fused activation has no integer form"
        default: break
        }
        guard let weights = rule.weights else { return nil }
        guard weights.input < op.inputs.count, let values = model.floats(graph, op.inputs[weights.input]) else {
            return "its weights are not constant float32 numbers"
        }
        let shape = tensor(op.inputs[weights.input]).shape
        guard weights.channelDimension < shape.count, !values.isEmpty else {
            return "its weights have too few dimensions"
        }
        guard values.allSatisfy({ $0.isFinite }) else { return "its weights have NaN or infinite values" }
        guard let bias = weights.bias, bias < op.inputs.count, op.inputs[bias] >= 0 else { return nil }
        guard let values = model.floats(graph, op.inputs[bias]), values.allSatisfy({ $0.isFinite }) else {
            return "its bias is not constant finite numbers"
        }
        guard values.count == shape[weights.channelDimension] else {
            return "its bias has another size than its channels"
        }
        return nil
    }

    /// What the integer form of an LSTM layer cannot have. The range of the cell state is that of its variable tensor.
    private func recurrentObstacle(_ op: Operator) -> Sentence? {
        typealias Input = UnidirectionalSequenceLSTM.Input
        typealias Field = UnidirectionalSequenceLSTM.Field
        guard op.options.activation(Field.activation) == .tanh, !op.options.bool(Field.diagonal) else {
            return "its activation is not tanh, or its weights are diagonal"
        }
        guard op.inputs.count >= Input.normalization, op.inputs.dropFirst(Input.normalization).allSatisfy({ $0 < 0 })
        else { return "layer normalization inside it has no integer form here" }
        for input in op.inputs[Input.inputWeights..<Input.outputState] where input >= 0 {
            guard let values = model.floats(graph, input), !values.isEmpty, values.allSatisfy({ $0.isFinite }) else {
                return "'\(tensor(input).name)' is not constant finite numbers"
            }
        }
        for state in op.inputs[Input.outputState...Input.cellState] where state < 0 || !tensor(state).isVariable {
            return "its states are not variable tensors"
        }
        guard let cells = ranges[op.inputs[Input.cellState]], max(-cells.min, cells.max) < 64 else {
            return "its cell states reach 64, or nothing is known about them"
        }
        return nil
    }

    /// Operators that only move values are not worth a QUANTIZE before and a DEQUANTIZE behind: they compute with
    /// integers only in the company of an operator that gains from it.
    private mutating func leaveMoversBetweenFloatOperators(integerBoundary: Bool) {
        let subgraph = model.subgraphs[graph]
        let uses = Uses(subgraph)
        var reached = decisions.indices.map { isInteger($0) && !keepsScale($0) }
        if integerBoundary {
            for index in decisions.indices where isInteger(index) && touchesBoundary(index, uses) {
                reached[index] = true
            }
        }
        var pending = decisions.indices.filter { reached[$0] }
        while let index = pending.popLast() {
            let op = subgraph.operators[index]
            let before = op.inputs.filter { $0 >= 0 }.compactMap { uses.producer(of: $0) }
            let after = op.outputs.filter { $0 >= 0 }.flatMap { uses.consumers(of: $0) }
            for neighbour in before + after where isInteger(neighbour) && !reached[neighbour] {
                reached[neighbour] = true
                pending.append(neighbour)
            }
        }
        for index in decisions.indices where isInteger(index) && !reached[index] {
            decisions[index] = .float("only float operators are around it")
        }
    }

    private func touchesBoundary(_ op: Int, _ uses: Uses) -> Bool {
        let subgraph = model.subgraphs[graph]
        return subgraph.operators[op].inputs.contains { subgraph.inputs.contains($0) }
            || subgraph.operators[op].outputs.contains { $0 >= 0 && uses.isOutput($0) }
    }
}
