import Kernels
import Model
import Operators
import Runtime

/// A training graph compiled, with the memory of its labels and of incomplete batches. One thread at a time.
final class GraphSession {
    let graph: TrainingGraph
    private let interpreter: Interpreter
    private let sampleWeights: FloatMemory
    /// Inputs and labels of batches that are not full, by input of the graph.
    private var padded: [Int: Storage] = [:]
    /// By loss: what the teacher or the host gives.
    private var given: [Int: FloatMemory] = [:]
    /// Gradients of the host's predictions belong to this loss.
    private var hostLoss: Float = 0
    /// Of the last `tryInvoke`.
    private(set) var failure: Failure?

    private init(_ graph: TrainingGraph, _ interpreter: Interpreter, _ sampleWeights: FloatMemory) {
        self.graph = graph
        self.interpreter = interpreter
        self.sampleWeights = sampleWeights
    }

    static func make(
        _ graph: TrainingGraph, threadCount: Int, precision: Precision = .float32
    ) throws(Failure) -> GraphSession {
        var options = Interpreter.Options()
        (options.threadCount, options.precision) = (threadCount, precision)
        let interpreter = try Interpreter(try LoadedModel(graph.model), options)
        let session = GraphSession(graph, interpreter, try FloatMemory.make(graph.batchSize))
        try session.bind(input: graph.sampleWeights, session.sampleWeights)
        for (index, format) in graph.labels.enumerated() where !format.isCallers {
            let memory = try FloatMemory.make(elementCount(format.shape) ?? 0)
            session.given[index] = memory
            try session.bind(input: graph.dataCount + index, memory)
        }
        return session
    }

    // MARK: Memory

    func bind(input: Int, _ memory: FloatMemory) throws(Failure) {
        try unsafe interpreter.bindInput(input, UnsafeRawPointer(memory.address), byteCount: memory.byteCount)
    }

    /// The first `count` floats.
    func bind(output: Int, _ memory: FloatMemory, count: Int? = nil) throws(Failure) {
        let bytes = (count ?? memory.count) * MemoryLayout<Float>.stride
        try unsafe interpreter.bindOutput(output, UnsafeMutableRawPointer(memory.address), byteCount: bytes)
    }

    func output(_ index: Int) throws(Failure) -> LiveTensor { try interpreter.outputTensor(index) }

    var arenaSize: Int { interpreter.arenaSize }

    // MARK: Batches

    /// The samples of part number `part` of a batch: all parts but the last are as many as the graph takes.
    private func samples(of batch: Batch, _ part: Int) -> Range<Int> {
        let first = part * graph.batchSize
        return first..<min(batch.sampleCount, first + graph.batchSize)
    }

    func load(inputs batch: Batch, part: Int = 0) throws(Failure) {
        guard batch.inputs.count == graph.dataCount else {
            throw .wrongSize("a batch has \(graph.dataCount) inputs, not \(batch.inputs.count)")
        }
        for (index, data) in batch.inputs.enumerated() { try load(data, into: index, batch, part, "input \(index)") }
    }

    func load(weights batch: Batch, part: Int) throws(Failure) {
        var weights = [Float](repeating: 0, count: graph.batchSize)
        let share = 1 / Float(batch.sampleCount)
        let given = batch.weights?.array(of: Float.self)
        if let given, given.count != batch.sampleCount {
            throw .wrongSize("a batch of \(batch.sampleCount) samples has as many weights, not \(given.count)")
        }
        let samples = samples(of: batch, part)
        for index in samples {
            let weight = given?[index] ?? 1
            guard weight >= 0, weight.isFinite else {
                throw .invalidArgument("sample \(index) has weight \(weight), it must be 0 or more")
            }
            weights[index - samples.lowerBound] = weight * share
        }
        sampleWeights.set(weights)
    }

    func load(labels batch: Batch, part: Int) throws(Failure) {
        let wanted = graph.labels.indices.filter { graph.labels[$0].isCallers }
        guard batch.labels.count == wanted.count else {
            throw .wrongSize("a batch has labels for \(wanted.count) losses, not for \(batch.labels.count)")
        }
        for (data, index) in zip(batch.labels, wanted) {
            try load(data, into: graph.dataCount + index, batch, part, "labels of loss \(index)")
            guard part == 0 else { continue }
            try graph.labels[index].check(data, samples: batch.sampleCount, loss: index)
        }
    }

    /// Connects the caller's memory, or a copy with padding where samples are missing.
    private func load(
        _ data: Bytes, into input: Int, _ batch: Batch, _ part: Int, _ what: Sentence
    ) throws(Failure) {
        let tensor = try interpreter.inputTensor(input)
        let isBatched = tensor.info.shape.first == graph.batchSize
        let whole = tensor.byteCount
        let sample = whole / graph.batchSize
        let expected = isBatched ? sample * batch.sampleCount : whole
        guard data.count == expected else {
            throw .wrongSize(
                "\(what), \(tensor.info.described), has \(expected) bytes for \(batch.sampleCount) samples, not"
                    + " \(data.count)")
        }
        let samples = samples(of: batch, part)
        let from = unsafe data.baseAddress + (isBatched ? samples.lowerBound * sample : 0)
        guard isBatched, samples.count < graph.batchSize else {
            return try unsafe interpreter.bindInput(input, from, byteCount: whole)
        }
        let storage: Storage
        if let present = padded[input] { storage = present } else { storage = try Storage.allocate(whole) }
        padded[input] = storage
        // The padding repeats the first sample: any other values might be none the model can compute with.
        let address = unsafe UnsafeMutableRawPointer(mutating: Bytes(storage).baseAddress)
        unsafe address.copyMemory(from: from, byteCount: samples.count * sample)
        for index in samples.count..<graph.batchSize {
            unsafe (address + index * sample).copyMemory(from: from, byteCount: sample)
        }
        try unsafe interpreter.bindInput(input, UnsafeRawPointer(address), byteCount: whole)
    }

