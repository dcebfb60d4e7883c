import CEdgeOpt
import Compression
import Kernels
import Model
import Operators
import Quantization
import Runtime

/// A model in training: its parameters, the optimizer's values, and the graphs that compute losses and gradients. The
/// same start, data and number of threads give the same bits. One thread at a time.
@safe package final class Trainer {
    let source: TrainingSource
    package let options: TrainerOptions
    let parameters: [TrainedParameter]
    /// By `source.states`.
    let stateValues: [StateValues]
    let steps: GraphSession
    /// With `steps` as the first.
    private var sideBySide = SideBySide()
    /// Made when they are first needed.
    private var evaluation: GraphSession?
    /// What steps compute up to the predictions, for the host's loss.
    private var forward: GraphSession?
    /// By the number of samples they take.
    private var teachers: [Int: Teacher] = [:]
    private let tensors: TrainingGraph.Tensors
    let losses: [LossTerm]
    private let pool: ThreadPool
    /// Steps taken so far.
    package internal(set) var step = 0
    package internal(set) var schedule: Schedule
    /// Bytes of the caller's own that go into checkpoints: where it is in its data.
    package var position: [UInt8] = []

    private init(
        _ source: TrainingSource, _ options: TrainerOptions, _ parameters: [TrainedParameter],
        _ stateValues: [StateValues], _ steps: GraphSession, _ tensors: TrainingGraph.Tensors, _ pool: ThreadPool
    ) {
        self.source = source
        self.options = options
        self.parameters = parameters
        self.stateValues = stateValues
        self.steps = steps
        self.tensors = tensors
        self.pool = pool
        losses = steps.graph.terms
        schedule = options.schedule
    }

    /// Prepares a float model and begins to train it.
    package static func make(_ model: Model, _ options: TrainerOptions) throws(Failure) -> Trainer {
        try options.validate()
        var rolled: RolledModel?
        let prepared = try model.preparedForTraining(signature: options.signature, &rolled)
        var source: TrainingSource
        if options.normalizesBatches, options.targets.quantization == nil {
            source = try BatchNormalization.insert(into: prepared, momentum: options.batchMomentum)
        } else {
            source = try options.targets.source(prepared)
            if options.normalizesBatches {
                source = try BatchNormalization.fold(into: source, momentum: options.batchMomentum)
            }
        }
        source.rolled = rolled
        let constraints = try options.targets.constraints(for: prepared)
        source.constraints = try source.trained(constraints, options)
        return try make(source, options)
    }

    /// Throws `EO_UNSUPPORTED` naming an operator without a gradient, `EO_INVALID_ARGUMENT` for options no training can
    /// have and for a model without parameters.
    package static func make(_ source: TrainingSource, _ options: TrainerOptions) throws(Failure) -> Trainer {
        try options.validate()
        var tensors = TrainingGraph.Tensors()
        let chosen = try source.chosen(options)
        let learned = source.states.flatMap { $0.learned }
        tensors.trained = chosen + learned
        let losses = options.losses.isEmpty ? [LossTerm()] : options.losses
        tensors.states = source.states.flatMap { $0.states }
        tensors.observed = source.states.flatMap { $0.observed }
        let purpose = TrainingGraph.Purpose.step(recomputing: options.recomputesActivations)
        let size = try source.samplesAtATime(options, losses, tensors)
        var graph = try TrainingGraph(
            source.training, batchSize: size, losses: losses, tensors: tensors, for: purpose)
        if graph.reached != tensors.trained {
            tensors.trained = graph.reached
            graph = try TrainingGraph(
                source.training, batchSize: size, losses: losses, tensors: tensors, for: purpose)
        }
        guard !tensors.trained.isEmpty else {
            throw .invalidArgument("\(source.prepared.origin): the loss depends on no parameter that is trained")
        }
        var parameters: [TrainedParameter] = []
        for tensor in tensors.trained {
            let description = source.training.subgraphs[0].tensors[tensor]
            guard let weights = source.training.floats(0, tensor) else {
                throw .invalidModel("\(source.prepared.origin): tensor '\(description.name)' is no constant")
            }
            let isLearned = learned.contains(tensor)
            let decays =
                !isLearned
                && !options.optimizer.withoutDecay.contains { NamePattern($0).matches(description.name) }
            let constraint = isLearned ? nil : source.constraints.first { $0.parameter == description.name }?.constraint
            parameters.append(
                try TrainedParameter.make(
                    tensor, description, weights, options.optimizer, decays: decays, constraint))
        }
        try source.checkConstraints(parameters)
        let pool = try ThreadPool(threads: options.threadCount)
        let atOnce = min(pool.threadCount, (options.batchSize + size - 1) / size)
        let session = try GraphSession.make(
            graph, threadCount: atOnce > 1 ? 1 : options.threadCount, precision: options.precision)
        let values = try source.values(parameters, graph)
        let trainer = Trainer(source, options, parameters, values, session, tensors, pool)
        try trainer.addSide(session)
        for _ in 1..<max(1, atOnce) {
            try trainer.addSide(try GraphSession.make(graph, threadCount: 1, precision: options.precision))
        }
        return trainer
    }

    /// Connects a graph of steps with the parameters, and with memory for what it tells of its part.
    private func addSide(_ session: GraphSession) throws(Failure) {
        let isInParts = session.graph.batchSize < options.batchSize
        var states: [StateValues] = []
        for values in stateValues { states.append(session === steps ? values : try values.besides()) }
        try bind(session, parameters.map { $0.used })
        try bindObserved(session, states)
        var gradients: [FloatMemory] = []
        for parameter in parameters {
            let count = parameter.used.count
            let gradient = isInParts ? try FloatMemory.make(count) : parameter.gradient
            let output = 1 + session.graph.predictions.count + tensors.observed.count + gradients.count
            try session.bind(output: output, gradient, count: count)
            gradients.append(gradient)
        }
        sideBySide.add(SideBySide.Side(session: session, gradients: gradients, states: states))
    }

    /// Connects parameters and states with a graph.
    private func bind(_ session: GraphSession, _ values: [FloatMemory]) throws(Failure) {
        var input = session.graph.firstParameter
        for memory in values + stateValues.flatMap({ $0.states }) {
            try session.bind(input: input, memory)
            input += 1
        }
    }

    private func bindObserved(_ session: GraphSession, _ states: [StateValues]) throws(Failure) {
        var output = 1 + session.graph.predictions.count
        for memory in states.flatMap({ $0.observed }) {
            try session.bind(output: output, memory)
            output += 1
        }
    }

    // MARK: Steps

    /// Runs a batch forward and backward and moves the parameters. On failure they are what they were; a loss or
    /// gradient that is not finite is `EO_EXECUTION_ERROR`, whose sentence names the first operator with such a value.
    package func step(_ batch: Batch) throws(Failure) -> BatchResult {
        try begin(batch)
        var result = try pass(batch)
        for parameter in parameters { parameter.pullBack() }
        var squares = 0.0
        for parameter in parameters { squares += parameter.gradientSquares }
        result.gradientNorm = Float(squares.squareRoot())
        guard result.loss.isFinite, squares.isFinite else { throw diagnosis(batch, result.loss) }
        updateStates()
        for parameter in parameters { parameter.clip(options.optimizer, norm: squares.squareRoot()) }
        result.learningRate = schedule.rate(at: step)
        step += 1
        for parameter in parameters {
            parameter.update(options.optimizer, rate: result.learningRate, step: step, pool: pool)
        }
        return result
    }

    /// Shows a batch to the states (ranges, statistics) without moving a parameter.
    package func calibrate(_ batch: Batch) throws(Failure) {
        try begin(batch)
        let result = try pass(batch)
        guard result.loss.isFinite else { throw diagnosis(batch, result.loss) }
        updateStates()
    }

    /// Forward and backward, in as many parts as the batch has.
    private func pass(_ batch: Batch) throws(Failure) -> BatchResult {
        useParameters()
        var result = BatchResult()
        let count = partCount(batch, steps)
        let sides = sideBySide.sides
        for first in stride(from: 0, to: count, by: sides.count) {
            let parts = first..<min(count, first + sides.count)
            for part in parts { try load(batch, into: sides[part - first].session, part) }
            try sideBySide.invoke(parts.count, pool)
            for part in parts {
                let side = sides[part - first]
                result.add(try side.session.result(batch, part: part))
                for (parameter, gradient) in zip(parameters, side.gradients) {
                    parameter.addPart(gradient, isFirst: part == 0)
                }
                for (state, values) in zip(source.states, side.states) { state.observe(values, isFirst: part == 0) }
            }
        }
        return result
    }

    private func partCount(_ batch: Batch, _ session: GraphSession) -> Int {
        max(1, (batch.sampleCount + session.graph.batchSize - 1) / session.graph.batchSize)
    }

    /// Shows the first batch to states that begin with its statistics.
    private func begin(_ batch: Batch) throws(Failure) {
        guard source.states.contains(where: { $0.needsBeginning }) else { return }
        useParameters()
        let session = try forwardSession(source.evaluation, parameters.map { $0.used }, for: .beginning)
        try bindObserved(session, stateValues)
        try load(batch, into: session)
        let result = try run(session, batch)
        guard result.loss.isFinite else { throw diagnosis(batch, result.loss, session) }
        for (state, values) in zip(source.states, stateValues) where state.needsBeginning { state.begin(values) }
    }

    /// Makes what the graph of steps reads.
    private func useParameters() {
        surveyParameters(averaged: false)
        for parameter in parameters { parameter.use(step: step) }
    }

    /// To be called before parameters make what a graph reads.
    func surveyParameters(averaged: Bool) {
        for parameter in parameters { parameter.survey(step: step, averaged: averaged) }
    }

    private func updateStates() {
        for (state, values) in zip(source.states, stateValues) { state.update(values, step: step) }
    }

    // MARK: Evaluation

    /// Loss and right answers of a batch, with the averaged parameters if there are any.
    package func evaluate(_ batch: Batch) throws(Failure) -> BatchResult {
        let session = try evaluating()
        try load(batch, into: session)
        return try run(session, batch)
    }

    /// The model's outputs for a batch, in `session`'s memory until the next call. Labels are not needed.
    package func predict(_ batch: Batch) throws(Failure) -> [LiveTensor] {
        let session = try evaluating()
        try check(batch)
        try session.load(inputs: batch)
        try session.invoke()
        var outputs: [LiveTensor] = []
        for index in 0..<source.prepared.subgraphs[0].outputs.count {
            outputs.append(try session.output(1 + session.graph.predictions.count + index))
        }
        return outputs
    }

    private func evaluating() throws(Failure) -> GraphSession {
        surveyParameters(averaged: true)
        for parameter in parameters { parameter.evaluate(step: step) }
        if let evaluation { return evaluation }
        let session = try forwardSession(source.evaluation, parameters.map { $0.evaluated })
        evaluation = session
        return session
    }

    private func forwardSession(
        _ model: Model, _ values: [FloatMemory], for purpose: TrainingGraph.Purpose = .evaluation,
        precision: Precision = .float32
    ) throws(Failure) -> GraphSession {
        let graph = try TrainingGraph(
            model, batchSize: options.batchSize, losses: losses, tensors: tensors, for: purpose)
        let session = try GraphSession.make(graph, threadCount: options.threadCount, precision: precision)
        try bind(session, values)
        return session
    }

    // MARK: Batches

    /// Checks a batch and connects it with a graph.
    private func load(_ batch: Batch, into session: GraphSession, _ part: Int = 0) throws(Failure) {
        try check(batch)
        try session.load(inputs: batch, part: part)
        try session.load(weights: batch, part: part)
        try session.load(labels: batch, part: part)
        if session.needsTeacher {
            let size = session.graph.batchSize
            try teacher(of: size).teach(batch, part, session)
        }
        guard losses.contains(where: { $0.kind == .host }) else { return }
        // The host needs the predictions before the gradients can be computed.
        if session === steps, forward == nil {
            forward = try forwardSession(
                source.training, parameters.map { $0.used }, precision: options.precision)
        }
        let predicting = session === steps ? forward ?? session : session
        try predicting.load(inputs: batch)
        try predicting.invoke()
        try session.callHost(options.hostLoss, predictionsOf: predicting, batch.sampleCount)
    }

    private func teacher(of samples: Int) throws(Failure) -> Teacher {
        if let teacher = teachers[samples] { return teacher }
        let teacher = try Teacher.make(source.prepared, losses, options, samples: samples)
        teachers[samples] = teacher
        return teacher
    }

    private func check(_ batch: Batch) throws(Failure) {
        guard batch.sampleCount > 0, batch.sampleCount <= options.batchSize else {
            throw .wrongSize("a batch has 1 to \(options.batchSize) samples, not \(batch.sampleCount)")
        }
    }

    private func run(_ session: GraphSession, _ batch: Batch) throws(Failure) -> BatchResult {
        try session.invoke()
        return try session.result(batch, part: 0)
    }

    /// Runs a step once more and looks at every result.
    private func diagnosis(_ batch: Batch, _ loss: Float, _ session: GraphSession? = nil) -> Failure {
        let what: Sentence = loss.isFinite ? "a gradient is not finite" : "the loss is \(loss)"
        let session = session ?? steps
        var cause: Sentence = "its sum is not finite, though every value is"
        for part in 0..<partCount(batch, session) {
            do throws(Failure) { try load(batch, into: session, part) } catch { break }
            if let found = session.firstNonFinite() {
                cause = found
                break
            }
        }
        return .execution(
            "\(source.prepared.origin): step \(step): \(what): \(cause). Training has stopped; the parameters are"
                + " those before the step")
    }
}

