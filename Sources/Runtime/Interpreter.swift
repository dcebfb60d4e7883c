import CEdgeOpt
import Kernels
import Model
import Operators

/// A compiled graph, its memory, and what the caller has bound to it. One thread at a time, but for `cancel`.
@safe package final class Interpreter {
    package struct Options {
        /// 1: no thread is ever created; 0: one per core.
        package var threadCount = 1
        package var arithmetic = Arithmetic.fast
        package var precision = Precision.float32
        /// nil: the main subgraph.
        package var signature: String?
        /// Names of tensors that stay readable.
        package var keep: [String] = []
        package var keepAll = false
        package var isProfiled = false
        /// Tried in this order.
        package var delegates: [any Delegate] = []
        package var log: Log = { _, _ in }
        /// Packed weights are taken from this file, and written to it when it lacks some.
        package var weightCache: String?
        /// Where several kernels can run a layer they are timed when it is compiled; the answers are kept with the packed
        /// weights.
        package var autotune = false
        /// Layers are run one by one, so that `invoke(observing:)` shows what each computes.
        package var isObserved = false
        /// Shared with other interpreters; nil: threads of its own, as many as `threadCount` says.
        package var threadPool: ThreadPool?
        package init() {}
    }

    package let loaded: LoadedModel
    package let subgraph: Int
    package let inputNames: [String]
    package let outputNames: [String]
    private let options: Options
    /// As the file states it; each compilation starts from here.
    private let source: Graph
    private var inputShapes: [[Int]]
    private(set) var execution: Execution
    private var pool: ThreadPool
    private var isProfiled: Bool
    private let cancellation = Cancellation()

    /// Compiles a subgraph or signature. Throws `EO_UNSUPPORTED` naming every operator that cannot be run,
    /// `EO_OUT_OF_RANGE` for a signature or name that is not there.
    package convenience init(_ loaded: LoadedModel, _ options: Options = Options()) throws(Failure) {
        let entry = try EntryPoint(loaded.model, signature: options.signature)
        var builder = try GraphBuilder(loaded, subgraph: entry.subgraph)
        var graph = try builder.build(inputs: entry.inputs.map { $0.tensor }, outputs: entry.outputs.map { $0.tensor })
        try graph.keep(options, in: loaded.model.subgraphs[entry.subgraph])
        let pool: ThreadPool
        if let shared = options.threadPool {
            pool = shared
        } else {
            pool = try ThreadPool(threads: options.threadCount)
        }
        if let path = options.weightCache, let complaint = loaded.weights.attach(path, model: loaded.key) {
            options.log(.warning, complaint.text)
        }
        let shapes = graph.inputs.map { graph.tensors[$0].shape }
        let execution = try Self.compile(
            graph, shapes, loaded, subgraph: entry.subgraph, options, threadCount: pool.threadCount,
            Resources(subgraphCount: loaded.model.subgraphs.count))
        execution.attachDelegates(old: [])
        Self.finishPacking(loaded, options)
        self.init(loaded, options, entry, graph, execution, pool)
        let summary: Sentence =
            "\(loaded.model.origin): \(operatorCount) operators compiled, \(arenaSize) bytes of arena,"
            + " \(pool.threadCount) threads"
        options.log(.info, summary.text)
    }

    private init(
        _ loaded: LoadedModel, _ options: Options, _ entry: EntryPoint, _ source: Graph, _ execution: Execution,
        _ pool: ThreadPool
    ) {
        self.loaded = loaded
        self.options = options
        subgraph = entry.subgraph
        inputNames = entry.inputs[..<entry.openInputs].map { $0.name }
        outputNames = entry.outputs.map { $0.name }
        self.source = source
        inputShapes = source.inputs.map { source.tensors[$0].shape }
        isProfiled = options.isProfiled
        self.pool = pool
        self.execution = execution
    }

    /// Changes nothing outside what it returns.
    private static func compile(
        _ source: Graph, _ inputShapes: [[Int]], _ loaded: LoadedModel, subgraph: Int, _ options: Options,
        threadCount: Int, _ resources: Resources
    ) throws(Failure) -> Execution {
        var graph = source
        for (input, shape) in zip(graph.inputs, inputShapes) { graph.tensors[input].shape = shape }
        var compiler = Compiler(
            loaded, subgraph: subgraph, arithmetic: options.arithmetic, precision: options.precision,
            threadCount: threadCount, autotune: options.autotune, delegates: options.delegates, resources: resources)
        compiler.isObserved = options.isObserved
        resources.calls = 0
        return try Execution(try compiler.plan(graph), compiler, log: options.log)
    }

    /// What was packed takes the place of what it was made from, and goes into the file.
    private static func finishPacking(_ loaded: LoadedModel, _ options: Options) {
        loaded.weights.releaseUnused()
        guard options.weightCache != nil else { return }
        do throws(Failure) { try loaded.weights.save() } catch { options.log(.warning, error.message) }
    }

    // MARK: Inputs and outputs

    package var inputCount: Int { inputNames.count }
    package var outputCount: Int { outputNames.count }
    package var tensorCount: Int { loaded.model.subgraphs[subgraph].tensors.count }

    private func input(_ index: Int) throws(Failure) -> Int {
        guard index >= 0, index < inputCount else {
            throw .outOfRange("\(loaded.model.origin): there is no input \(index), only \(inputCount)")
        }
        return index
    }

    private func output(_ index: Int) throws(Failure) -> Int {
        guard index >= 0, index < outputCount else {
            throw .outOfRange("\(loaded.model.origin): there is no output \(index), only \(outputCount)")
        }
        return execution.inputCount + index
    }

    package func inputTensor(_ index: Int) throws(Failure) -> LiveTensor {
        tensor(at: execution.endpoints[try input(index)].tensor)
    }

    package func outputTensor(_ index: Int) throws(Failure) -> LiveTensor {
        tensor(at: execution.endpoints[try output(index)].tensor)
    }

    /// Any tensor of the subgraph.
    package func tensor(_ index: Int) throws(Failure) -> LiveTensor {
        guard index >= 0, index < tensorCount else {
            throw .outOfRange("\(loaded.model.origin): there is no tensor \(index), only \(tensorCount)")
        }
        return tensor(at: index)
    }

    private func tensor(at index: Int) -> LiveTensor {
        let graph = execution.graph
        let isKnown = graph.hasShape[index]
        let isReadable =
            graph.tensors[index].isConstant || graph.isKept[index] || graph.tensors[index].isVariable
            || execution.endpoints.contains { $0.tensor == index }
        let data = unsafe isReadable && isKnown ? execution.memory.data(index) : nil
        return unsafe LiveTensor(
            index: index, info: graph.tensors[index], byteCount: isKnown ? graph.byteCount(index) : 0, data: data)
    }

    package func inputBinding(_ index: Int) throws(Failure) -> Int32 {
        execution.endpoints[try input(index)].binding.rawValue
    }

    package func outputBinding(_ index: Int) throws(Failure) -> Int32 {
        execution.endpoints[try output(index)].binding.rawValue
    }

    /// The caller's memory as an input; it is only read. nil unbinds.
    @unsafe package func bindInput(_ index: Int, _ data: UnsafeRawPointer?, byteCount: Int) throws(Failure) {
        try unsafe bind(try input(index), UnsafeMutableRawPointer(mutating: data), byteCount, "input", index)
    }

    @unsafe package func bindOutput(_ index: Int, _ data: UnsafeMutableRawPointer?, byteCount: Int) throws(Failure) {
        try unsafe bind(try output(index), data, byteCount, "output", index)
    }

    @unsafe private func bind(
        _ endpoint: Int, _ data: UnsafeMutableRawPointer?, _ byteCount: Int, _ what: String, _ index: Int
    ) throws(Failure) {
        let tensor = execution.endpoints[endpoint].tensor
        if unsafe data != nil {
            guard execution.graph.hasShape[tensor] else {
                throw Failure(
                    EO_WRONG_STATE,
                    "\(what) \(index), \(execution.graph.tensors[tensor].described), has a shape that depends"
                        + " on values; it cannot be bound")
            }
            guard byteCount == execution.endpoints[endpoint].bytes else {
                throw .wrongSize(
                    "\(what) \(index), \(execution.graph.tensors[tensor].described), has \(execution.endpoints[endpoint].bytes)"
                        + " bytes, not \(byteCount)")
            }
        }
        unsafe execution.bind(endpoint, to: data)
    }

    // MARK: Shapes and threads

    /// Compiles for other input shapes. On failure nothing has changed.
    package func resize(_ shapes: [Int: [Int]]) throws(Failure) {
        var changed = inputShapes
        for (index, shape) in shapes {
            let tensor = source.tensors[execution.endpoints[try input(index)].tensor]
            guard let count = elementCount(shape), let bytes = tensor.type.byteCount(count), bytes < 1 << 46 else {
                throw .wrongSize("input \(index), \(tensor.described), cannot have shape \(shape.listed)")
            }
            changed[index] = shape
        }
        guard changed != inputShapes else { return }
        try replaceExecution(changed, pool, keepsStates: false)
    }

    /// From the next invoke on. Variables keep their values.
    package func setThreadCount(_ count: Int) throws(Failure) {
        guard options.threadPool == nil else {
            throw Failure(EO_WRONG_STATE, "the interpreter runs on a shared thread pool, which has its own number")
        }
        guard count != pool.threadCount else { return }
        try replaceExecution(inputShapes, try ThreadPool(threads: count), keepsStates: true)
    }

    private func replaceExecution(_ shapes: [[Int]], _ pool: ThreadPool, keepsStates: Bool) throws(Failure) {
        let old = execution
        let new = try Self.compile(
            source, shapes, loaded, subgraph: subgraph, options, threadCount: pool.threadCount,
            keepsStates ? old.compiler.resources : Resources(subgraphCount: loaded.model.subgraphs.count))
        if keepsStates { new.copyStates(from: old) }
        for (index, endpoint) in old.endpoints.enumerated()
        where unsafe endpoint.bound != nil && endpoint.bytes == new.endpoints[index].bytes {
            unsafe new.bind(index, to: endpoint.bound)
        }
        new.attachDelegates(old: old.partitions)
        Self.finishPacking(loaded, options)
        execution = new
        inputShapes = shapes
        self.pool = pool
    }

    // MARK: Running

    /// Runs the graph once. Allocates nothing, unless shapes depend on values or a delegate fails.
    package func invoke() throws(Failure) {
        try execution.run(pool, cancellation, isProfiled: isProfiled)
    }

    /// Runs the graph once and shows the result of every step, which is gone when the next steps run. Tensors that are
    /// views of others, or computed at compile time, are not shown.
    package func invoke(observing observer: @escaping Observer) throws(Failure) {
        execution.observer = observer
        defer { execution.observer = nil }
        try invoke()
    }

    /// Makes a running invoke, or else the next one, fail with EO_CANCELLED. Any thread.
    package func cancel() { cancellation.request() }

    package func resetVariables() {
        execution.resetStates()
        execution.compiler.resources.reset()
    }

    /// For tests: spoils all memory that need not outlive an invoke.
    package func poison() { execution.poison() }

    // MARK: Reports

    package var arenaSize: Int { execution.arenaSize }
    package var threadCount: Int { pool.threadCount }
    package var operatorCount: Int { execution.compiler.decisions.count }

    package func setProfile(_ isOn: Bool) {
        isProfiled = isOn
        execution.profile = Profile(count: operatorCount)
    }

    package func report(_ index: Int) throws(Failure) -> OperatorReport {
        guard index >= 0, index < operatorCount else {
            throw .outOfRange("\(loaded.model.origin): there is no operator \(index), only \(operatorCount)")
        }
        let op = loaded.model.subgraphs[subgraph].operators[index]
        let offset = op.outputs.first.map { execution.memory.offsets[$0] } ?? -1
        return OperatorReport(
            name: loaded.model.operatorCodes[op.opcode].name, decision: execution.compiler.decisions[index],
            outputOffset: offset < 0 ? nil : offset, calls: execution.profile.calls[index],
            nanoseconds: execution.profile.nanoseconds[index])
    }
}

/// What was decided for an operator, and what it has cost so far.
package struct OperatorReport {
    package let name: String
    package let decision: Decision
    /// Place of output 0 in the arena; nil: it is not there.
    package let outputOffset: Int?
    package let calls: UInt64
    package let nanoseconds: UInt64
}

/// A tensor of an interpreter as it is now.
@safe package struct LiveTensor {
    package let index: Int
    package let info: TensorInfo
    /// 0 as long as the shape is not known.
    package let byteCount: Int
    /// Its memory until the next resize or bind; nil if it has none that stays.
    @unsafe package let data: UnsafeMutableRawPointer?
}

package enum LogLevel: Int32, Sendable { case info = 0, warning = 1, error = 2 }
package typealias Log = (LogLevel, String) -> Void
/// A tensor by its index in the subgraph (those of inlined decompositions follow), and its bytes until the call returns.
package typealias Observer = (_ tensor: Int, _ data: RawSpan) -> Void
