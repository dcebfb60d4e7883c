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
    /// The tensors that stand for resource variables.
    var variables: [(tensor: Int, name: String)] = []

    func info(_ tensor: Int) -> TensorInfo? { tensor < 0 ? nil : tensors[tensor] }
    func infos(_ indices: [Int]) -> [TensorInfo?] { indices.map { info($0) } }

    /// Bytes of a tensor's data, 0 where elements have no fixed size. Shapes are checked when they are set.
    func byteCount(_ tensor: Int) -> Int { tensors[tensor].type.byteCount(tensors[tensor].count) ?? 0 }

    /// How often each tensor is read: by nodes, as output, or because it is kept.
    func readCounts() -> [Int] {
        var counts = isKept.map { $0 ? 1 : 0 }
        for output in outputs { counts[output] += 1 }
        // By index: a node would be copied.
        for index in nodes.indices { for input in nodes[index].inputs where input >= 0 { counts[input] += 1 } }
        return counts
    }
}

/// An operator of the graph.
struct Node {
    /// Index in the model's subgraph; nodes of an inlined decomposition have that of the composite.
    let place: Int
    let isInlined: Bool
    let name: String
    let version: Int
    let definition: OperatorDefinition
    var options: Options
    let customOptions: Bytes?
    var inputs: [Int]
    var outputs: [Int]
    /// Tensors without data, for their quantization.
    var intermediates: [Int] = []
    /// Subgraphs that the operator runs.
    var subgraphs: [Int] = []
}

extension Failure {
    /// The same failure with the place it happened at in front.
    func at(_ node: Node, of origin: String) -> Failure {
        Failure(status, "\(origin): operator \(node.place), \(message)")
    }
}
