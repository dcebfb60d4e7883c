import CEdgeOpt
import CPlatform
import Kernels
import Model
import Operators

/// A graph compiled for one set of input shapes, with all its memory.
@safe final class Execution {
    /// The compiler goes on where values decide shapes, and where a delegate fails.
    var compiler: Compiler
    /// With the shapes known so far.
    private(set) var graph: Graph
    private(set) var memory: Memory
    /// Inputs, then outputs.
    private(set) var endpoints: [Endpoint]
    let inputCount: Int
    private let ports: Storage
    let states: Storage
    private var stateTensors: [(tensor: Int, offset: Int)] = []
    /// The first can be planned before anything runs; each of the others when those before it have run.
    private(set) var segments: [Segment] = []
    /// Which tensors lie in the memory of each endpoint.
    private var endpointTensors: [[Int]] = []
    /// Which blocks of which segment hold them.
    private var endpointBlocks: [[(segment: Segment, blocks: [Int])]] = []
    var profile: Profile
    /// Shown what each step computes.
    var observer: Observer?
    private let log: Log

    /// `compiler` is the one that made `plan`.
    init(_ plan: SegmentPlan, _ compiler: Compiler, log: @escaping Log) throws(Failure) {
        self.compiler = compiler
        graph = plan.graph
        self.log = log
        inputCount = plan.graph.inputs.count
        profile = Profile(count: compiler.decisions.count)
        memory = Memory(tensorCount: graph.tensors.count, inputCount: inputCount)
        endpoints = Self.endpoints(plan)

        var size = 0
        var offsets: [Int] = []
        for endpoint in endpoints {
            offsets.append(size)
            if endpoint.isOwn { size += MemoryPlan.roundUp(endpoint.bytes) }
        }
        ports = try Storage.pages(size)
        for index in endpoints.indices where endpoints[index].isOwn {
            let home = unsafe ports.address + offsets[index]
            unsafe endpoints[index].home = home
            unsafe memory.set(endpoints[index].tensor, home, endpoint: index)
        }
        var stateSize = 0
        for (tensor, info) in graph.tensors.enumerated() where info.isVariable {
            if let variable = graph.variables.first(where: { $0.tensor == tensor }) {
                unsafe memory.set(tensor, try compiler.resources.memory(of: variable.name, info))
                continue
            }
            stateTensors.append((tensor, stateSize))
            stateSize += MemoryPlan.roundUp(graph.byteCount(tensor))
        }
        states = try Storage.pages(stateSize)
        for (tensor, offset) in stateTensors { unsafe memory.set(tensor, states.address + offset) }
        resetStates()
        add(try Segment(plan, compiler, memory: &memory))
    }

    private static func endpoints(_ plan: SegmentPlan) -> [Endpoint] {
        let graph = plan.graph
        func endpoint(_ tensor: Int, isOwn: Bool) -> Endpoint {
            let isKnown = graph.hasShape[tensor]
            return Endpoint(
                tensor: tensor, isOwn: isOwn, bytes: isKnown ? graph.byteCount(tensor) : 0,
                alignment: max(1, min(8, (graph.tensors[tensor].type.bits ?? 8) / 8)))
        }
        let inputs = graph.inputs.map { endpoint($0, isOwn: true) }
        let outputs = graph.outputs.enumerated().map { number, tensor in
            endpoint(tensor, isOwn: plan.layout.locations[tensor] == .output(number))
        }
        return inputs + outputs
    }

    private func add(_ segment: Segment) {
        segments.append(segment)
        register(segment)
    }

    /// Notes which tensors and blocks move with which endpoint.
    private func register(_ segment: Segment) {
        endpointTensors = endpoints.map { _ in [] }
        for (tensor, endpoint) in memory.endpoint.enumerated() where endpoint >= 0 {
            endpointTensors[endpoint].append(tensor)
        }
        if endpointBlocks.isEmpty { endpointBlocks = endpoints.map { _ in [] } }
        var blocks = [[Int]](repeating: [], count: endpoints.count)
        for (index, tensor) in segment.blockTensors.enumerated() where tensor >= 0 {
            let endpoint = memory.endpoint[tensor]
            if endpoint >= 0 { blocks[endpoint].append(index) }
        }
        for endpoint in blocks.indices where !blocks[endpoint].isEmpty {
            endpointBlocks[endpoint].append((segment, blocks[endpoint]))
        }
    }

