extension Model {
    /// Checks everything that reading cannot see: indices, shapes against buffer sizes, quantization, sparsity, options,
    /// the order of operators, control flow, signatures. Afterwards every index in the model may be used unchecked.
    /// What it leaves to `validateExecutable`: tensors that are read though nothing ever gives them a value.
    /// Throws `EO_INVALID_MODEL`, or `EO_UNSUPPORTED` for what only a newer schema knows.
    package func validate() throws(Failure) {
        let validator = Validator(self)
        try validator.checkWhole()
        for index in subgraphs.indices {
            try validator.checkTensors(index)
            try validator.checkOperators(index)
        }
        try validator.checkCalls()
        for index in signatures.indices { try validator.checkSignature(index) }
    }

    /// Beyond `validate`: each tensor that an operator or the graph's result needs has a value by then: it is an input,
    /// a constant, a variable, empty, or written by an earlier operator. Files that carry only a part of a model (for an
    /// accelerator's compiler) may fail here and still be read, edited and written.
    package func validateExecutable() throws(Failure) {
        let validator = Validator(self)
        for index in subgraphs.indices { try validator.checkValues(index) }
    }
}

/// The checks of `validate`. A class because it counts its work.
final class Validator {
    let model: Model
    /// Elements of shared buffers that may still be looked at: many tensors can name one buffer.
    private var work = 1 << 28
    /// Buffers of strings that were found sound, with the number of strings.
    var stringCounts: [Int: Int] = [:]
    /// Index in `Model.externalBuffers` by id.
    private(set) var externalBuffers: [Int: Int] = [:]
    private var signatureKeys: Set<String> = []
    /// Tensors of blockwise scales that were found sound, per subgraph.
    var soundScales: Set<Int> = []

    init(_ model: Model) { self.model = model }

    func invalid(_ part: Part, _ problem: Sentence) -> Failure {
        .invalidModel("\(model.origin): \(model.describe(part)): \(problem)")
    }

    func spend(_ count: Int, _ part: Part) throws(Failure) {
        guard count <= work else { throw invalid(part, "its data is shared by too many tensors to be checked") }
        work -= count
    }

    /// `what` must be one of `count` things.
    func checkIndex(_ index: Int, _ count: Int, _ part: Part, _ what: String, optional: Bool = false) throws(Failure) {
        guard index < count, index >= (optional ? -1 : 0) else {
            throw invalid(part, "\(what) \(index) is not there; there are \(count)")
        }
    }

    func checkWhole() throws(Failure) {
        guard model.version == 3 else {
            throw invalid(.whole, "schema version 3 was expected, found \(model.version)")
        }
        guard !model.subgraphs.isEmpty else { throw invalid(.whole, "at least one subgraph was expected, found none") }
        for (index, code) in model.operatorCodes.enumerated() {
            guard code.builtin.isKnown else {
                throw .unsupported(
                    "\(model.origin): \(model.describe(.operatorCode(index))): builtin operator "
                        + "\(code.builtin.rawValue) is newer than this library, which knows 0 to "
                        + "\(BuiltinOperator.count - 1)")
            }
            guard code.builtin != .custom || code.custom != nil else {
                throw invalid(.operatorCode(index), "a custom operator was found without its name")
            }
        }
        for (index, entry) in model.metadata.enumerated() {
            try checkIndex(entry.buffer, model.buffers.count, .metadata(index), "buffer")
        }
        for (index, external) in model.externalBuffers.enumerated() {
            let part = Part.externalBuffer(index)
            try checkIndex(external.group, model.externalBufferGroups.count, part, "group")
            guard external.offset >= 0, external.length >= 0, external.offset <= Int.max - external.length else {
                throw invalid(part, "\(external.length) bytes at \(external.offset) are not a part of any file")
            }
            guard external.id > 0, externalBuffers.updateValue(index, forKey: external.id) == nil else {
                throw invalid(part, "an id of its own, not 0, was expected, found \(external.id)")
            }
        }
    }

    func checkSignature(_ index: Int) throws(Failure) {
        let signature = model.signatures[index]
        let part = Part.signature(index)
        try checkIndex(signature.subgraph, model.subgraphs.count, part, "subgraph")
        guard signatureKeys.insert(signature.key).inserted else {
            throw invalid(part, "an earlier signature has the same key")
        }
        let subgraph = model.subgraphs[signature.subgraph]
        try checkEntries(signature.inputs, among: subgraph.inputs, part, "input")
        try checkEntries(signature.outputs, among: subgraph.outputs, part, "output")
    }

    private func checkEntries(
        _ entries: [Signature.Entry], among tensors: [Int], _ part: Part, _ role: String
    ) throws(Failure) {
        let known = Set(tensors)
        var names: Set<String> = []
        for entry in entries {
            guard known.contains(entry.tensor) else {
                throw invalid(part, "its \(role) \"\(entry.name)\" names tensor \(entry.tensor), which is no \(role)")
            }
            guard names.insert(entry.name).inserted else {
                throw invalid(part, "two of its \(role)s are called \"\(entry.name)\"")
            }
        }
    }
}

extension Model {
    /// "subgraph 0, tensor 5 "conv/weights"": the part with its name.
    func describe(_ part: Part) -> Sentence {
        let name: String? =
            switch part {
            case .tensor(let subgraph, let index): subgraphs[subgraph].tensors[index].name
            case .subgraph(let index): subgraphs[index].name
            case .signature(let index): signatures[index].key
            case .metadata(let index): metadata[index].name
            case .operation(let subgraph, let index):
                operatorName(subgraphs[subgraph].operators[index])
            case .whole, .operatorCode, .buffer, .externalBuffer: nil
            }
        guard let name else { return part.text }
        if case .operation = part { return "\(part.text) \(name)" }
        return "\(part.text) \"\(name)\""
    }

    private func operatorName(_ operation: Operator) -> String {
        guard operatorCodes.indices.contains(operation.opcode) else { return "with code \(operation.opcode)" }
        return operatorCodes[operation.opcode].name
    }

    /// The bytes of a constant; nil for a tensor that has none in this file. Buffer 0 stands for none, whatever is in it.
    package func data(of tensor: Tensor) -> Bytes? {
        tensor.buffer > 0 && tensor.buffer < buffers.count ? buffers[tensor.buffer].data : nil
    }
}
