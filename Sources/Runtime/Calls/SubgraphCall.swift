import Kernels
import Model
import Operators

/// An operator that runs other subgraphs, compiled for the shapes of its tensors. They work in the memory of the
/// operator's own tensors wherever they can: `Execution.bind`.
@safe final class SubgraphCall {
    enum Kind {
        /// Subgraphs: the condition, the body. `changes`: of each state whether rounds compute it anew.
        case loop(changes: [Bool])
        /// Subgraphs: of a true condition, of a false one.
        case branch
        /// The number of its subgraph.
        case once(Int)
    }
    let kind: Kind
    let executions: [Execution]
    private let resources: Resources
    /// Rounds of a loop write the outputs of the operator and this memory by turns.
    private let spare: Storage
    private let offsets: [Int]
    /// Where each state is at the time.
    private let states: UnsafeMutablePointer<UnsafeMutableRawPointer?>

    /// `spare`: the bytes of each state of a loop.
    init(_ kind: Kind, _ executions: [Execution], _ resources: Resources, spare: Storage, offsets: [Int]) {
        self.kind = kind
        self.executions = executions
        self.resources = resources
        self.spare = spare
        self.offsets = offsets
        unsafe states = .allocate(capacity: max(1, offsets.count))
        unsafe states.initialize(repeating: nil, count: max(1, offsets.count))
    }

    deinit { unsafe states.deallocate() }

    var byteCount: Int { spare.count }

    /// `blocks`: the operator's inputs, then its outputs.
    func run(
        _ blocks: UnsafePointer<Invocation.Block>, inputs: Int, outputs: Int, _ pool: ThreadPool,
        _ cancellation: Cancellation
    ) throws(Failure) {
        switch kind {
        case .once(let subgraph):
            try resources.once(subgraph) { () throws(Failure) in try run(0, pool, cancellation) }
        case .branch:
            let chosen = unsafe blocks[0].base.load(as: UInt8.self) != 0 ? 0 : 1
            for index in 1..<inputs { unsafe executions[chosen].place(index - 1, at: blocks[index].base) }
            for index in 0..<outputs {
                unsafe executions[chosen].place(inputs - 1 + index, at: blocks[inputs + index].base)
            }
            try run(chosen, pool, cancellation)
        case .loop(let changes):
            try unsafe loop(blocks, changes, pool, cancellation)
        }
    }

    private func run(_ index: Int, _ pool: ThreadPool, _ cancellation: Cancellation) throws(Failure) {
        let execution = executions[index]
        execution.settle()
        do throws(Failure) { try execution.run(pool, cancellation, isProfiled: false) } catch {
            throw Failure(error.status, "subgraph \(execution.compiler.subgraph): \(error.message)")
        }
    }

    private func loop(
        _ blocks: UnsafePointer<Invocation.Block>, _ changes: [Bool], _ pool: ThreadPool, _ cancellation: Cancellation
    ) throws(Failure) {
        let count = changes.count
        for index in 0..<count { unsafe states[index] = unsafe blocks[index].base }
        var isOdd = false
        while true {
            // A body without operators would never ask.
            try cancellation.check()
            for index in 0..<count { unsafe executions[0].place(index, at: states[index]) }
            try run(0, pool, cancellation)
            guard executions[0].firstResult != 0 else { break }
            isOdd.toggle()
            for index in 0..<count {
                unsafe executions[1].place(index, at: states[index])
                guard changes[index] else { continue }
                unsafe states[index] = unsafe isOdd ? blocks[count + index].base : spare.address + offsets[index]
                unsafe executions[1].place(count + index, at: states[index])
            }
            try run(1, pool, cancellation)
        }
        for index in 0..<count {
            let (to, from) = unsafe (blocks[count + index], states[index])
            if let from = unsafe from, unsafe from != to.base {
                unsafe to.base.copyMemory(from: from, byteCount: to.byteCount)
            }
        }
    }
}

