import Kernels
import Model
import Operators

/// What compiling needs besides the graph. Compiling changes nothing but the graph it is given: it can fail, or be done
/// again with other shapes, without any trace.
struct Compiler {
    let loaded: LoadedModel
    let subgraph: Int
    let arithmetic: Arithmetic
    let precision: Precision
    let threadCount: Int
    let autotune: Bool
    let delegates: [any Delegate]
    let resources: Resources
    /// Somebody looks at what the layers compute: they are not joined.
    var isObserved = false
    /// What became of each operator of the model's subgraph.
    var decisions: [Decision]
    private var partitionCount = 0

    init(
        _ loaded: LoadedModel, subgraph: Int, arithmetic: Arithmetic, precision: Precision, threadCount: Int,
        autotune: Bool, delegates: [any Delegate], resources: Resources
    ) {
        self.loaded = loaded
        self.subgraph = subgraph
        self.arithmetic = arithmetic
        self.precision = precision
        self.threadCount = threadCount
        self.autotune = autotune
        self.delegates = delegates
        self.resources = resources
        let count = loaded.model.subgraphs[subgraph].operators.count
        decisions = [Decision](repeating: Decision(), count: count)
    }

    /// For another subgraph of the same model, which the CPU runs.
    init(like other: Compiler, subgraph: Int) {
        self.init(
            other.loaded, subgraph: subgraph, arithmetic: other.arithmetic, precision: other.precision,
            threadCount: other.threadCount, autotune: other.autotune, delegates: [], resources: other.resources)
    }

    var origin: String { loaded.model.origin }

    /// Plans the beginning of a whole graph, whose inputs, outputs and variables have memory of their own.
    mutating func plan(_ graph: consuming Graph) throws(Failure) -> SegmentPlan {
        var roles = graph.tensors.map { $0.isVariable ? Role.placed : .local }
        for (index, output) in graph.outputs.enumerated().reversed() where roles[output] != .placed {
            roles[output] = .output(index)
        }
        for input in graph.inputs { roles[input] = .placed }
        return try plan(graph, roles: roles)
    }

    /// Plans the nodes of `graph` up to the first whose shapes are not known; those after it stay in the plan's `rest`.
    /// `values`: data of tensors the first node reads, for a shape rule that depends on them. `isPlaced`: tensors that
    /// have memory already.
    mutating func plan(
        _ graph: consuming Graph, values: [Int: Bytes] = [:], roles: [Role]
    ) throws(Failure) -> SegmentPlan {
        let ready = try inferShapes(&graph, values: values)
        let kept = eliminateDead(&graph, ready: ready)
        var items = try partition(graph, count: kept)
        fuseActivations(graph, &items)
        fusePatterns(&graph, &items, isWhole: kept == graph.nodes.count)
        var rest: Graph?
        if kept < graph.nodes.count {
            rest = copy graph
            rest?.nodes = Array(graph.nodes[kept...])
        }
        return try plan(items, graph, rest: rest, values: values, roles: roles)
    }

    /// Chooses kernels for `items` and lays out their memory.
    mutating func plan(
        _ items: [Item], _ graph: Graph, rest: Graph?, values: [Int: Bytes], roles: [Role]
    ) throws(Failure) -> SegmentPlan {
        var layout = Layout(graph, items: items, rest: rest, roles: roles)
        var quantized = QuantizedTensors()
        var steps: [StepPlan] = []
        for (index, item) in items.enumerated() {
            if let delegate = item.delegate {
                steps.append(StepPlan(item, action: .delegate(delegate)))
                for node in item.nodes {
                    decide(node, runner: delegates[delegate].name)
                    decisions[node.place].partition = partitionCount
                }
                partitionCount += 1
                continue
            }
            let node = item.nodes[0]
            if node.definition.isView, !layout.isCopied[index] {
                decide(node, runner: "view")
                continue
            }
            if node.definition.isView {
                steps.append(StepPlan(item, action: .copy))
                decide(node, kernel: "copy")
                continue
            }
            if !node.subgraphs.isEmpty {
                do throws(Failure) {
                    steps.append(StepPlan(item, action: .call(try call(node, graph))))
                } catch { throw error.at(node, of: origin) }
                decide(node, kernel: "subgraphs")
                continue
            }
            // Nothing comes out: no kernel is to walk along the other dimensions, of up to 2^31 - 1.
            if !item.outputs.isEmpty, item.outputs.allSatisfy({ graph.tensors[$0].count == 0 }),
                !node.inputs.contains(where: { graph.info($0)?.isVariable == true })
            {
                decide(node)
                continue
            }
            let preparation = Preparation(
                name: node.name, version: node.version, options: node.options, customOptions: node.customOptions,
                inputs: infos(node, graph, values: index == 0 ? values : [:]),
                outputs: node.outputs.map { graph.tensors[$0] }, arithmetic: arithmetic, precision: precision,
                threadCount: threadCount, autotune: autotune, weights: loaded.weights)
            preparation.intermediates = node.intermediates.compactMap { graph.info($0) }
            preparation.quantizedBefore = quantized.forms(of: node.inputs.first, graph)
            do throws(Failure) {
                let kernel = try node.definition.prepare(preparation)
                let scratch = quantized.scratch(preparation, of: index, reading: node.inputs.first, &layout)
                steps.append(StepPlan(item, action: .kernel(kernel), scratch: scratch))
                try keep(item.inputs, graph, but: preparation.packed)
                decide(node, kernel: preparation.kernelName)
            } catch { throw error.at(node, of: origin) }
        }
        layout.assign()
        return SegmentPlan(steps: steps, items: items, layout: layout, graph: graph, rest: rest)
    }

    /// The inputs of a node, with the data of those in `values` as if they were constant.
    func infos(_ node: Node, _ graph: Graph, values: [Int: Bytes]) -> [TensorInfo?] {
        node.inputs.map { input in
            guard var info = graph.info(input) else { return nil }
            if info.constant == nil, let value = values[input] { info.constant = value }
            return info
        }
    }

    mutating func decide(_ node: Node, runner: String = "CPU", kernel: String = "", reason: String? = nil) {
        guard decisions.indices.contains(node.place) else { return }
        // Of a decomposition, what runs counts; what costs nothing does not hide it.
        if node.isInlined, runner != "CPU", decisions[node.place].runner == "CPU" { return }
        decisions[node.place].runner = runner
        decisions[node.place].kernel = kernel
        if let reason { decisions[node.place].reason = reason }
    }
}

extension Compiler {
    /// The CPU runs an operator that a delegate had taken.
    mutating func refuse(_ place: Int, _ reason: String) {
        guard decisions.indices.contains(place) else { return }
        decisions[place].partition = -1
        decisions[place].reason = decisions[place].reason.isEmpty ? reason : decisions[place].reason + "; " + reason
    }
}

/// What became of an operator.
package struct Decision: Equatable, Sendable {
    /// "CPU", a delegate's name, "folded", "fused", "view", or "unused"; "" as long as it is not decided.
    package var runner = ""
    package var kernel = ""
    package var reason = ""
    /// Number of the delegate's partition; -1: not in one.
    package var partition = -1
}
