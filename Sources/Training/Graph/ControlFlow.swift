import Kernels
import Model
import Operators
import Quantization

extension Model {
    /// The main subgraph with what it calls in its place: CALL and STABLEHLO_COMPOSITE by the operators of their subgraph,
    /// IF with a constant condition by those of its branch, WHILE by those of its rounds, which share the constants of its body. The number of rounds must follow from
    /// constants. A recurrent layer counts its steps in the first dimension of what it walks through: that is where a
    /// converter that knew only one sample has written RESHAPE for a transposition. `rolled` becomes the model as it
    /// was; nil: nothing was to be done.
    func flatteningControlFlow(_ rolled: inout RolledModel?) throws(Failure) -> Model {
        let called = subgraphs[0].operators.indices.contains { Flattening.flattens(code(0, $0).builtin) }
        guard called else { return self }
        var flattening = try Flattening(self)
        return try flattening.apply(&rolled)
    }
}

private struct Flattening {
    private static let mostOperators = 1 << 20
    private static let mostCalls = 1 << 17

    private let source: Model
    private let graph: GraphEmitter
    private let pool: ThreadPool
    private let weights: PackedWeightCache
    private var calls = 0
    /// Of each subgraph, the constants that the main one has by now.
    private var hoisted: [[Int: Int]]
    /// What lists of steps consist of, as far as it was written; a list is joined from its items when it is complete.
    private var items: [Int: [Int?]] = [:]
    /// By its result: a part of a list, taken to be joined again.
    private var parts: [Int: (list: Int, begin: Int)] = [:]

    static func flattens(_ code: BuiltinOperator) -> Bool {
        code == .call || code == .stablehloComposite || code == .while || code == .if
    }

    init(_ model: Model) throws(Failure) {
        source = model
        var bare = model
        bare.subgraphs[0].operators = []
        graph = GraphEmitter(bare)
        pool = try ThreadPool(threads: 1)
        weights = try PackedWeightCache()
        hoisted = model.subgraphs.map { _ in [:] }
    }

    mutating func apply(_ rolled: inout RolledModel?) throws(Failure) -> Model {
        var names = Array(source.subgraphs[0].tensors.indices)
        try inline(0, &names, depth: 0)
        let outputs = source.subgraphs[0].outputs.map { names[$0] }
        graph.dropDead(from: 0, keeping: outputs)
        var model = graph.model
        model.subgraphs[0].outputs = outputs
        for index in model.signatures.indices where model.signatures[index].subgraph == 0 {
            for place in model.signatures[index].outputs.indices {
                model.signatures[index].outputs[place].tensor = names[model.signatures[index].outputs[place].tensor]
            }
        }
        let calls = model.subgraphs[0].operators.indices.contains { Self.keepsSubgraphs(model.code(0, $0).builtin) }
        if !calls, model.signatures.allSatisfy({ $0.subgraph == 0 }) { model.subgraphs = [model.subgraphs[0]] }
        return compacted(model, &rolled)
    }

    /// Without what is not used, and where the constants that are left have come from.
    private func compacted(_ model: Model, _ rolled: inout RolledModel?) -> Model {
        var origins = [TensorPlace?](repeating: nil, count: model.subgraphs[0].tensors.count)
        for tensor in source.subgraphs[0].tensors.indices { origins[tensor] = TensorPlace(subgraph: 0, tensor: tensor) }
        for (subgraph, constants) in hoisted.enumerated() {
            for (tensor, place) in constants { origins[place] = TensorPlace(subgraph: subgraph, tensor: tensor) }
        }
        // Names carry the numbers through.
        var numbered = model
        for tensor in origins.indices { numbered.subgraphs[0].tensors[tensor].name = "\(tensor)" }
        var compact = numbered.compacted()
        var places: [TensorPlace?] = []
        for tensor in compact.subgraphs[0].tensors.indices {
            let before = Int(compact.subgraphs[0].tensors[tensor].name) ?? 0
            compact.subgraphs[0].tensors[tensor].name = model.subgraphs[0].tensors[before].name
            places.append(origins[before])
        }
        rolled = RolledModel(model: source, places: places)
        return compact
    }

    private static func keepsSubgraphs(_ code: BuiltinOperator) -> Bool {
        code == .if || code == .callOnce || code == .stablehloWhile || code == .stablehloCase
    }

    // MARK: Subgraphs

