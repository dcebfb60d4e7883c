import Compression
import Model
import Quantization

extension Trainer {
    // MARK: Parameters

    package var parameterCount: Int { parameters.count }

    /// Name, shape and present values of a parameter as the model uses it; averaged ones are not among them.
    package func parameter(_ index: Int) throws(Failure) -> (name: String, shape: [Int], memory: FloatMemory) {
        let parameter = try checked(index)
        surveyParameters(averaged: false)
        parameter.use(step: step)
        return (parameter.name, parameter.shape, parameter.used)
    }

    /// -1: no parameter has this name.
    package func parameterIndex(_ name: String) -> Int { parameters.firstIndex { $0.name == name } ?? -1 }

    /// Gives a parameter other values; what the optimizer knows of it starts anew.
    package func setParameter(_ index: Int, _ values: Bytes) throws(Failure) {
        let parameter = try checked(index)
        guard values.count == parameter.used.byteCount else {
            throw .wrongSize(
                "parameter '\(parameter.name)' has \(parameter.used.byteCount) bytes, not \(values.count)")
        }
        let weights = values.array(of: Float.self)
        guard weights.allSatisfy({ $0.isFinite }) else {
            throw .invalidArgument("parameter '\(parameter.name)' cannot have a value that is not finite")
        }
        parameter.reset(weights)
    }

    private func checked(_ index: Int) throws(Failure) -> TrainedParameter {
        guard parameters.indices.contains(index) else {
            throw .outOfRange("there is no parameter \(index), only \(parameters.count)")
        }
        return parameters[index]
    }

    /// Present values of a state, by `TrainingSource.states` and its own list.
    package func stateValues(_ state: Int, _ index: Int) -> [Float] { stateValues[state].states[index].values }

    // MARK: The rate

    /// The rate of the next step.
    package var learningRate: Float { schedule.rate(at: step) }

    /// Sets the rate that the schedule starts from.
    package func setLearningRate(_ rate: Float) throws(Failure) {
        var changed = schedule
        changed.rate = rate
        try changed.validate()
        schedule = changed
    }

    // MARK: Export

    /// The prepared model with the trained parameters (averaged ones, if there are averages): the operators it had, and
    /// nothing of the training.
    package func parameterModel() throws(Failure) -> Model {
        var model = source.prepared
        for (tensor, values) in trainedValues() {
            model.buffers.append(Buffer(try Bytes(copying: values)))
            model.subgraphs[0].tensors[tensor].buffer = model.buffers.count - 1
        }
        return model
    }

    /// What is exported for the parameters of the prepared model, by its tensors.
    private func trainedValues() -> [(tensor: Int, values: [Float])] {
        surveyParameters(averaged: true)
        var all: [(tensor: Int, values: [Float])] = []
        for parameter in parameters where parameter.tensor < source.prepared.subgraphs[0].tensors.count {
            all.append((parameter.tensor, parameter.exported(step: step)))
        }
        return all
    }

    /// The model that training has made: `parameterModel` and what the states do to it; where they do nothing, with the
    /// loops and calls that the model had. Zeros and clusters that it was to keep or to make are there, or this throws.
    package func export() throws(Failure) -> Model {
        let model = try exported()
        let (targets, names) = (options.targets, source.constraints.map { $0.parameter })
        let kept = try Preservation(
            source.prepared, zeros: targets.preservesZeros, clusters: targets.preservesClusters,
            where: { names.contains($0) })
        try kept.check(model)
        let made = try Preservation(
            parameterModel(), zeros: targets.pruning != nil, clusters: targets.clustering != nil,
            where: { names.contains($0) })
        try made.check(model)
        return model
    }

    private func exported() throws(Failure) -> Model {
        if !options.unrolls, source.states.isEmpty, let rolled = try source.rolled?.replacing(trainedValues()) {
            return rolled.compacted()
        }
        var model = try parameterModel()
        for (state, values) in zip(source.states, stateValues) { model = try state.export(model, values) }
        return model.compacted()
    }
}

extension Trainer {
    /// What a batch consists of, for `batchSize` samples: the model's inputs, and labels for each loss that takes them.
    package var inputs: [Tensor] { tensors(of: steps.graph.model.subgraphs[0].inputs[..<steps.graph.dataCount]) }
    package var labels: [Tensor] {
        let graph = steps.graph
        let own = graph.labels.indices.filter { graph.labels[$0].isCallers }
        return tensors(of: own.map { graph.model.subgraphs[0].inputs[graph.dataCount + $0] }[...])
    }

    /// What `predict` gives.
    package var outputs: [Tensor] { tensors(of: source.prepared.subgraphs[0].outputs[...]) }

    private func tensors(of indices: ArraySlice<Int>) -> [Tensor] {
        indices.map { index in
            var tensor = steps.graph.model.subgraphs[0].tensors[index]
            if tensor.shape.first == steps.graph.batchSize { tensor.shape[0] = options.batchSize }
            return tensor
        }
    }

    /// Bytes of all memory that holds intermediate results of a step.
    package var arenaSize: Int { steps.arenaSize }
}