    private func forget(_ segment: Segment) {
        let fallbacks = segment.partitions.compactMap { $0.fallback }
        for endpoint in endpointBlocks.indices {
            endpointBlocks[endpoint].removeAll { entry in
                entry.segment === segment || fallbacks.contains { $0 === entry.segment }
            }
        }
    }

    var arenaSize: Int {
        let own = segments.reduce(0) { sum, segment in
            sum + segment.arena.count + segment.partitions.reduce(0) { $0 + ($1.fallback?.arena.count ?? 0) }
        }
        return calls.reduce(own) { $1.executions.reduce($0 + $1.byteCount) { $0 + $1.arenaSize } }
    }

    /// The steps that run other subgraphs.
    private var calls: [SubgraphCall] { segments.flatMap { $0.calls } }

    /// Fills what holds nothing between invokes with bytes that make every float a NaN.
    func poison() {
        for segment in segments {
            let arena = segment.arena
            unsafe arena.address.initializeMemory(as: UInt8.self, repeating: 0xff, count: arena.count)
        }
        for call in calls { for execution in call.executions { execution.poison() } }
    }

    // MARK: Variables

    func resetStates() {
        unsafe states.address.initializeMemory(as: UInt8.self, repeating: 0, count: states.count)
        for (tensor, offset) in stateTensors {
            let info = graph.tensors[tensor]
            if info.type == .int8 {
                // The zero of a quantized state is its zero point.
                let zero = UInt8(truncatingIfNeeded: info.zeroPoint)
                unsafe (states.address + offset).initializeMemory(
                    as: UInt8.self, repeating: zero, count: graph.byteCount(tensor))
            }
        }
        for call in calls { for execution in call.executions { execution.resetStates() } }
    }

    func copyStates(from other: Execution) {
        for (call, old) in zip(calls, other.calls) {
            for (execution, before) in zip(call.executions, old.executions) { execution.copyStates(from: before) }
        }
        guard other.states.count == states.count, states.count > 0 else { return }
        unsafe states.address.copyMemory(from: other.states.address, byteCount: states.count)
    }

    // MARK: Binding

    /// The caller's memory for an endpoint; nil: the library's own.
    @unsafe func bind(_ index: Int, to memory: UnsafeMutableRawPointer?) {
        unsafe endpoints[index].bound = memory
        // An output can be written in place only where nobody else reads or writes, so it depends on all the others.
        if index < inputCount { settle(index) }
        for output in inputCount..<endpoints.count { settle(output) }
    }

    /// Gives an input or, after the inputs, an output memory that counts from the next `settle()` on.
    @unsafe func place(_ index: Int, at memory: UnsafeMutableRawPointer?) { unsafe endpoints[index].bound = memory }

    func settle() { for index in endpoints.indices { settle(index) } }

    private func settle(_ index: Int) {
        let endpoint = endpoints[index]
        var binding = Endpoint.Binding.arena
        if unsafe endpoint.bound != nil {
            let isAlone = index < inputCount || !(0..<index).contains { endpoints[$0].overlaps(endpoint) }
            binding = endpoint.isOwn && endpoint.isAligned && isAlone ? .direct : .copied
        }
        endpoints[index].binding = binding
        guard endpoint.isOwn,
            let address = unsafe binding == .direct ? endpoint.bound : endpoint.home,
            unsafe memory.data(endpoint.tensor) != address
        else { return }
        unsafe memory.move(endpointTensors[index], to: address)
        for (segment, blocks) in endpointBlocks[index] { unsafe segment.move(blocks, to: address) }
    }

    // MARK: Results

    var resultCount: Int { endpoints.count - inputCount }
    func result(_ index: Int) -> TensorInfo { graph.tensors[endpoints[inputCount + index].tensor] }
    /// Of each output whether it is anything but the input of the same number.
    var resultIsComputed: [Bool] {
        (0..<resultCount).map { $0 >= inputCount || endpoints[inputCount + $0].tensor != endpoints[$0].tensor }
    }
    /// Output 0 of one byte.
    var firstResult: UInt8 { unsafe memory.address(of: endpoints[inputCount].tensor).load(as: UInt8.self) }

