import Model
import Quantization

package struct PruningOptions {
    package var sparsity = 0.5
    package var pattern = SparsityPattern.element
    /// The target is that of all selected weights together: those with the least `layerAdaptiveScores` are pruned.
    package var isGlobal = false
    /// Prune only what runs faster when it is sparse: see `LatencyPolicy`.
    package var forLatency = false
    package var includesDepthwise = false
    /// Also the convolutions that read the model's inputs.
    package var includesFirst = false
    /// Sparsities of layers by name; 0 leaves a layer alone.
    package var rules: [LayerTarget] = []
    /// Told what is worth knowing.
    package var log: (String) -> Void = { _ in }

    package init() {}

    /// For latency single zeros are no use: blocks take their place.
    func settled() -> PruningOptions {
        var options = self
        if forLatency, pattern == .element { options.pattern = LatencyPolicy.pattern }
        return options
    }

    func validate() throws(Failure) {
        try pattern.validate()
        for value in [sparsity] + rules.map({ $0.value }) where !(value >= 0 && value < 1) {
            throw .invalidArgument("a sparsity of \(value): expected a number from 0 up to, without, 1")
        }
    }
}

extension Model {
    /// The model with the weights of least magnitude set to zero. Of each tensor (or of all together) the share
    /// `sparsity` of the weights, blocks or groups is zero afterwards, rounded to a whole number; of equal ones the first
    /// go first. What was zero before stays zero and counts. Constants are folded and float16 weights made float32 first.
    /// Throws `EO_UNSUPPORTED` if there is nothing to prune.
    package func pruned(_ options: PruningOptions) throws(Failure) -> Model {
        try options.validate()
        let options = options.settled()
        var model = try preparedForQuantization()
        let chosen = try model.prunableWeights(options)
        var all: [[Float]] = []
        for item in chosen { all.append(try model.finiteWeights(item.weights)) }
        let masks =
            options.isGlobal
            ? commonMasks(chosen.map { $0.weights.matrix }, all, options.pattern, sparsity: options.sparsity)
            : chosen.indices.map {
                pruningMask(all[$0], chosen[$0].weights.matrix, options.pattern, sparsity: chosen[$0].sparsity)
            }
        for (index, item) in chosen.enumerated() {
            var values = all[index]
            for place in values.indices where !masks[index][place] { values[place] = 0 }
            try model.replace(item.weights, values)
        }
        return model
    }

    /// The weights that the options select, each with its target.
    package func prunableWeights(
        _ options: PruningOptions
    ) throws(Failure) -> [(weights: WeightTensor, sparsity: Double)] {
        let policy = options.forLatency ? LatencyPolicy(self, options) : nil
        var chosen: [(weights: WeightTensor, sparsity: Double)] = []
        for weights in weightTensors() {
            let sparsity = options.rules.value(for: weights, otherwise: options.sparsity)
            let isNamed = options.rules.value(for: weights, otherwise: -1) > 0
            let isLeftOut =
                weights.kind == .depthwise && !options.includesDepthwise || weights.isFirst && !options.includesFirst
            guard sparsity > 0, isNamed || !isLeftOut, policy?.allows(weights) ?? true else { continue }
            chosen.append((weights, sparsity))
        }
        guard !chosen.isEmpty else {
            throw .unsupported("\(origin): there are no float weights that these options would prune")
        }
        return chosen
    }
}

/// Which weights are kept when the share `sparsity` of the units of a tensor is pruned.
package func pruningMask(
    _ weights: [Float], _ matrix: WeightMatrix, _ pattern: SparsityPattern, sparsity: Double
) -> [Bool] {
    if case .zerosOfEvery(let zeros, let size) = pattern {
        return SparsityPattern.keptOfEvery(zeros: zeros, size: size, weights, matrix)
    }
    let scores = pattern.scores(weights, matrix)
    let count = prunedCount(scores.count, sparsity)
    guard count > 0 else { return [Bool](repeating: true, count: weights.count) }
    var threshold = Threshold(count: count, of: [scores])
    return pattern.expand(threshold.kept(scores), matrix)
}

/// Which weights are kept when the share `sparsity` of the units of all tensors together is pruned.
func commonMasks(
    _ matrices: [WeightMatrix], _ weights: [[Float]], _ pattern: SparsityPattern, sparsity: Double
) -> [[Bool]] {
    if case .zerosOfEvery = pattern {
        return matrices.indices.map { pruningMask(weights[$0], matrices[$0], pattern, sparsity: 0) }
    }
    let scores = matrices.indices.map { layerAdaptiveScores(pattern.scores(weights[$0], matrices[$0])) }
    let count = prunedCount(scores.reduce(0) { $0 + $1.count }, sparsity)
    guard count > 0 else { return weights.map { [Bool](repeating: true, count: $0.count) } }
    var threshold = Threshold(count: count, of: scores)
    var masks: [[Bool]] = []
    for index in matrices.indices {
        masks.append(pattern.expand(threshold.kept(scores[index]), matrices[index]))
    }
    return masks
}

/// How many of `count` units the share is.
package func prunedCount(_ count: Int, _ sparsity: Double) -> Int { Int((Double(count) * sparsity).rounded()) }

extension Model {
    /// The values of a weight tensor; refuses NaN and infinity.
    package func finiteWeights(_ weights: WeightTensor) throws(Failure) -> [Float] {
        guard let values = floats(weights.subgraph, weights.tensor), values.count >= weights.matrix.count else {
            throw .invalidModel("\(origin): the weights '\(weights.name)' are not constant float32 numbers")
        }
        // 0 for finite numbers only.
        var wrong: Float = 0
        for value in values { wrong += value - value }
        guard wrong == 0 else {
            throw .invalidModel(
                "\(origin): the weights '\(weights.name)' have a value that is NaN or infinite, which has no magnitude")
        }
        return values.count == weights.matrix.count ? values : Array(values.prefix(weights.matrix.count))
    }

    /// Gives a weight tensor, and all that share its data, new values.
    package mutating func replace(_ weights: WeightTensor, _ values: [Float]) throws(Failure) {
        let buffer = subgraphs[weights.subgraph].tensors[weights.tensor].buffer
        buffers[buffer] = Buffer(try Bytes(copying: values))
    }
}
