import Model

/// A constraint for the parameter with this name.
package struct NamedConstraint {
    package let parameter: String
    package let constraint: any ParameterConstraint
}

/// Constraints for the weights of a model that is prepared for training.
extension Model {
    /// Pruning of the weights that the options select, along the schedule; a layer's own sparsity takes the place of the
    /// schedule's target. A global target is that of all of them together.
    package func pruningConstraints(
        _ options: PruningOptions, schedule: PruningSchedule,
        prunedGradient: PruningConstraint.PrunedGradient = .masked
    ) throws(Failure) -> [NamedConstraint] {
        var options = options.settled()
        options.sparsity = schedule.target
        try options.validate()
        let common = options.isGlobal ? CommonTarget(options.pattern) : nil
        var made: [NamedConstraint] = []
        for item in try prunableWeights(options) {
            var own = schedule
            if common == nil {
                own.target = item.sparsity
                if schedule.initial == schedule.target { own.initial = item.sparsity }
            }
            try own.validate()
            made.append(
                NamedConstraint(
                    parameter: item.weights.name,
                    constraint: try PruningConstraint(
                        item.weights.matrix, pattern: options.pattern, schedule: own, prunedGradient: prunedGradient,
                        common: common)))
        }
        return made
    }

    /// `pruned` and clustering of the weights that the options select: where they are also pruned, of those left.
    package func clusteringConstraints(
        _ options: ClusteringOptions, aggregation: ClusteringConstraint.Aggregation = .sum,
        after pruned: [NamedConstraint] = []
    ) throws(Failure) -> [NamedConstraint] {
        try options.validate()
        var made = pruned
        for item in try clusterableWeights(options) {
            let place = pruned.firstIndex { $0.parameter == item.weights.name }
            let pruning = place.flatMap { pruned[$0].constraint as? PruningConstraint }
            var method = options.method
            method.count = item.count
            // Without zeros to preserve none of the values is set apart for them.
            if pruning != nil {
                method.preservesZeros = true
            } else if method.preservesZeros {
                method.preservesZeros = try finiteWeights(item.weights).contains(0)
            }
            let clustering = try ClusteringConstraint(
                item.weights.matrix, method: method, granularity: options.granularity, aggregation: aggregation)
            guard let place, let pruning else {
                made.append(NamedConstraint(parameter: item.weights.name, constraint: clustering))
                continue
            }
            made[place] = NamedConstraint(
                parameter: item.weights.name,
                constraint: PrunedClustering(pruning, clustering, options.granularity))
        }
        return made
    }

    /// What keeps the zeros and the clusters that weights have already, while something else is trained (PQAT, CQAT,
    /// PCQAT). Weights with more than `mostClusters` values, in a channel if they are clustered by channels, count as not
    /// clustered; those with neither are free.
    package func preservingConstraints(
        zeros: Bool, clusters: Bool, mostClusters: Int = 256
    ) throws(Failure) -> [NamedConstraint] {
        var made: [NamedConstraint] = []
        for weights in weightTensors() {
            let values = try finiteWeights(weights)
            let hasZeros = zeros && values.contains(0)
            if clusters, ClusterForm(clustersOf: values, weights.matrix, most: mostClusters) != nil {
                made.append(
                    NamedConstraint(
                        parameter: weights.name,
                        constraint: try ClusteringConstraint(
                            preservingClustersOf: values, weights.matrix, preservesZeros: hasZeros)))
            } else if hasZeros {
                made.append(
                    NamedConstraint(
                        parameter: weights.name,
                        constraint: PruningConstraint(preservingZerosOf: values, weights.matrix)))
            }
        }
        return made
    }
}
