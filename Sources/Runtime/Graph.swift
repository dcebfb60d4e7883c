import Kernels
import Model
import Operators

/// A subgraph on its way to a plan. Tensors keep the indices they have in the model; those of inlined decompositions
/// follow. A value: a pass changes its own copy, and what fails leaves nothing behind.
struct Graph {
    var tensors: [TensorInfo]
    /// False: the shape depends on values that are not computed yet; `tensors` has what the file states.
    var hasShape: [Bool]
    /// Constants computed from constants of the model alone, which all interpreters of the model can share.
    var isShareable: [Bool]
    /// In execution order; those already planned, folded or found useless are gone.
    var nodes: [Node]
    var inputs: [Int]
    var outputs: [Int]
    /// Tensors that stay readable after invoke though they are no outputs.
    var isKept: [Bool]
    /// Of each tensor, when `countReads` was called last.
    private(set) var readCounts: [Int] = []
    /// The tensors that stand for resource variables.
    var variables: [(tensor: Int, name: String)] = []

    func info(_ tensor: Int) -> TensorInfo? { tensor < 0 ? nil : tensors[tensor] }
    func infos(_ indices: [Int]) -> [TensorInfo?] { indices.map { info($0) } }

    /// Bytes of a tensor's data, 0 where elements have no fixed size. Shapes are checked when they are set.
    func byteCount(_ tensor: Int) -> Int { tensors[tensor].type.byteCount(tensors[tensor].count) ?? 0 }

    /// Counts how often each tensor is read: by nodes, as output, or because it is kept.
    mutating func countReads() {
        readCounts = isKept.map { $0 ? 1 : 0 }
        for output in outputs { readCounts[output] += 1 }
        for node in nodes { for input in node.inputs where input >= 0 { readCounts[input] += 1 } }
    }

    /// The same when `items` have taken the place of `others`.
    mutating func countReads(by items: [Item], insteadOf others: [Item]) {
        for (items, count) in [(others, -1), (items, 1)] {
            for item in items { for input in item.inputs where input >= 0 { readCounts[input] += count } }
        }
    }
}

/// An operator of the graph. Immutable, and not a structure: passes hand nodes on far more often than they change one.
final class Node: Sendable {
    /// Index in the model's subgraph; nodes of an inlined decomposition have that of the composite.
    let place: Int
    let isInlined: Bool
    let name: String
    let version: Int
    let definition: OperatorDefinition
    let options: Options
    let customOptions: Bytes?
    let inputs: [Int]
    let outputs: [Int]
    /// Tensors without data, for their quantization.
    let intermediates: [Int]
    /// Subgraphs that the operator runs.
    let subgraphs: [Int]

    init(
        place: Int, isInlined: Bool, name: String, version: Int, definition: OperatorDefinition,
        options: Options = .none, customOptions: Bytes? = nil, inputs: [Int], outputs: [Int],
        intermediates: [Int] = [], subgraphs: [Int] = []
    ) {
        self.place = place
        self.isInlined = isInlined
        self.name = name
        self.version = version
        self.definition = definition
        self.options = options
        self.customOptions = customOptions
        self.inputs = inputs
        self.outputs = outputs
        self.intermediates = intermediates
        self.subgraphs = subgraphs
    }

    /// The same operator with another value in a field of its options.
    func with(_ option: Int, _ value: OptionValue, outputs: [Int]? = nil) -> Node {
        var options = options
        options[option] = value
        return Node(
            place: place, isInlined: isInlined, name: name, version: version, definition: definition, options: options,
            customOptions: customOptions, inputs: inputs, outputs: outputs ?? self.outputs,
            intermediates: intermediates, subgraphs: subgraphs)
    }
}

extension Failure {
    /// The same failure with the place it happened at in front.
    func at(_ node: Node, of origin: String) -> Failure {
        Failure(status, "\(origin): operator \(node.place), \(message)")
    }
}