extension TrainingSource {
    /// The parameters that the options leave to be trained.
    fileprivate func chosen(_ options: TrainerOptions) throws(Failure) -> [Int] {
        let graph = prepared.subgraphs[0]
        let candidates = ParameterRoles.parameters(of: prepared)
        let learnsStates = states.contains { !$0.learned.isEmpty }
        guard !candidates.isEmpty || learnsStates else {
            throw .invalidArgument("\(prepared.origin): the model has no tensor that could be trained")
        }
        for pattern in options.trainable + options.frozen
        where !candidates.contains(where: { NamePattern(pattern).matches(graph.tensors[$0].name) }) {
            throw .outOfRange("\(prepared.origin): no parameter has a name like '\(pattern)'")
        }
        let replaced = states.flatMap { $0.replaced }
        let chosen = candidates.filter { tensor in
            if replaced.contains(tensor) { return false }
            let name = graph.tensors[tensor].name
            return (options.trainable.isEmpty || options.trainable.contains { NamePattern($0).matches(name) })
                && !options.frozen.contains { NamePattern($0).matches(name) }
        }
        guard !chosen.isEmpty || learnsStates else {
            throw .invalidArgument("\(prepared.origin): all parameters are frozen, there is nothing to train")
        }
        return chosen
    }

    /// The constraints of parameters that are not frozen.
    fileprivate func trained(
        _ constraints: [NamedConstraint], _ options: TrainerOptions
    ) throws(Failure) -> [(parameter: String, constraint: any ParameterConstraint)] {
        guard !constraints.isEmpty else { return [] }
        let names = try chosen(options).map { prepared.subgraphs[0].tensors[$0].name }
        var kept: [(parameter: String, constraint: any ParameterConstraint)] = []
        for item in constraints where names.contains(item.parameter) {
            kept.append((item.parameter, item.constraint))
        }
        return kept
    }

