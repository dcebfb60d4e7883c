import Compression
import Model
import Quantization

/// What is made of a model's weights while it is trained.
package struct TrainingTargets {
    /// Gives the next sample as the bytes of each of so many inputs of the model; nil ends them.
    package typealias Samples = (_ inputs: Int) throws(Failure) -> [Bytes]?

    package var pruning: PruningOptions?
    /// nil: the options' sparsity from the first step.
    package var schedule: PruningSchedule?
    package var prunedGradient = PruningConstraint.PrunedGradient.masked
    package var clustering: ClusteringOptions?
    /// Where pruning and clustering do not decide: weights that are zero stay zero, those with few values keep as few.
    package var preservesZeros = false
    package var preservesClusters = false
    package var quantization: QuantizationAwareOptions?
    /// For the ranges of `quantization` to start from.
    package var calibration: Samples?
    package init() {}

    func validate(normalizesBatches: Bool) throws(Failure) {
        guard normalizesBatches else { return }
        // Folding multiplies each channel by a number of its own.
        guard !preservesClusters, clustering?.granularity != .tensor else {
            throw .invalidArgument(
                "batch normalization is folded into the weights, which then have other values in each channel: cluster"
                    + " by channels, or train without it")
        }
    }

    /// What is trained, without constraints.
    func source(_ prepared: Model) throws(Failure) -> TrainingSource {
        guard var quantization else { return TrainingSource(prepared) }
        // Values that a whole tensor shares stay few with one scale.
        if let clustering, clustering.granularity == .tensor {
            for item in try prepared.clusterableWeights(clustering) {
                guard let name = item.weights.names.last else { continue }
                var rule = LayerRule(name)
                rule.perTensorWeights = true
                quantization.quantizer.layers.append(rule)
            }
        }
        let inputs = prepared.subgraphs[0].inputs.count
        return try .quantizationAware(prepared, quantization) { () throws(Failure) in
            guard let calibration else { return nil }
            return try calibration(inputs)
        }
    }

    /// One for each parameter that has any.
    func constraints(for prepared: Model) throws(Failure) -> [NamedConstraint] {
        var made: [NamedConstraint] = []
        if let pruning {
            made = try prepared.pruningConstraints(
                pruning, schedule: schedule ?? .constant(pruning.sparsity), prunedGradient: prunedGradient)
        }
        if let clustering { made = try prepared.clusteringConstraints(clustering, after: made) }
        guard preservesZeros || preservesClusters else { return made }
        let decided = made.map { $0.parameter }
        for item in try prepared.preservingConstraints(zeros: preservesZeros, clusters: preservesClusters)
        where !decided.contains(item.parameter) {
            made.append(item)
        }
        return made
    }
}
