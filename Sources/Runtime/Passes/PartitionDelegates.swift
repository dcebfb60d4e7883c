import Model
import Operators

extension Compiler {
    /// Groups the first `count` nodes into what each delegate runs and what stays with the CPU, in an order in which
    /// everything is computed before it is read. The first delegate that takes an operator gets it.
    mutating func partition(_ graph: Graph, count: Int) throws(Failure) -> [Item] {
        let nodes = Array(graph.nodes[..<count])
        guard !delegates.isEmpty else { return nodes.map { Item($0) } }
        let owners = nodes.map { owner(of: $0, graph) }
        var grouping = Grouping(nodes, owners: owners)
        grouping.mergeNeighbours()
        let counts = graph.readCounts
        return grouping.order().map { group in
            let members = group.map { nodes[$0] }
            guard let delegate = owners[group[0]] else { return Item(members[0]) }
            return item(members, delegate, counts)
        }
    }

    private mutating func owner(of node: Node, _ graph: Graph) -> Int? {
        guard !node.isInlined else {
            decide(node, reason: "part of a decomposition")
            return nil
        }
        let query = DelegateOperator(
            subgraph: subgraph, index: node.place,
            inputs: node.inputs.map { input in graph.info(input).map { DelegateTensor(index: input, info: $0) } },
            outputs: node.outputs.map { DelegateTensor(index: $0, info: graph.tensors[$0]) })
        var reasons: [String] = []
        for (index, delegate) in delegates.enumerated() {
            guard let reason = delegate.refusal(of: query) else {
                decide(node, reason: reasons.joined(separator: "; "))
                return index
            }
            reasons.append(delegate.name + ": " + reason)
        }
        decide(node, reason: reasons.joined(separator: "; "))
        return nil
    }

    private func item(_ members: [Node], _ delegate: Int, _ counts: [Int]) -> Item {
        var readInside: [Int: Int] = [:]
        var inputs: [Int] = []
        let computed = Set(members.flatMap { $0.outputs })
        for node in members {
            for input in node.inputs where input >= 0 {
                readInside[input, default: 0] += 1
                if !computed.contains(input), !inputs.contains(input) { inputs.append(input) }
            }
        }
        let outputs = members.flatMap { $0.outputs }.filter { counts[$0] > readInside[$0, default: 0] }
        return Item(members, delegate: delegate, inputs: inputs, outputs: outputs)
    }
}

/// Nodes in groups; each group is run as one. The graph of groups has no cycle.
private struct Grouping {
    private let owners: [Int?]
    private var group: [Int]
    private let successors: [[Int]]
    private var members: [[Int]]

    init(_ nodes: [Node], owners: [Int?]) {
        self.owners = owners
        group = Array(nodes.indices)
        members = nodes.indices.map { [$0] }
        var producer: [Int: Int] = [:]
        var successors = [[Int]](repeating: [], count: nodes.count)
        for (index, node) in nodes.enumerated() {
            for input in node.inputs { if let from = producer[input] { successors[from].append(index) } }
            for output in node.outputs { producer[output] = index }
        }
        self.successors = successors
    }

    /// Merges neighbours of one owner until no two can be merged: not when a path leaves the one and comes back into
    /// the other, because what lies on it must run in between.
    mutating func mergeNeighbours() {
        var hasChanged = true
        while hasChanged {
            hasChanged = false
            for from in group.indices {
                guard let owner = owners[from] else { continue }
                for to in successors[from] where owners[to] == owner && group[to] != group[from] {
                    guard !hasPathAround(group[from], group[to]) else { continue }
                    merge(group[from], group[to])
                    hasChanged = true
                }
            }
        }
    }

    private mutating func merge(_ first: Int, _ second: Int) {
        for node in members[second] { group[node] = first }
        members[first] = (members[first] + members[second]).ascending()
        members[second] = []
    }

    /// Is there a path from group `first` to group `second` through others?
    private func hasPathAround(_ first: Int, _ second: Int) -> Bool {
        var isSeen = [Bool](repeating: false, count: group.count)
        isSeen[first] = true
        var waiting: [Int] = []
        for node in members[first] {
            for next in successors[node] where group[next] != second && !isSeen[group[next]] {
                isSeen[group[next]] = true
                waiting.append(group[next])
            }
        }
        while let current = waiting.popLast() {
            for node in members[current] {
                for next in successors[node] {
                    if group[next] == second { return true }
                    guard !isSeen[group[next]] else { continue }
                    isSeen[group[next]] = true
                    waiting.append(group[next])
                }
            }
        }
        return false
    }

    /// The groups, each after those it reads from; among those that could come next, the one that begins first.
    func order() -> [[Int]] {
        var missing = [Int](repeating: 0, count: group.count)
        for from in group.indices {
            for to in successors[from] where group[to] != group[from] { missing[group[to]] += 1 }
        }
        var ready = members.indices.filter { !members[$0].isEmpty && missing[$0] == 0 }
        var result: [[Int]] = []
        while let next = ready.min(by: { members[$0][0] < members[$1][0] }) {
            ready.removeAll { $0 == next }
            result.append(members[next])
            for node in members[next] {
                for to in successors[node] where group[to] != next {
                    missing[group[to]] -= 1
                    if missing[group[to]] == 0 { ready.append(group[to]) }
                }
            }
        }
        return result
    }
}
