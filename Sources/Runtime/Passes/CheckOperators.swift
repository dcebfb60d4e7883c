import Model
import Operators

extension GraphBuilder {
    /// Every operator is known here, and its version understood; all that are not are named in one failure.
    func checkOperators() throws(Failure) {
        var problems: [Problem] = []
        collectProblems(in: subgraph, depth: 0, into: &problems)
        guard !problems.isEmpty else { return }
        let list = problems.map { $0.sentence.text }.joined(separator: "; ")
        throw .unsupported("\(loaded.model.origin): operators that cannot be run here: \(list)")
    }

    private struct Problem {
        let subgraph: Int
        let what: String
        var places: [Int]

        var sentence: Sentence {
            let shown = places.prefix(8).map { String($0) }.joined(separator: ", ")
            let more: Sentence = places.count > 8 ? " and \(places.count - 8) more" : ""
            let inside: Sentence = subgraph == 0 ? "" : " of subgraph \(subgraph)"
            return "\(what) (operator\(places.count == 1 ? "" : "s") \(shown)\(more)\(inside))"
        }
    }

    private func collectProblems(in subgraph: Int, depth: Int, into problems: inout [Problem]) {
        let model = loaded.model
        for (place, op) in model.subgraphs[subgraph].operators.enumerated() {
            let code = model.operatorCodes[op.opcode]
            if code.builtin == .stablehloComposite, depth < model.subgraphs.count {
                let decomposition = CompositeField.decomposition(op)
                if model.subgraphs.indices.contains(decomposition) {
                    collectProblems(in: decomposition, depth: depth + 1, into: &problems)
                }
                continue
            }
            if ControlFlow.definition(code.builtin) != nil, depth < model.subgraphs.count {
                for callee in op.options.subgraphs where model.subgraphs.indices.contains(callee) {
                    collectProblems(in: callee, depth: depth + 1, into: &problems)
                }
            }
            guard let what = problem(code)?.text else { continue }
            if let known = problems.firstIndex(where: { $0.what == what && $0.subgraph == subgraph }) {
                problems[known].places.append(place)
            } else {
                problems.append(Problem(subgraph: subgraph, what: what, places: [place]))
            }
        }
    }

    private func problem(_ code: OperatorCode) -> Sentence? {
        guard let definition = OperatorRegistry.definition(code) ?? ControlFlow.definition(code.builtin) else {
            return code.builtin == .custom ? "custom operator \(code.name)" : "\(code.name) version \(code.version)"
        }
        guard code.version > definition.maxVersion else { return nil }
        return "\(code.name) version \(code.version), newest understood is \(definition.maxVersion)"
    }
}