    /// Appends the operators of a subgraph. `names`: what its tensors are in the main one.
    private mutating func inline(_ subgraph: Int, _ names: inout [Int], depth: Int) throws(Failure) {
        guard depth <= source.subgraphs.count else {
            throw .invalidModel("\(source.origin): subgraph \(subgraph) leads back to itself")
        }
        for (index, op) in source.subgraphs[subgraph].operators.enumerated() {
            let inputs = op.inputs.map { $0 < 0 ? -1 : names[$0] }
            do throws(Failure) {
                var results: [Int]
                switch source.code(subgraph, index).builtin {
                case .call: results = try call(op.options.int(0), inputs, depth)
                case .stablehloComposite: results = try call(op.options.int(1), inputs, depth)
                case .while: results = try unroll(op, inputs, depth)
                case .if where known(inputs.first ?? -1) != nil:
                    let branch = known(inputs.first ?? -1) == true ? 0 : 1
                    results = try call(op.options.int(branch), Array(inputs.dropFirst()), depth)
                default: results = try append(op, inputs, op.outputs.map { names[$0] }, inLoop: depth > 0)
                }
                guard results.count == op.outputs.count, results.allSatisfy({ $0 >= 0 }) else {
                    throw .invalidModel("it has \(op.outputs.count) outputs, what it runs has \(results.count)")
                }
                for (output, result) in zip(op.outputs, results) { names[output] = result }
            } catch {
                throw Failure(error.status, "\(source.place(subgraph, index)): \(error.message)")
            }
        }
    }

    private mutating func call(_ subgraph: Int, _ inputs: [Int], _ depth: Int) throws(Failure) -> [Int] {
        guard source.subgraphs.indices.contains(subgraph), source.subgraphs[subgraph].inputs.count == inputs.count
        else { throw .invalidModel("there is no subgraph \(subgraph) with \(inputs.count) inputs") }
        // A loop without end, or calls of calls of calls.
        calls += 1
        guard calls < Self.mostCalls, graph.operatorCount < Self.mostOperators else {
            throw .unsupported("cannot be trained: what it runs comes to too many operators")
        }
        let body = source.subgraphs[subgraph]
        var names: [Int] = []
        for (index, tensor) in body.tensors.enumerated() {
            let isConstant = source.constant(subgraph, index).map { $0.count > 0 } ?? false
            if isConstant, let known = hoisted[subgraph][index] {
                names.append(known)
                continue
            }
            guard !tensor.isVariable else { throw .unsupported("variables of subgraphs cannot be trained") }
            names.append(-1)
            // Inputs are there already.
            if body.inputs.contains(index) { continue }
            names[index] = graph.add(tensor).tensor
            if isConstant { hoisted[subgraph][index] = names[index] }
        }
        for (inner, outer) in zip(body.inputs, inputs) { names[inner] = outer }
        try inline(subgraph, &names, depth: depth + 1)
        return body.outputs.map { names[$0] }
    }

    // MARK: Loops

    private mutating func unroll(_ op: Operator, _ inputs: [Int], _ depth: Int) throws(Failure) -> [Int] {
        var values: [Int] = []
        for input in inputs { values.append(try begin(input)) }
        while try holds(op.options.int(0), values, depth) {
            values = try call(op.options.int(1), values, depth)
        }
        for index in values.indices { values[index] = try joined(values[index]) }
        return values
    }

    private mutating func holds(_ condition: Int, _ values: [Int], _ depth: Int) throws(Failure) -> Bool {
        guard let result = try call(condition, values, depth).first, let holds = known(result) else {
            throw .unsupported("cannot be trained: the number of its rounds is not constant")
        }
        return holds
    }

    /// A constant truth value.
    private func known(_ tensor: Int) -> Bool? {
        guard tensor >= 0, graph.value(tensor).type == .bool, let data = graph.info(tensor).constant, data.count == 1
        else { return nil }
        return data.array(of: UInt8.self)[0] != 0
    }

    /// What a loop begins with: states are values, not parameters; sequences have the steps first.
    private mutating func begin(_ tensor: Int) throws(Failure) -> Int {
        guard tensor >= 0, graph.value(tensor).type == .float32 else { return tensor }
        let value = graph.value(tensor)
        if graph.info(tensor).isConstant, value.rank > 0 {
            guard value.rank > 2 else { return try value.apply(.reshape, graph.indices(value.shape)).tensor }
            guard value.shape[0] <= Self.mostCalls else {
                throw .unsupported("cannot be trained: a list of \(value.shape[0]) steps is too long")
            }
            items[tensor] = [Int?](repeating: nil, count: value.shape[0])
            return tensor
        }
        guard let op = graph.model.subgraphs[0].operators.last(where: { $0.outputs.contains(tensor) }),
            graph.model.operatorCodes[op.opcode].builtin == .reshape, op.inputs[0] >= 0
        else { return tensor }
        let before = graph.value(op.inputs[0])
        guard let order = Self.transposition(before.shape, value.shape) else { return tensor }
        return try before.transpose(order).tensor
    }