extension Compiler {
    /// Compiles the subgraphs that a node runs.
    func call(_ node: Node, _ graph: Graph) throws(Failure) -> SubgraphCall {
        let inputs = graph.infos(node.inputs).compactMap { $0 }
        let outputs = graph.infos(node.outputs).compactMap { $0 }
        guard inputs.count == node.inputs.count, outputs.count == node.outputs.count else {
            throw .unsupported("\(node.name): all of its inputs and outputs must be there")
        }
        switch node.definition.code {
        case .while:
            let condition = try execution(of: node.subgraphs[0], inputs, node)
            guard condition.resultCount == 1, condition.result(0).type == .bool, condition.result(0).count == 1 else {
                throw .unsupported("\(node.name): its condition is not a single BOOL")
            }
            let body = try execution(of: node.subgraphs[1], inputs, node)
            try requireResults(of: body, inputs, node)
            var (size, offsets): (Int, [Int]) = (0, [])
            for input in inputs {
                offsets.append(size)
                size += MemoryPlan.roundUp(input.type.byteCount(input.count) ?? 0)
            }
            return SubgraphCall(
                .loop(changes: body.resultIsComputed), [condition, body], resources, spare: try Storage.pages(size),
                offsets: offsets)
        case .if:
            guard let condition = inputs.first, condition.type == .bool, condition.count == 1 else {
                throw .unsupported("\(node.name): its condition is not a single BOOL")
            }
            var branches: [Execution] = []
            for subgraph in node.subgraphs {
                let branch = try execution(of: subgraph, Array(inputs.dropFirst()), node)
                try requireResults(of: branch, outputs, node)
                branches.append(branch)
            }
            return SubgraphCall(.branch, branches, resources, spare: try Storage.allocate(0), offsets: [])
        default:
            return SubgraphCall(
                .once(node.subgraphs[0]), [try execution(of: node.subgraphs[0], [], node)], resources,
                spare: try Storage.allocate(0), offsets: [])
        }
    }

    @inline(never)
    private func execution(of subgraph: Int, _ inputs: [TensorInfo], _ node: Node) throws(Failure) -> Execution {
        resources.calls += 1
        guard resources.calls <= Resources.mostCalls else {
            throw .unsupported("\(node.name): more than \(Resources.mostCalls) subgraphs would run")
        }
        let source = loaded.model.subgraphs[subgraph]
        var builder = try GraphBuilder(loaded, subgraph: subgraph)
        var graph = try builder.build(inputs: source.inputs, outputs: source.outputs)
        guard inputs.count == graph.inputs.count, Set(graph.inputs).count == inputs.count else {
            throw .unsupported("\(node.name): the inputs of subgraph \(subgraph) are not \(inputs.count) tensors")
        }
        for (input, info) in zip(graph.inputs, inputs) {
            guard info.type == graph.tensors[input].type, info.type.bits != nil else {
                throw .unsupported(
                    "\(node.name): \(info.described) cannot be \(graph.tensors[input].described) of subgraph \(subgraph)"
                )
            }
            graph.tensors[input].shape = info.shape
        }
        graph.joinListWrites()
        var compiler = Compiler(like: self, subgraph: subgraph)
        let plan = try compiler.plan(graph)
        if let next = plan.rest?.nodes.first {
            throw .unsupported(
                "\(node.name): shapes in subgraph \(subgraph) depend on values: operator \(next.place), \(next.name)")
        }
        return try Execution(plan, compiler, log: { _, _ in })
    }

    @inline(never)
    private func requireResults(
        of execution: Execution, _ expected: [TensorInfo], _ node: Node
    ) throws(Failure) {
        guard execution.resultCount == expected.count else {
            throw .unsupported(
                "\(node.name): subgraph \(execution.compiler.subgraph) has \(execution.resultCount) outputs")
        }
        for (index, info) in expected.enumerated() {
            let result = execution.result(index)
            guard result.type == info.type, result.shape == info.shape else {
                throw .unsupported(
                    "\(node.name): \(info.described) would become \(result.described); tensors that a subgraph is given"
                        + " and gives back must keep type and shape")
            }
        }
    }
}
