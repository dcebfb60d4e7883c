import Model
import Quantization

/// Where the channels of the main subgraph come from and who uses them: each tensor's last dimension as channels, and the
/// dimensions of constants that go along with them.
struct ChannelFlow {
    /// A dimension of a constant.
    struct Axis: Hashable {
        let tensor: Int
        let dimension: Int
    }
    let model: Model
    let graph: Subgraph
    var units = ChannelUnits()
    /// The channels of the last dimension; nil: not known yet.
    private(set) var channels: [[Int]?]
    /// Constants that lose elements with the channels.
    private(set) var axes: [Axis: [Int]] = [:]
    /// Their keys, as they came.
    private(set) var axisOrder: [Axis] = []
    /// Constants of the shapes of outputs: they are written anew.
    private(set) var shapeConstants: [(tensor: Int, output: Int)] = []
    /// Constants of paddings that add channels, with those.
    var pads: [(tensor: Int, channels: [Int])] = []
    /// Operators whose filters produce channels, with the constant of the filter and its dimension.
    private(set) var producers: [(operation: Int, filter: Axis)] = []

    init(_ model: Model) {
        self.model = model
        graph = model.subgraphs[0]
        channels = [[Int]?](repeating: nil, count: graph.tensors.count)
        for input in graph.inputs where input >= 0 {
            channels[input] = units.make(width(input), reason: "'\(name(input))' is an input of the model")
        }
        for index in graph.operators.indices { follow(index) }
        for output in graph.outputs where output >= 0 {
            units.pin(of(output), "'\(name(output))' is an output of the model")
        }
    }

    func name(_ tensor: Int) -> String { graph.tensors[tensor].name }
    func shape(_ tensor: Int) -> [Int] { graph.tensors[tensor].shape }
    /// More channels than a network has are none that anybody could follow: whatever has them stays as it is.
    static let widest = 1 << 17
    private func width(_ tensor: Int) -> Int {
        let width = shape(tensor).last ?? 0
        return width <= Self.widest ? width : 0
    }
    func code(_ index: Int) -> BuiltinOperator { model.operatorCodes[graph.operators[index].opcode].builtin }

    /// The channels of a tensor. A constant has some of its own; those of a tensor nobody follows cannot be removed.
    mutating func of(_ tensor: Int) -> [Int] {
        if let known = channels[tensor] { return known }
        let made: [Int]
        if model.floats(0, tensor) != nil, !shape(tensor).isEmpty {
            made = units.make(width(tensor))
            attach(tensor, shape(tensor).count - 1, made)
        } else {
            made = units.make(width(tensor), reason: "it is not known where '\(name(tensor))' comes from")
        }
        channels[tensor] = made
        return made
    }

    /// A dimension of a constant goes along with channels.
    mutating func attach(_ tensor: Int, _ dimension: Int, _ labels: [Int]) {
        let axis = Axis(tensor: tensor, dimension: dimension)
        if let known = axes[axis] { return units.join(known, labels) }
        axes[axis] = labels
        axisOrder.append(axis)
    }

    mutating func set(_ tensor: Int, _ labels: [Int]) {
        guard labels.count == width(tensor) else { return }
        channels[tensor] = labels
    }

    mutating func rewriteShape(_ constant: Int, of output: Int) { shapeConstants.append((constant, output)) }

    /// New channels, from the dimension of a filter.
    mutating func produce(_ index: Int, _ filter: Int, _ dimension: Int, bias: Int?) {
        let output = graph.operators[index].outputs[0]
        let made = units.make(shape(filter)[dimension], producer: producers.count)
        producers.append((index, Axis(tensor: filter, dimension: dimension)))
        attach(filter, dimension, made)
        attachBias(bias, made)
        set(output, made)
    }

    mutating func attachBias(_ bias: Int?, _ labels: [Int]) {
        guard let bias, bias >= 0 else { return }
        if model.floats(0, bias) != nil, shape(bias) == [labels.count] {
            attach(bias, 0, labels)
        } else {
            units.pin(labels, "the bias '\(name(bias))' is not a constant vector")
        }
    }

    /// Nothing about this operator's channels can change.
    mutating func pin(_ index: Int, _ why: String = "cannot do with fewer channels") {
        let op = graph.operators[index]
        let output = op.outputs.first { $0 >= 0 }
        let reason = "\(model.operatorCodes[op.opcode].name)" + (output.map { " '\(name($0))'" } ?? "") + " " + why
        for input in op.inputs where input >= 0 && graph.tensors[input].type == .float32 {
            units.pin(of(input), reason)
        }
        for output in op.outputs where output >= 0 {
            channels[output] = units.make(width(output), reason: reason)
        }
    }

    /// The integers of a constant; nil if it is computed.
    func integers(_ tensor: Int) -> [Int]? {
        guard let data = model.constant(0, tensor) else { return nil }
        switch graph.tensors[tensor].type {
        case .int32: return data.array(of: Int32.self).map { Int($0) }
        case .int64: return data.array(of: Int64.self).map { Int($0) }
        default: return nil
        }
    }
}
