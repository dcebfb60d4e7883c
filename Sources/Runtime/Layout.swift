import Model
import Operators

/// What is known about a tensor's memory before a segment is planned.
enum Role: Equatable {
    /// The segment places it in its arena.
    case local
    /// Output `index` of the interpreter, which the caller can bind: it lies outside the arena.
    case output(Int)
    /// It has memory already: an input, a variable, a result of an earlier segment. The segment may write it only as
    /// the result of the operator that computes it.
    case placed
}

/// Where a segment puts the tensors it computes, and its scratch memory.
struct Layout {
    enum Location: Equatable {
        case none
        case arena(Int)
        case output(Int)
        /// The memory of another tensor, placed before this segment.
        case same(as: Int)
    }
    /// Memory that tensors share because one is computed in the place of the other, or is the other by another name.
    private struct Shared {
        var output: Int?
        var bytes: Int
        var bits: Int
        var first: Int
        var last: Int
        /// A member is kept for the caller, who must never see it change.
        var isKept: Bool
    }

    private let graph: Graph
    private let roles: [Role]
    /// Last item that reads a tensor; Int.max: somebody does afterwards.
    private var lastUse: [Int]
    private var shared: [Shared] = []
    private var sharedOf: [Int]
    private var scratches: [(bytes: Int, item: Int, last: Int)] = []
    /// Items that are views, but whose result needs memory of its own.
    private(set) var isCopied: [Bool]

    private(set) var locations: [Location]
    private(set) var scratchOffsets: [Int] = []
    private(set) var arenaSize = 0

    init(_ graph: Graph, items: [Item], rest: Graph?, roles: [Role]) {
        self.graph = graph
        self.roles = roles
        lastUse = [Int](repeating: -1, count: graph.tensors.count)
        sharedOf = lastUse
        locations = [Location](repeating: .none, count: graph.tensors.count)
        isCopied = [Bool](repeating: false, count: items.count)
        for (index, item) in items.enumerated() {
            for input in item.inputs where input >= 0 { lastUse[input] = index }
        }
        for tensor in graph.tensors.indices where graph.isKept[tensor] { lastUse[tensor] = .max }
        for output in graph.outputs { lastUse[output] = .max }
        for node in rest?.nodes ?? [] { for input in node.inputs where input >= 0 { lastUse[input] = .max } }
        for (index, item) in items.enumerated() { place(item, at: index) }
    }

    private func role(_ tensor: Int) -> Role { graph.tensors[tensor].isConstant ? .placed : roles[tensor] }

    private mutating func place(_ item: Item, at index: Int) {
        let definition = item.delegate == nil ? item.nodes[0].definition : nil
        if definition?.isView == true {
            isCopied[index] = !view(item.inputs[0], as: item.outputs[0])
            if !isCopied[index] { return }
        }
        var outputs = item.outputs[...]
        if definition?.inPlace == true, overwrite(item.inputs, with: item.outputs[0], at: index) {
            outputs = outputs.dropFirst()
        }
        for output in outputs where role(output) != .placed { allocate(output, at: index) }
    }

    private mutating func allocate(_ tensor: Int, at index: Int) {
        var output: Int?
        if case .output(let number) = role(tensor) { output = number }
        sharedOf[tensor] = shared.count
        shared.append(
            Shared(
                output: output, bytes: graph.byteCount(tensor), bits: bits(tensor), first: index,
                last: max(index, lastUse[tensor]), isKept: graph.isKept[tensor]))
    }

    private func bits(_ tensor: Int) -> Int { graph.tensors[tensor].type.bits ?? 0 }

    /// Gives `input` a second name. False: the result needs memory of its own. Memory bound by the caller is aligned to
    /// its own element type only, hence the same width on both sides.
    private mutating func view(_ input: Int, as result: Int) -> Bool {
        guard graph.byteCount(input) == graph.byteCount(result), bits(input) == bits(result) else { return false }
        let index = sharedOf[input]
        if index >= 0 { return join(result, index) }
        guard role(result) == .local, !graph.tensors[input].isVariable else { return false }
        if case .same(let origin) = locations[input] {
            locations[result] = .same(as: origin)
        } else {
            locations[result] = .same(as: input)
        }
        return true
    }

    /// Lets an elementwise operator write its result over its first input, if nobody needs that any more.
    private mutating func overwrite(_ inputs: [Int], with result: Int, at index: Int) -> Bool {
        guard let input = inputs.first, input >= 0, sharedOf[input] >= 0 else { return false }
        let target = sharedOf[input]
        guard shared[target].output == nil, shared[target].last <= index, !shared[target].isKept,
            shared[target].bytes == graph.byteCount(result), shared[target].bits == bits(result),
            // Another shape of the same memory would be read at other places than it is written.
            inputs.dropFirst().allSatisfy({ $0 < 0 || sharedOf[$0] != target || $0 == input })
        else { return false }
        return join(result, target)
    }

    private mutating func join(_ tensor: Int, _ target: Int) -> Bool {
        switch role(tensor) {
        case .placed: return false
        case .output(let number):
            guard shared[target].output == nil, !shared[target].isKept, !graph.isKept[tensor] else { return false }
            shared[target].output = number
        case .local: break
        }
        sharedOf[tensor] = target
        shared[target].last = max(shared[target].last, lastUse[tensor])
        if graph.isKept[tensor] { shared[target].isKept = true }
        return true
    }

    // MARK: Scratch

    mutating func addScratch(_ sizes: [Int], of item: Int) {
        for bytes in sizes { scratches.append((bytes, item, item)) }
    }

    /// A later item reads what is left in a scratch block.
    mutating func keepScratch(_ index: Int, until item: Int) { scratches[index].last = item }

    /// Numbers of the scratch blocks of an item.
    func scratch(of item: Int) -> [Int] { scratches.indices.filter { scratches[$0].item == item } }
    func scratchSize(_ index: Int) -> Int { scratches[index].bytes }

    // MARK: Offsets

    /// Packs everything into the arena.
    mutating func assign() {
        let inside = shared.indices.filter { shared[$0].output == nil }
        let plan = MemoryPlan(
            inside.map { .init(bytes: shared[$0].bytes, first: shared[$0].first, last: shared[$0].last) }
                + scratches.map { .init(bytes: $0.bytes, first: $0.item, last: $0.last) })
        var offsets = [Int](repeating: 0, count: shared.count)
        for (index, owner) in inside.enumerated() { offsets[owner] = plan.offsets[index] }
        for tensor in graph.tensors.indices where sharedOf[tensor] >= 0 {
            let owner = shared[sharedOf[tensor]]
            locations[tensor] = owner.output.map { .output($0) } ?? .arena(offsets[sharedOf[tensor]])
        }
        scratchOffsets = Array(plan.offsets[inside.count...])
        arenaSize = plan.size
    }
}
