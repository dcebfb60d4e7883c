import Kernels
import Model
import Operators
import Quantization

extension Model {
    /// The model with each float UNIDIRECTIONAL_SEQUENCE_LSTM of the main subgraph as operators with gradients, one time
    /// step after the other. Tensors keep their places, the weights among them; what is new comes after them. All shapes
    /// must be known. Where quantization is simulated, cells give what those of the integer layer give, and the output state of
    /// each step is rounded as the output is. Throws `EO_UNSUPPORTED` for layer normalization and diagonal weights.
    package func expandingSequenceLSTMs() throws(Failure) -> Model {
        let places = subgraphs[0].operators.indices.filter { code(0, $0).builtin == .unidirectionalSequenceLstm }
        guard !places.isEmpty else { return self }
        var bare = self
        bare.subgraphs[0].operators = []
        let graph = GraphEmitter(bare)
        for (index, op) in subgraphs[0].operators.enumerated() {
            guard code(0, index).builtin == .unidirectionalSequenceLstm else {
                graph.append(op, code(0, index))
                continue
            }
            do throws(Failure) {
                let rounding = subgraphs[0].operators.first {
                    operatorCodes[$0.opcode].custom == FakeQuantize.name && $0.inputs.first == op.outputs.first
                }
                let layer = try SequenceLSTM(op, graph, rounding)
                try layer.emit()
            } catch {
                throw Failure(error.status, "\(place(0, index)): \(error.message)")
            }
        }
        return graph.model
    }
}

/// One layer as it is expanded. Gates are in the order of the operator's inputs: input, forget, cell, output; with
/// coupled input and forget gates there is no input gate.
private struct SequenceLSTM {
    private typealias Input = UnidirectionalSequenceLSTM.Input
    private typealias Field = UnidirectionalSequenceLSTM.Field

    private let op: Operator
    private let graph: GraphEmitter
    /// The operator that rounds the output, if there is one.
    private let rounding: Operator?
    private let sequence: Value
    private let timeAxis: Int
    private let gates: [Int]
    private let cells: Int
    private let activation: BuiltinOperator?
    private let cellClip: Float
    private let projectionClip: Float

    init(_ op: Operator, _ graph: GraphEmitter, _ rounding: Operator?) throws(Failure) {
        self.op = op
        self.rounding = rounding
        self.graph = graph
        for input in op.inputs where input >= 0 && graph.value(input).type != .float32 {
            throw .unsupported("tensor '\(graph.info(input).name)' is not FLOAT32")
        }
        guard !op.options.bool(Field.diagonal) else { throw .unsupported("diagonal weights cannot be trained") }
        for gate in 0..<4 where Self.input(op, Input.normalization + gate) != nil {
            throw .unsupported("layer normalization inside the layer cannot be trained")
        }
        activation =
            switch op.options.activation(Field.activation) {
            case .none: nil
            case .tanh: .tanh
            case .relu: .relu
            case .relu6: .relu6
            default: throw .unsupported("its activation cannot be trained")
            }
        cellClip = op.options.float(Field.cellClip)
        projectionClip = op.options.float(Field.projectionClip)
        timeAxis = op.options.bool(Field.timeMajor) ? 0 : 1
        gates = Array((Self.input(op, Input.inputWeights) == nil ? 1 : 0)..<4)
        guard let tensor = Self.input(op, Input.sequence), let weights = Self.input(op, Input.inputWeights + 3) else {
            throw .invalidModel("the sequence or the weights are missing")
        }
        sequence = graph.value(tensor)
        guard sequence.rank == 3, graph.value(weights).rank == 2, sequence.count > 0 else {
            throw .invalidModel("the sequence has shape \(sequence.shape.listed)")
        }
        cells = graph.value(weights).shape[0]
    }

    private static func input(_ op: Operator, _ place: Int) -> Int? {
        place < op.inputs.count && op.inputs[place] >= 0 ? op.inputs[place] : nil
    }

    private func optional(_ place: Int) -> Value? { Self.input(op, place).map { graph.value($0) } }

    private func value(_ place: Int) throws(Failure) -> Value {
        guard let value = optional(place) else { throw .invalidModel("input \(place) is missing") }
        return value
    }

    /// The tensors of all gates, one below the other: one product serves them all.
    private func joined(_ first: Int) throws(Failure) -> Value {
        var parts: [Value?] = []
        for gate in gates { parts.append(try value(first + gate)) }
        return try graph.emit(OperatorCode(.concatenation), parts, Options(.concatenation, [.int(0), .int(0)]))[0]
    }

    /// A state before the first step; nil: zeros.
    private func initial(_ place: Int) throws(Failure) -> Value? {
        let state = try value(place)
        return graph.info(state.tensor).isVariable ? nil : state
    }

    func emit() throws(Failure) {
        let recurrent = try joined(Input.recurrentWeights)
        let scales = try simulatedScales()
        var hidden = try initial(Input.outputState)
        var cell = try initial(Input.cellState)
        var outputs: [Int] = []
        for projected in try inputProducts() {
            var sums = try scales == nil ? projected : clipped(projected, Self.gateLimit)
            let product = try hidden.map { hidden throws(Failure) in
                try hidden.apply(.fullyConnected, recurrent, nil, options: Options(.fullyConnected))
            }
            if let product { sums = try sums + product }
            var next = try step(sums, cell)
            if let scales { next = try simulated(next, projected, product, cell, scales) }
            let output = try self.projected(next.hidden)
            (hidden, cell) = (try rounded(output), next.cell)
            outputs.append(output.tensor)
        }
        graph.append(
            OperatorCode(.pack), inputs: outputs, outputs: op.outputs,
            Options(.pack, [.int(Int64(outputs.count)), .int(Int64(timeAxis))]))
    }