    // MARK: Running

    func run(_ pool: ThreadPool, _ cancellation: Cancellation, isProfiled: Bool) throws(Failure) {
        for index in 0..<inputCount where endpoints[index].binding == .copied {
            let endpoint = endpoints[index]
            guard let to = unsafe endpoint.home, let from = unsafe endpoint.bound else { continue }
            unsafe to.copyMemory(from: from, byteCount: endpoint.bytes)
        }
        var position = 0
        while position < segments.count {
            try run(segments[position], pool, cancellation, isProfiled)
            if let rest = segments[position].rest { try continuePlan(rest, after: position) }
            position += 1
        }
        for index in inputCount..<endpoints.count where endpoints[index].binding == .copied {
            let endpoint = endpoints[index]
            guard let to = unsafe endpoint.bound, let from = unsafe memory.data(endpoint.tensor) else { continue }
            unsafe to.copyMemory(from: from, byteCount: endpoint.bytes)
        }
    }

    private func run(
        _ segment: Segment, _ pool: ThreadPool, _ cancellation: Cancellation, _ isProfiled: Bool
    ) throws(Failure) {
        for index in segment.steps.indices {
            try cancellation.check()
            let start = isProfiled ? platform_nanoseconds() : 0
            let step = segment.steps[index]
            switch step.kind {
            case .kernel:
                do throws(Failure) { try segment.kernels[step.number].run(segment.invocation(step, pool)) } catch {
                    throw Failure(error.status, "operator \(step.place), \(error.message)")
                }
            case .copy:
                let from = unsafe segment.blocks[step.first]
                let to = unsafe segment.blocks[step.first + step.inputs]
                unsafe to.base.copyMemory(from: from.base, byteCount: min(from.byteCount, to.byteCount))
            case .call:
                do throws(Failure) {
                    try unsafe segment.calls[step.number].run(
                        segment.blocks + step.first, inputs: step.inputs, outputs: step.outputs, pool, cancellation)
                } catch {
                    throw Failure(error.status, "operator \(step.place), \(segment.names[index]): \(error.message)")
                }
            case .delegate:
                try unsafe run(
                    segment.partitions[step.number], segment.blocks + step.first, pool, cancellation, isProfiled)
            }
            if isProfiled { profile.add(step.place, platform_nanoseconds() &- start) }
            if let observer { segment.show(step, to: observer) }
        }
    }

    // MARK: Delegates

    /// Has the delegates make their partitions ready, with the kernels of `old` where they serve or can be resized.
    /// What a delegate cannot do the CPU does, so this never fails.
    func attachDelegates(old: [Partition]) { for segment in segments { attachDelegates(segment, old: old) } }

    var partitions: [Partition] { segments.flatMap { $0.partitions } }

    private func attachDelegates(_ segment: Segment, old: [Partition]) {
        for partition in segment.partitions {
            do throws(Failure) {
                try partition.attach(compiler.delegates[partition.delegate], old: old)
            } catch { refuse(partition, error) }
        }
    }

    /// Notes a delegate's failure and plans the partition for the CPU. If that is impossible now, invoke says so.
    private func refuse(_ partition: Partition, _ failure: Failure) {
        let name = compiler.delegates[partition.delegate].name
        log(.warning, name + " failed, the CPU takes over: " + failure.message)
        partition.kernel = nil
        partition.failure = name + ": " + failure.message
        do throws(Failure) { try takeOver(partition) } catch {
            log(.warning, "the CPU cannot take over yet: " + error.message)
        }
    }

    private func run(
        _ partition: Partition, _ blocks: UnsafePointer<Invocation.Block>, _ pool: ThreadPool,
        _ cancellation: Cancellation, _ isProfiled: Bool
    ) throws(Failure) {
        if let kernel = partition.kernel {
            do throws(Failure) { return try unsafe partition.invoke(kernel, blocks) } catch { refuse(partition, error) }
        }
        if partition.fallback == nil { try takeOver(partition) }
        if let fallback = partition.fallback { try run(fallback, pool, cancellation, isProfiled) }
    }