    // MARK: Labels of the library and of the host

    var needsTeacher: Bool { graph.labels.contains { if case .teacher = $0.meaning { true } else { false } } }

    /// What the teacher says for a loss.
    func teach(_ loss: Int, _ values: LiveTensor) {
        guard let memory = given[loss], let from = unsafe values.data else { return }
        unsafe UnsafeMutableRawPointer(memory.address).copyMemory(
            from: from, byteCount: min(memory.byteCount, values.byteCount))
    }

    func callHost(
        _ function: HostLossFunction?, predictionsOf forward: GraphSession, _ sampleCount: Int
    ) throws(Failure) {
        guard let function else { return }
        var predictions: [FloatMemory] = []
        var gradients: [FloatMemory] = []
        for (index, term) in graph.terms.enumerated() where term.kind == .host {
            guard let gradient = given[index] else { continue }
            let tensor = try forward.output(1 + index)
            let values = try FloatMemory.make(gradient.count)
            if let from = unsafe tensor.data {
                unsafe UnsafeMutableRawPointer(values.address).copyMemory(
                    from: from, byteCount: min(values.byteCount, tensor.byteCount))
            }
            predictions.append(values)
            gradients.append(gradient)
        }
        hostLoss = try function(HostLossCall(predictions: predictions, gradients: gradients, sampleCount: sampleCount))
        for gradient in gradients {
            var values = gradient.mutableSpan
            let row = gradient.count / graph.batchSize
            for index in sampleCount * row..<gradient.count { values[index] = 0 }
        }
    }

    // MARK: Results

    func invoke() throws(Failure) {
        interpreter.resetVariables()
        try interpreter.invoke()
    }

    /// `invoke` for a thread that cannot throw.
    func tryInvoke() {
        failure = nil
        do throws(Failure) { try invoke() } catch { failure = error }
    }

    func result(_ batch: Batch, part: Int) throws(Failure) -> BatchResult {
        var result = BatchResult()
        result.loss = try value(0)
        if graph.terms.contains(where: { $0.kind == .host }) {
            // What the graph computed for the host's terms is not their loss.
            var others: Float = 0
            if graph.terms.count > 1 { others = result.loss - (try hostTerms()) }
            result.loss = hostLoss + others
        }
        for (index, term) in graph.terms.enumerated() {
            let accuracy = try LossDefinition.of(term.kind).accuracy
            try Answers(accuracy, graph.labels[index]).count(
                try output(1 + index), labels: try interpreter.inputTensor(graph.dataCount + index),
                samples: samples(of: batch, part).count, &result)
        }
        return result
    }

    private func value(_ output: Int) throws(Failure) -> Float {
        let tensor = try interpreter.outputTensor(output)
        guard tensor.byteCount >= 4, let data = unsafe tensor.data else { return .nan }
        return unsafe data.load(as: Float.self)
    }

    /// sum(output gradient) of the host's losses, as the graph has it in its loss.
    private func hostTerms() throws(Failure) -> Float {
        var sum: Float = 0
        for (index, term) in graph.terms.enumerated() where term.kind == .host {
            guard let gradient = given[index], let data = unsafe try output(1 + index).data else { continue }
            let values = unsafe UnsafeBufferPointer(
                start: data.assumingMemoryBound(to: Float.self), count: gradient.count)
            let factors = gradient.span
            for place in 0..<gradient.count { unsafe sum += values[place] * factors[place] }
        }
        return sum
    }

    /// Runs the graph once more and says which operator is the first with a result that is not finite; nil: none has.
    func firstNonFinite() -> Sentence? {
        var found: Int?
        func look(_ tensor: Int, _ data: RawSpan) {
            guard found == nil, graph.model.subgraphs[0].tensors.indices.contains(tensor),
                graph.model.subgraphs[0].tensors[tensor].type == .float32,
                !ParameterArithmetic.isFinite(Span<Float>(_bytes: data))
            else { return }
            found = tensor
        }
        for index in 0..<graph.dataCount {
            guard let input = try? interpreter.inputTensor(index), input.info.type == .float32,
                let data = unsafe input.data
            else { continue }
            let values = unsafe Span<Float>(
                _unsafeStart: data.assumingMemoryBound(to: Float.self), count: input.byteCount / 4)
            if !ParameterArithmetic.isFinite(values) {
                return "input \(index), tensor '\(input.info.name)', has a value that is not finite"
            }
        }
        interpreter.resetVariables()
        do throws(Failure) { try interpreter.invoke(observing: look) } catch { return Sentence(error.message) }
        let subgraph = graph.model.subgraphs[0]
        guard let found, let op = subgraph.operators.firstIndex(where: { $0.outputs.contains(found) }) else {
            return nil
        }
        let name = graph.model.operatorCodes[subgraph.operators[op].opcode].name
        let isForward = op < graph.forwardCount
        let label = subgraph.tensors[found].name
        return
            "operator \(op), \(name)\(isForward ? "" : " of the backward pass"), is the first with a result that is not"
            + " finite\(label.isEmpty ? "" : ", tensor '\(label)'")"
    }
}