    // MARK: Simulated quantization

    /// Integer gates are Q3.12 numbers, and saturate as soon as the products with the input are there.
    private static let gateLimit: Float = 8

    /// All scales as `SimulatedLSTMCell` wants them; nil: the layer is a float one.
    private func simulatedScales() throws(Failure) -> Value? {
        guard op.inputs.count == Input.simulatedCount else { return nil }
        let zero = try graph.constant([0], [1])
        var parts: [Value?] = []
        for place in Input.scales..<Input.weightScales { parts.append(try value(place)) }
        parts.append(try graph.constant([cellClip], [1]))
        for first in [Input.inputWeights, Input.recurrentWeights] {
            for gate in gates { parts.append(try value(scale(of: first + gate))) }
        }
        for gate in 0..<3 { parts.append(optional(scale(of: Input.peepholes + gate)) ?? zero) }
        return try graph.emit(OperatorCode(.concatenation), parts, Options(.concatenation, [.int(0), .int(0)]))[0]
    }

    private func scale(of input: Int) -> Int { Input.weightScales + input - Input.inputWeights }

    /// What the cells of the integer layer make of a step, which the float cells made `next` of.
    private func simulated(
        _ next: (hidden: Value, cell: Value), _ projected: Value, _ product: Value?, _ cell: Value?, _ scales: Value
    ) throws(Failure) -> (hidden: Value, cell: Value) {
        let peepholes = (0..<3).map { optional(Input.peepholes + $0) }
        let made = try graph.emit(
            OperatorCode(.custom, custom: SimulatedLSTMCell.name),
            [next.hidden, next.cell, projected, product, cell, scales] + peepholes, types: [.float32, .float32])
        guard optional(Input.projection) != nil else { return (made[0], made[1]) }
        var settings = FakeQuantizationSettings(low: -128, high: 127)
        settings.isInSteps = true
        let hidden = try graph.emit(
            OperatorCode(.custom, custom: FakeQuantize.name),
            [made[0], value(Input.scales + SimulatedLSTMCell.Scale.hidden)], customOptions: settings.encoded())
        return (hidden[0], made[1])
    }

    private func rounded(_ output: Value) throws(Failure) -> Value {
        guard let rounding, rounding.inputs.count == 3 else { return output }
        return try graph.emit(
            OperatorCode(.custom, custom: FakeQuantize.name),
            [output, graph.value(rounding.inputs[1]), graph.value(rounding.inputs[2])],
            customOptions: rounding.customOptions)[0]
    }

    /// W x + b of all gates for each time step, by one product over the whole sequence.
    private func inputProducts() throws(Failure) -> [Value] {
        let width = gates.count * cells
        let (outer, inner, features) = (sequence.shape[0], sequence.shape[1], sequence.shape[2])
        let product = try sequence.reshape([outer * inner, features])
            .apply(
                .fullyConnected, joined(Input.inputWeights), joined(Input.bias), options: Options(.fullyConnected)
            ).reshape([outer, inner, width])
        let steps = sequence.shape[timeAxis]
        return try graph.emit(
            OperatorCode(.unpack), [product], Options(.unpack, [.int(Int64(steps)), .int(Int64(timeAxis))]),
            types: [TensorType](repeating: .float32, count: steps))
    }

    private func step(_ sums: Value, _ cell: Value?) throws(Failure) -> (hidden: Value, cell: Value) {
        let axis = try graph.constant(.int32, [], Bytes(copying: [Int32(1)]))
        var parts = try graph.emit(
            OperatorCode(.split), [axis, sums], Options(.split, [.int(Int64(gates.count))]),
            types: [TensorType](repeating: .float32, count: gates.count))
        if gates.count == 3 { parts.insert(parts[0], at: 0) }
        let forget = try gate(parts[1], Input.peepholes + 1, cell)
        let gain =
            gates.count == 3 ? try 1 - forget : try gate(parts[0], Input.peepholes, cell)
        var next = try gain * activated(parts[2])
        if let cell { next = try forget * cell + next }
        next = try clipped(next, cellClip)
        let output = try gate(parts[3], Input.peepholes + 2, next)
        return (try output * activated(next), next)
    }

    private func gate(_ sum: Value, _ peephole: Int, _ cell: Value?) throws(Failure) -> Value {
        guard let weights = optional(peephole), let cell else { return try sum.apply(.logistic) }
        return try (sum + weights * cell).apply(.logistic)
    }

    private func activated(_ x: Value) throws(Failure) -> Value {
        if let activation { try x.apply(activation) } else { x }
    }

    private func clipped(_ x: Value, _ limit: Float) throws(Failure) -> Value {
        guard limit > 0 else { return x }
        return try x.apply(.minimum, x.scalar(limit)).apply(.maximum, x.scalar(-limit))
    }

    private func projected(_ hidden: Value) throws(Failure) -> Value {
        guard let weights = optional(Input.projection) else { return hidden }
        let product = try hidden.apply(
            .fullyConnected, weights, optional(Input.projectionBias), options: Options(.fullyConnected))
        return try clipped(product, projectionClip)
    }
}