    /// The CPU runs a partition whose delegate has failed, from now on.
    private func takeOver(_ partition: Partition) throws(Failure) {
        var items = partition.item.nodes.map { Item($0) }
        var graph = partition.graph
        compiler.fuseActivations(graph, &items)
        compiler.fusePatterns(&graph, &items, isWhole: false)
        var roles = [Role](repeating: .placed, count: graph.tensors.count)
        for node in partition.item.nodes {
            for output in node.outputs where !partition.item.outputs.contains(output) { roles[output] = .local }
        }
        let plan = try compiler.plan(items, graph, rest: nil, values: [:], roles: roles)
        let segment = try Segment(plan, compiler, memory: &memory)
        register(segment)
        partition.fallback = segment
        for node in partition.item.nodes { compiler.refuse(node.place, partition.failure) }
    }

    // MARK: Shapes that depend on values

    /// Plans the part of the graph after segment `position`, whose shapes are known now. If the values they depend on
    /// are those of the last time, the plan of the last time serves.
    private func continuePlan(_ rest: Graph, after position: Int) throws(Failure) {
        let next = position + 1
        var old: [Partition] = []
        if next < segments.count {
            if segments[next].values.allSatisfy({ isUnchanged($0.key, $0.value) }) { return }
            for segment in segments[next...] {
                old += segment.partitions
                forget(segment)
            }
            segments.removeSubrange(next...)
        }
        let roles = rest.tensors.indices.map { tensor -> Role in
            unsafe memory.data(tensor) != nil && rest.hasShape[tensor] ? .placed : .local
        }
        let first = rest.nodes[0]
        var values = try self.values(of: first, rest) { $0 == .int32 || $0 == .int64 || $0 == .bool }
        var plan = try compiler.plan(rest, values: values, roles: roles)
        if plan.items.isEmpty, plan.rest?.nodes.count == rest.nodes.count {
            values = try self.values(of: first, rest) { _ in true }
            plan = try compiler.plan(rest, values: values, roles: roles)
            guard !(plan.items.isEmpty && plan.rest?.nodes.count == rest.nodes.count) else {
                throw Failure.unsupported("\(first.name): the shape of its result cannot be computed")
                    .at(first, of: compiler.origin)
            }
        }
        let segment = try Segment(plan, compiler, memory: &memory)
        segment.values = values
        attachDelegates(segment, old: old)
        add(segment)
        graph = plan.graph
        for index in inputCount..<endpoints.count where graph.hasShape[endpoints[index].tensor] {
            let old = endpoints[index]
            guard !old.isOwn else { continue }
            endpoints[index] = Endpoint(
                tensor: old.tensor, isOwn: false, bytes: graph.byteCount(old.tensor), alignment: old.alignment)
            unsafe endpoints[index].bound = old.bound
            endpoints[index].binding = old.binding
        }
    }

    private func values(
        of node: Node, _ graph: Graph, _ isWanted: (TensorType) -> Bool
    ) throws(Failure) -> [Int: Bytes] {
        var values: [Int: Bytes] = [:]
        for input in node.inputs where input >= 0 {
            guard !graph.tensors[input].isConstant, isWanted(graph.tensors[input].type) else { continue }
            values[input] = try current(input, graph.byteCount(input))
        }
        return values
    }

    private func current(_ tensor: Int, _ count: Int) throws(Failure) -> Bytes {
        try unsafe Bytes(Storage.borrow(memory.address(of: tensor), count: count)).copied()
    }

    private func isUnchanged(_ tensor: Int, _ value: Bytes) -> Bool {
        unsafe memcmp(memory.address(of: tensor), value.baseAddress, value.count) == 0
    }
}

/// Calls and time of each operator.
struct Profile {
    private(set) var calls: [UInt64]
    private(set) var nanoseconds: [UInt64]

    init(count: Int) {
        // Two arrays, not one shared until the first change: that would allocate while the graph runs.
        calls = [UInt64](repeating: 0, count: count)
        nanoseconds = [UInt64](repeating: 0, count: count)
    }

    mutating func add(_ place: Int, _ time: UInt64) {
        guard place < calls.count else { return }
        calls[place] &+= 1
        nanoseconds[place] &+= time
    }
}
