import Model

/// Pruning, and clustering of what is left, of one tensor in one training. The weights are pruned along the schedule;
/// when it has reached its target the centroids of those that are left are found, and trained from then on. Pruned
/// weights are zero, which is one of the values.
package final class PrunedClustering: ParameterConstraint {
    private let pruning: PruningConstraint
    private let clustering: ClusteringConstraint
    private let granularity: ClusterGranularity
    private var hasClusters = false
    private var step = 0
    package private(set) var hasBegunAnew = false

    /// `clustering` preserves zeros.
    package init(_ pruning: PruningConstraint, _ clustering: ClusteringConstraint, _ granularity: ClusterGranularity) {
        self.pruning = pruning
        self.clustering = clustering
        self.granularity = granularity
        clustering.zerosMove = pruning.prunedGradient == .kept
    }

    package var trainedCount: Int { clustering.trainedCount }
    package var usedCount: Int { clustering.usedCount }

    package func start(_ weights: [Float]) -> [Float] {
        hasClusters = false
        return clustering.start(weights)
    }

    package func survey(_ trained: Span<Float>, step: Int) { pruning.survey(trained, step: step) }

    package func use(_ trained: Span<Float>, into used: inout MutableSpan<Float>, step: Int) {
        self.step = step
        pruning.use(trained, into: &used, step: step)
        guard hasClusters else { return }
        clustering.zeros = pruning.kept.map { !$0 }
        clustering.use(trained, into: &used, step: step)
    }

    package func pullBack(_ gradient: inout MutableSpan<Float>, trained: Span<Float>) {
        if hasClusters {
            clustering.pullBack(&gradient, trained: trained)
        } else {
            for index in usedCount..<trainedCount { gradient[index] = 0 }
        }
        pruning.pullBack(&gradient, trained: trained)
    }

    package func project(_ trained: inout MutableSpan<Float>) {
        pruning.project(&trained)
        hasBegunAnew = !hasClusters && step >= pruning.schedule.firstFinalStep
        if hasClusters { return clustering.project(&trained) }
        guard hasBegunAnew else { return }
        var weights = [Float](repeating: 0, count: usedCount)
        for index in weights.indices where pruning.kept[index] { weights[index] = trained[index] }
        let begun = clustering.start(weights)
        for index in usedCount..<trainedCount { trained[index] = begun[index] }
        hasClusters = true
    }

    /// A training that ends before the schedule is clustered at once.
    package func exported(_ used: [Float]) -> [Float] {
        hasClusters ? used : clusteredValues(used, clustering.groups.matrix, clustering.method, granularity)
    }

    /// The mask, whether there are clusters, and theirs.
    package var state: [UInt8] { [hasClusters ? 1 : 0] + pruning.state + clustering.state }

    package func restore(_ state: [UInt8]) throws(Failure) {
        let maskEnd = 1 + (usedCount + 7) / 8
        guard state.count >= maskEnd, state[0] < 2 else {
            throw .invalidArgument("a mask and clusters were expected, found \(state.count) bytes")
        }
        try pruning.restore(Array(state[1..<maskEnd]))
        try clustering.restore(Array(state[maskEnd...]))
        hasClusters = state[0] == 1
    }
}
