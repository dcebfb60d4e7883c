import Model
import Operators

extension Compiler {
    /// Drops nodes whose results nobody reads. Of the first `ready` nodes, returns how many are left.
    mutating func eliminateDead(_ graph: inout Graph, ready: Int) -> Int {
        var isRead = graph.isKept
        for output in graph.outputs { isRead[output] = true }
        var staying: [Node] = []
        var count = ready
        for (index, node) in graph.nodes.enumerated().reversed() {
            let hasState = node.inputs.contains { $0 >= 0 && graph.tensors[$0].isVariable }
            guard
                hasState || node.outputs.isEmpty || !node.subgraphs.isEmpty
                    || node.outputs.contains(where: { isRead[$0] })
            else {
                decide(node, runner: "unused")
                if index < ready { count -= 1 }
                continue
            }
            for input in node.inputs where input >= 0 { isRead[input] = true }
            staying.append(node)
        }
        graph.nodes = staying.reversed()
        graph.countReads()
        return count
    }
}
