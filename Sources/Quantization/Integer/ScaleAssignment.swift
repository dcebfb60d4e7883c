import Model
import Operators

/// The quantization parameters of every activation of the main subgraph. Tensors whose scales must be equal form
/// groups (TFLite 8-bit specification: "same scale" operators); a group has one range, or parameters fixed by the
/// operator that computes it.
struct ScaleAssignment {
    private enum Range {
        case unknown
        case values(ValueRange)
        case fixed(Parameters)
    }
    private let model: Model
    private let graph: Int
    private let type: TensorType
    private let candidates: Candidates
    private let uses: Uses
    private let calibrated: [ValueRange?]
    /// Bits of each tensor's integer form; those of its representative count.
    private let bits: [Int]
    /// For each tensor the tensor that stands for its group.
    private var representative: [Int]
    /// For each representative.
    private var range: [Range]

    init(
        _ model: Model, _ graph: Int, type: TensorType, ranges: [ValueRange?], candidates: Candidates, bits: [Int]
    ) {
        self.bits = bits
        self.model = model
        self.graph = graph
        self.type = type
        self.candidates = candidates
        calibrated = ranges
        uses = Uses(model.subgraphs[graph])
        representative = Array(model.subgraphs[graph].tensors.indices)
        range = []
        for tensor in representative {
            let values = model.floats(graph, tensor).flatMap { ValueRange(of: $0) } ?? ranges[tensor]
            range.append(values.map { .values($0) } ?? .unknown)
        }
        let operators = model.subgraphs[graph].operators.indices.filter { candidates.isInteger($0) }
        for op in operators { assignOutputs(op) }
        for op in operators.reversed() where joinsInputs(op) { mergeInputs(op) }
    }

    /// The integer form of a tensor as its producer writes it; nil if it has none.
    func parameters(_ tensor: Int) -> Parameters? {
        switch range[representative[tensor]] {
        case .unknown: nil
        case .values(let values): Parameters(values, type: type, bits: bits[representative[tensor]])
        case .fixed(let parameters): parameters
        }
    }

    /// The integer form in which an operator reads one of its activation inputs.
    func wanted(by op: Int, input: Int) -> Parameters? { parameters(read(by: op, input: input)) }

    /// The group in whose form an operator reads one of its activation inputs.
    func group(readBy op: Int, input: Int) -> Int { representative[read(by: op, input: input)] }

    private func read(by op: Int, input: Int) -> Int {
        let operation = model.subgraphs[graph].operators[op]
        return joinsInputs(op) ? operation.outputs[0] : operation.inputs[input]
    }

    /// Tensors of one group have the same parameters. A group goes by the index of one of its tensors.
    func group(_ tensor: Int) -> Int { representative[tensor] }

    /// The range of a group whose parameters come from one; nil if an operator or nobody fixes them.
    func range(ofGroup group: Int) -> ValueRange? {
        if case .values(let values) = range[group] { values } else { nil }
    }

    /// What calibration saw of a tensor is all inside the range of its group: nothing was cut short.
    func isCovered(_ tensor: Int) -> Bool {
        guard let group = range(ofGroup: representative[tensor]), let own = calibrated[tensor] else { return false }
        return group.contains(own)
    }

    mutating func set(_ parameters: Parameters, ofGroup group: Int) { range[group] = .fixed(parameters) }

    /// Several inputs take the scale of the output (CONCATENATION, MAXIMUM, SELECT_V2, ...). The other way round the
    /// output takes the scale of the one input (RESHAPE, SPLIT, pools, ...).
    private func joinsInputs(_ op: Int) -> Bool {
        candidates.keepsScale(op) && candidates.activations(op).count > 1
    }

    private mutating func assignOutputs(_ index: Int) {
        let op = model.subgraphs[graph].operators[index]
        switch candidates.rules[index].output {
        case .calibrated, .unquantized: break
        case .fixed(let int8, let int16):
            let parameters =
                type == .int16
                ? Parameters(type: type, scale: int16, zeroPoint: 0)
                : Parameters(type: type, scale: int8.scale, zeroPoint: int8.zeroPoint)
            for output in op.outputs where output >= 0 { range[output] = .fixed(parameters) }
        case .sameAsInput:
            let inputs = candidates.activations(index).map { op.inputs[$0] }
            guard let first = inputs.first, inputs.count == 1 || haveOneFixedScale(inputs) else { return }
            for output in op.outputs where output >= 0 && calibrated[output] != nil {
                representative[output] = representative[first]
            }
        }
    }

    /// True if all come from operators with the same fixed scale: joining them then costs nothing.
    private func haveOneFixedScale(_ tensors: [Int]) -> Bool {
        guard case .fixed(let first) = range[representative[tensors[0]]] else { return false }
        return tensors.allSatisfy {
            if case .fixed(let parameters) = range[representative[$0]] { return parameters == first }
            return false
        }
    }

    /// Lets the inputs be computed at the output's scale from the start, where nobody else loses by that. Otherwise a
    /// requantization will stand in between.
    private mutating func mergeInputs(_ op: Int) {
        let operation = model.subgraphs[graph].operators[op]
        let target = representative[operation.outputs[0]]
        guard case .values(let wanted) = range[target] else { return }
        for position in candidates.activations(op) {
            let group = representative[operation.inputs[position]]
            guard group != target, case .values(let present) = range[group],
                model.constant(graph, operation.inputs[position]) == nil
            else { continue }
            let members = representative.indices.filter { representative[$0] == group }
            guard !members.contains(where: { model.constant(graph, $0) != nil }) else { continue }
            let isAlone = members.allSatisfy { isReadOnly(by: op, orInside: group, $0) }
            // A range cut short is right for MINIMUM, MAXIMUM and SELECT themselves, but not before an operator that
            // computes with the values, as AVERAGE_POOL_2D does.
            let fits = wanted.contains(present) || members.count == 1
            guard isAlone ? fits : wanted.contains(present) && wanted.width <= Self.tolerableWidening * present.width
            else { continue }
            for member in members { representative[member] = target }
        }
    }

    /// A third of a bit: less than the rounding of a requantization costs.
    private static let tolerableWidening = 1.25

    private func isReadOnly(by op: Int, orInside group: Int, _ tensor: Int) -> Bool {
        guard !uses.isOutput(tensor) else { return false }
        return uses.consumers(of: tensor).allSatisfy { reader in
            if reader == op { return true }
            guard candidates.isInteger(reader), candidates.keepsScale(reader) else { return false }
            return model.subgraphs[graph].operators[reader].outputs.allSatisfy {
                $0 >= 0 && representative[$0] == group
            }
        }
    }
}
