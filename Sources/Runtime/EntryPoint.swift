import Model
import Operators

/// Which subgraph runs, and by which names its inputs and outputs are addressed, in which order.
struct EntryPoint {
    let subgraph: Int
    var inputs: [Signature.Entry]
    let outputs: [Signature.Entry]
    /// How many inputs the caller sees; the rest, which a signature does not list, stay zero.
    let openInputs: Int

    init(_ model: Model, signature key: String?) throws(Failure) {
        guard let key else {
            guard let main = model.subgraphs.first else { throw .invalidModel("\(model.origin): has no subgraph") }
            func entries(_ tensors: [Int]) -> [Signature.Entry] {
                tensors.map { .init(name: main.tensors[$0].name, tensor: $0) }
            }
            subgraph = 0
            inputs = entries(main.inputs)
            outputs = entries(main.outputs)
            openInputs = inputs.count
            try check(model)
            return
        }
        guard let signature = model.signatures.first(where: { $0.key == key }) else {
            let known = model.signatures.map { "'" + $0.key + "'" }.joined(separator: ", ")
            throw .outOfRange(
                "\(model.origin): there is no signature '\(key)', \(known.isEmpty ? "and no other" : "only \(known)")")
        }
        guard model.subgraphs.indices.contains(signature.subgraph) else {
            throw .invalidModel("\(model.origin): signature '\(key)' names subgraph \(signature.subgraph)")
        }
        subgraph = signature.subgraph
        inputs = signature.inputs
        outputs = signature.outputs
        openInputs = inputs.count
        for tensor in model.subgraphs[subgraph].inputs where !inputs.contains(where: { $0.tensor == tensor }) {
            inputs.append(.init(name: model.subgraphs[subgraph].tensors[tensor].name, tensor: tensor))
        }
        try check(model)
    }

    private func check(_ model: Model) throws(Failure) {
        let count = model.subgraphs[subgraph].tensors.count
        for entry in inputs + outputs where entry.tensor < 0 || entry.tensor >= count {
            throw .invalidModel(
                "\(model.origin): input or output '\(entry.name)' is tensor \(entry.tensor) of \(count)")
        }
        for (index, entry) in inputs.enumerated() where inputs[..<index].contains(where: { $0.tensor == entry.tensor })
        {
            throw .invalidModel("\(model.origin): tensor \(entry.tensor) is an input twice")
        }
    }
}

extension Graph {
    /// Marks the tensors that the caller wants to read after invoke.
    mutating func keep(_ options: Interpreter.Options, in source: Subgraph) throws(Failure) {
        if options.keepAll {
            for node in nodes where !node.isInlined { for output in node.outputs { isKept[output] = true } }
        }
        for name in options.keep {
            guard let tensor = source.tensors.firstIndex(where: { $0.name == name }) else {
                throw .outOfRange("there is no tensor '\(name)' to keep")
            }
            isKept[tensor] = true
        }
    }
}
