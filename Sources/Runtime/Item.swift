import Model
import Operators

/// What is planned as one: a node, or a partition that a delegate runs.
struct Item {
    var nodes: [Node]
    /// Index of the delegate; nil: the CPU.
    var delegate: Int?
    /// Tensors it reads; of a partition those from outside, constants included, each once. -1: left out.
    var inputs: [Int]
    /// Tensors it computes; of a partition those somebody outside reads.
    var outputs: [Int]

    /// Of the operator that the CPU runs; nil: a delegate's.
    var code: BuiltinOperator? { delegate == nil ? nodes[0].definition.code : nil }

    init(_ node: Node) {
        nodes = [node]
        delegate = nil
        inputs = node.inputs
        outputs = node.outputs
    }

    init(_ nodes: [Node], delegate: Int, inputs: [Int], outputs: [Int]) {
        self.nodes = nodes
        self.delegate = delegate
        self.inputs = inputs
        self.outputs = outputs
    }
}