    /// [1, steps, ...] and [steps, 1, ...].
    private static func transposition(_ a: [Int], _ b: [Int]) -> [Int]? {
        guard a.count > 2, a.count == b.count, a[0] != a[1], a[0] == 1 || a[1] == 1, a[0] == b[1], a[1] == b[0],
            a[2...] == b[2...]
        else { return nil }
        return [1, 0] + Array(2..<a.count)
    }

    /// A list of steps as one tensor.
    private mutating func joined(_ tensor: Int) throws(Failure) -> Int {
        guard let list = items[tensor], list.count > 1, list.allSatisfy({ $0 != nil }) else { return tensor }
        var steps: [Value?] = []
        for item in list { if let item { steps.append(graph.value(item)) } }
        let whole = try graph.emit(
            OperatorCode(.concatenation), steps, Options(.concatenation, [.int(0), .int(0)]))[0].tensor
        items[whole] = list
        return whole
    }

    // MARK: Operators

    /// Appends an operator, or what it comes to, and gives its results.
    private mutating func append(
        _ op: Operator, _ inputs: [Int], _ outputs: [Int], inLoop: Bool
    ) throws(Failure) -> [Int] {
        let code = source.operatorCodes[op.opcode]
        if let known = try evaluate(op, code, inputs, outputs) { return known }
        if let replaced = try replace(op, code.builtin, inputs, outputs, inLoop: inLoop) { return [replaced] }
        var copy = op
        (copy.inputs, copy.outputs) = (inputs, outputs)
        graph.append(copy, code)
        note(op, code.builtin, inputs, outputs)
        return outputs
    }

    /// The results of an operator on integers that are all known.
    private func evaluate(
        _ op: Operator, _ code: OperatorCode, _ inputs: [Int], _ outputs: [Int]
    ) throws(Failure) -> [Int]? {
        guard !inputs.isEmpty, inputs.allSatisfy({ $0 < 0 || graph.info($0).isConstant }),
            outputs.allSatisfy({ [.int32, .int64, .bool].contains(graph.value($0).type) }),
            let definition = OperatorRegistry.definition(code), !definition.isRandom
        else { return nil }
        let evaluation = Evaluation(
            definition, version: code.version, options: op.options, customOptions: op.customOptions, pool: pool,
            weights: weights)
        var infos: [TensorInfo?] = []
        for input in inputs { infos.append(input < 0 ? nil : graph.info(input)) }
        guard let results = try evaluation.evaluate(infos, outputs: outputs.map { graph.info($0) }) else { return nil }
        var known: [Int] = []
        for result in results {
            guard let data = result.constant else { return nil }
            known.append(try graph.constant(result.type, result.shape, data).tensor)
        }
        return known
    }

    /// What an operator comes to that counts on one sample, or reads a step of a list.
    private func replace(
        _ op: Operator, _ code: BuiltinOperator, _ inputs: [Int], _ outputs: [Int], inLoop: Bool
    ) throws(Failure) -> Int? {
        guard let first = inputs.first, first >= 0, let output = outputs.first else { return nil }
        let (value, shape) = (graph.value(first), graph.value(output).shape)
        switch code {
        case .reshape where inLoop && value.shape.first == 1 && shape == [1] + value.shape:
            return try value.apply(.expandDims, graph.constant(.int32, [], Bytes(copying: [Int32(0)]))).tensor
        case .reshape where items[first] != nil:
            guard let order = Self.transposition(value.shape, shape) else { return nil }
            return try value.transpose(order).tensor
        case .gather where op.options.int(0) == 0 && op.options.int(1) == 0 && inputs.count > 1:
            guard let list = items[first], inputs[1] >= 0, graph.value(inputs[1]).rank == 0,
                let index = graph.info(inputs[1]).integers?.first, list.indices.contains(index), let item = list[index]
            else { return nil }
            return try graph.value(item).apply(
                .squeeze, options: Options(.squeeze, [.ints([0])])
            ).tensor
        default: return nil
        }
    }

    /// Keeps account of lists: a step is written by joining what is before it, it, and what is after it.
    private mutating func note(_ op: Operator, _ code: BuiltinOperator, _ inputs: [Int], _ outputs: [Int]) {
        guard let first = inputs.first, first >= 0, let output = outputs.first else { return }
        if code == .slice, inputs.count > 1, inputs[1] >= 0, items[first] != nil,
            let begin = graph.info(inputs[1]).integers?.first
        {
            parts[output] = (first, begin)
        }
        guard code == .concatenation, op.options.int(0) == 0, inputs.count == 3, let before = parts[first],
            let after = parts[inputs[2]], before.list == after.list, before.begin == 0, var list = items[before.list],
            list.indices.contains(after.begin &- 1)
        else { return }
        list[after.begin &- 1] = inputs[1]
        items[output] = list
    }
}