    fileprivate func checkConstraints(_ parameters: [TrainedParameter]) throws(Failure) {
        for (name, _) in constraints where !parameters.contains(where: { $0.name == name && $0.constraint != nil }) {
            throw .outOfRange("\(prepared.origin): no trained parameter is called '\(name)', but it has a constraint")
        }
    }

    /// Memory of the states: what their constants are, and a place for what they observe.
    fileprivate func values(
        _ parameters: [TrainedParameter], _ graph: TrainingGraph
    ) throws(Failure) -> [StateValues] {
        var all: [StateValues] = []
        for state in states {
            var values: [FloatMemory] = []
            for tensor in state.states {
                guard let first = training.floats(0, tensor) else {
                    throw .invalidModel("\(prepared.origin): state tensor \(tensor) is no constant")
                }
                values.append(try FloatMemory.make(first))
            }
            var observed: [FloatMemory] = []
            for tensor in state.observed {
                observed.append(
                    try FloatMemory.make(elementCount(graph.model.subgraphs[0].tensors[tensor].shape) ?? 0))
            }
            var learned: [FloatMemory] = []
            for tensor in state.learned {
                // Those that the loss does not depend on stay as they are.
                if let parameter = parameters.first(where: { $0.tensor == tensor }) {
                    learned.append(parameter.trained)
                } else {
                    learned.append(try FloatMemory.make(training.floats(0, tensor) ?? []))
                }
            }
            all.append(StateValues(states: values, learned: learned, observed: observed))
        }
        return all
    }
}
