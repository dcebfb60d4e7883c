extension Options {
    /// Subgraphs that the options name.
    package var subgraphs: [Int] {
        var found: [Int] = []
        for (id, field) in table.schema.fields.enumerated() {
            guard case .subgraph = field.type.meaning else { continue }
            if field.isVector { found += ints(id) } else { found.append(int(id)) }
        }
        return found
    }
}

extension Validator {
    /// Deeper nesting than any model has would exhaust stacks; more operators than that, memory and time.
    private static let deepestNesting = 64
    private static let mostOperators = 1 << 24

    /// Operators that run other subgraphs: the subgraphs are there, take and give as many tensors as the operator
    /// does, and never lead back to themselves.
    func checkCalls() throws(Failure) {
        var callees = [[(subgraph: Int, caller: Int)]](repeating: [], count: model.subgraphs.count)
        for (index, subgraph) in model.subgraphs.enumerated() {
            for (position, operation) in subgraph.operators.enumerated() {
                let part = Part.operation(subgraph: index, index: position)
                let called = operation.options.subgraphs
                for callee in called {
                    try checkIndex(callee, model.subgraphs.count, part, "subgraph")
                    callees[index].append((callee, position))
                }
                try checkArity(operation, called, part)
            }
        }
        try checkRecursion(callees)
    }

    /// Takes away subgraphs that call nobody left, until none is left (Kahn's algorithm): what remains is a cycle.
    private func checkRecursion(_ callees: [[(subgraph: Int, caller: Int)]]) throws(Failure) {
        var callers = [[Int]](repeating: [], count: callees.count)
        for (index, calls) in callees.enumerated() { for call in calls { callers[call.subgraph].append(index) } }
        var open = callees.map { $0.count }
        var depth = [Int](repeating: 1, count: callees.count)
        var operators = model.subgraphs.map { $0.operators.count }
        var ready = open.indices.filter { open[$0] == 0 }
        var settled = 0
        while settled < ready.count {
            let index = ready[settled]
            settled += 1
            guard depth[index] <= Self.deepestNesting, operators[index] <= Self.mostOperators else {
                throw invalid(
                    .subgraph(index),
                    "at most \(Self.deepestNesting) nested subgraphs with \(Self.mostOperators)"
                        + " operators were expected, found \(depth[index]) with \(operators[index])")
            }
            for caller in callers[index] {
                depth[caller] = max(depth[caller], depth[index] + 1)
                operators[caller] += operators[index]
                open[caller] -= 1
                if open[caller] == 0 { ready.append(caller) }
            }
        }
        // From any of the rest, calls of the rest lead into a cycle; the first subgraph met twice is on it.
        var seen: Set<Int> = []
        var next = open.firstIndex { $0 > 0 }
        while let index = next, let call = callees[index].first(where: { open[$0.subgraph] > 0 }) {
            guard seen.insert(index).inserted else {
                throw invalid(
                    .operation(subgraph: index, index: call.caller),
                    "subgraph \(call.subgraph), which it runs, leads back to itself")
            }
            next = call.subgraph
        }
    }

    private func checkArity(_ operation: Operator, _ called: [Int], _ part: Part) throws(Failure) {
        let inputs = operation.inputs.count
        let outputs = operation.outputs.count
        switch model.operatorCodes[operation.opcode].builtin {
        case .if, .stablehloCase:
            for callee in called { try checkArity(callee, inputs - 1, outputs, part) }
        case .while, .stablehloWhile:
            guard called.count == 2 else { throw invalid(part, "options that name its two subgraphs were expected") }
            guard inputs == outputs else {
                throw invalid(part, "as many outputs as inputs were expected, found \(outputs) and \(inputs)")
            }
            try checkArity(called[0], inputs, 1, part)
            try checkArity(called[1], inputs, outputs, part)
        case .callOnce: for callee in called { try checkArity(callee, 0, 0, part) }
        case .call, .stablehloComposite: for callee in called { try checkArity(callee, inputs, outputs, part) }
        default: return
        }
    }

    private func checkArity(_ callee: Int, _ inputs: Int, _ outputs: Int, _ part: Part) throws(Failure) {
        let subgraph = model.subgraphs[callee]
        guard subgraph.inputs.count == inputs, subgraph.outputs.count == outputs else {
            throw invalid(
                part,
                "a subgraph of \(inputs) inputs and \(outputs) outputs was expected, found subgraph \(callee) with"
                    + " \(subgraph.inputs.count) and \(subgraph.outputs.count)")
        }
    }
}
