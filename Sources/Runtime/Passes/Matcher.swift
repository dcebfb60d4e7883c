import Model
import Operators

/// Finds patterns of operators among the items that the CPU runs, and puts one operator in the place of each.
struct Matcher {
    private(set) var graph: Graph
    private(set) var items: [Item]
    /// Item that computes each tensor; -1: none, or a delegate.
    private let producer: [Int]
    private let counts: [Int]
    private var isGone: [Bool]
    /// Items of the pattern that is being matched.
    private var taken: [Int] = []

    init(_ graph: Graph, _ items: [Item]) {
        self.graph = graph
        self.items = items
        counts = graph.readCounts
        isGone = [Bool](repeating: false, count: items.count)
        var producer = [Int](repeating: -1, count: graph.tensors.count)
        for (index, item) in items.enumerated() where item.delegate == nil {
            for output in item.outputs { producer[output] = index }
        }
        self.producer = producer
    }

    var indices: Range<Int> { items.indices }
    var left: [Item] { items.indices.filter { !isGone[$0] }.map { items[$0] } }

    /// The node of an item the CPU runs.
    func node(_ index: Int) -> Node? { items[index].delegate == nil && !isGone[index] ? items[index].nodes[0] : nil }

    /// Begins a pattern that ends with item `index`.
    mutating func begin(_ index: Int) { taken = [index] }

    /// The node that computes `tensor`, which becomes part of the pattern, if it is one of `codes`.
    mutating func take(_ tensor: Int, _ codes: BuiltinOperator...) -> Node? { take(tensor, codes) }

    mutating func take(_ tensor: Int, _ codes: [BuiltinOperator]) -> Node? {
        guard let node = peek(tensor, codes) else { return nil }
        if !taken.contains(producer[tensor]) { taken.append(producer[tensor]) }
        return node
    }

    /// The node that computes `tensor`, if it is one of `codes`.
    func peek(_ tensor: Int, _ codes: [BuiltinOperator]) -> Node? {
        guard tensor >= 0, producer[tensor] >= 0, let node = node(producer[tensor]),
            codes.contains(node.definition.code)
        else { return nil }
        return node
    }

    func readCount(_ tensor: Int) -> Int { counts[tensor] }
    func isReadOnce(_ tensor: Int) -> Bool { counts[tensor] == 1 }

    /// Number of the item that computes `tensor`; -1: none of the CPU's.
    func age(_ tensor: Int) -> Int { producer[tensor] }

    /// The two operands of a node in both orders.
    func orders(_ node: Node) -> [(Int, Int)] {
        guard node.inputs.count == 2 else { return [] }
        return [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])]
    }

    func isConstant(_ tensor: Int) -> Bool { tensor >= 0 && graph.tensors[tensor].isConstant }

    /// The elements of a float32 constant.
    func floats(_ tensor: Int) -> [Float]? {
        guard tensor >= 0, graph.tensors[tensor].type == .float32 else { return nil }
        return graph.tensors[tensor].constant?.array(of: Float.self)
    }

    func scalar(_ tensor: Int) -> Float? {
        // Weights are not copied to find out how many they are.
        guard tensor >= 0, graph.tensors[tensor].count == 1 else { return nil }
        return floats(tensor)?.first
    }

    /// No fused activation.
    func isPlain(_ node: Node) -> Bool {
        guard let field = FusedActivation.place(in: node.definition.code)?.field else { return true }
        return node.options.int(field) == 0
    }

    /// Nobody outside the pattern reads what it computes on the way, and something was taken.
    private var isClosed: Bool {
        var reads: [Int: Int] = [:]
        for index in taken { for input in items[index].inputs where input >= 0 { reads[input, default: 0] += 1 } }
        return taken.count > 1
            && taken.dropFirst().allSatisfy { index in
                items[index].outputs.allSatisfy { counts[$0] == reads[$0, default: 0] }
            }
    }

    /// Puts an operator with `definition` in the place of the pattern's last item. Returns the nodes it replaces, the
    /// last first; nil: something in between is needed by others.
    mutating func replace(
        _ definition: OperatorDefinition, name: String, inputs: [Int], options: Options = .none,
        customOptions: Bytes? = nil, version: Int = 1
    ) -> [Node]? {
        guard isClosed else { return nil }
        let last = items[taken[0]].nodes[0]
        let nodes = taken.map { items[$0].nodes[0] }
        for index in taken.dropFirst() { isGone[index] = true }
        items[taken[0]] = Item(
            Node(
                place: last.place, isInlined: last.isInlined, name: name, version: version, definition: definition,
                options: options, customOptions: customOptions, inputs: inputs, outputs: last.outputs))
        return nodes
    }

    /// Puts an operator with `definition` in the place of the one item taken, whose results and those of the pattern's
    /// last item it computes.
    mutating func branch(_ definition: OperatorDefinition, name: String) -> [Node]? {
        guard taken.count == 2 else { return nil }
        let (last, first) = (items[taken[0]].nodes[0], items[taken[1]].nodes[0])
        isGone[taken[0]] = true
        items[taken[1]] = Item(
            Node(
                place: first.place, isInlined: first.isInlined, name: name, version: first.version,
                definition: definition, inputs: first.inputs, outputs: first.outputs + last.outputs))
        return [first, last]
    }
}

extension Compiler {
    /// Runs `match` for every item of the CPU, or for those with one of `codes`; it gives the nodes that one has replaced,
    /// the last first. Not optimized: there would be a copy of it for each pass.
    @_optimize(none)
    mutating func rewrite(
        _ graph: Graph, _ items: inout [Item], endingWith codes: [BuiltinOperator] = [], fromEnd: Bool = false,
        _ match: (inout Matcher, Int, Node) -> [Node]?
    ) {
        let ends = items.indices.filter { index in
            guard let code = items[index].code else { return false }
            return codes.isEmpty || codes.contains(code)
        }
        guard !ends.isEmpty else { return }
        var matcher = Matcher(graph, items)
        var hasMatched = false
        for number in ends.indices {
            let index = ends[fromEnd ? ends.count - 1 - number : number]
            guard let node = matcher.node(index), !node.outputs.isEmpty else { continue }
            matcher.begin(index)
            guard let replaced = match(&matcher, index, node) else { continue }
            hasMatched = true
            for node in replaced.dropFirst() {
                decide(node, runner: "fused", reason: "fused into operator \(replaced[0].place)")
            }
        }
        if hasMatched { items = matcher.left }
    }

    /// Drops operators that only move numbers, and joins those that one kernel can do in one pass over the memory.
    /// `isWhole`: nobody else reads what they compute.
    mutating func fusePatterns(_ graph: inout Graph, _ items: inout [Item], isWhole: Bool) {
        let operators = items
        if !isObserved { fusePadding(graph, &items) }
        joinConversions(graph, &items)
        fuseSoftmax(graph, &items)
        fuseAttention(graph, &items)
        fuseTransposes(&graph, &items)
        fuseLayerNormalization(graph, &items)
        fuseHardSwish(graph, &items)
        guard !isObserved else { return fuseScaleShift(graph, &items) }
        fuseGelu(graph, &items)
        fuseSwish(graph, &items)
        tabulateBytes(graph, &items)
        // A function reads its argument once, and may follow the layer that computes it.
        graph.countReads(by: items, insteadOf: operators)
        fuseScaledLayers(graph, &items)
        fuseScaleShift(graph, &items)
        fuseFollowing(graph, &items)
        fuseBranches(graph, &items)
        if isWhole { roundImages(&graph, items) }
        fuseCascades(graph, &items)
    }
}
