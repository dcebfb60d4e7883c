import Model
import Testing

@testable import Compression

@Suite struct ConstraintTests {
    /// One step with the given gradient and SGD of rate 1; gives what was used.
    private func step(
        _ constraint: any ParameterConstraint, _ trained: inout [Float], gradient: [Float] = [], step: Int = 0
    ) -> [Float] {
        var used = [Float](repeating: .nan, count: constraint.usedCount)
        var slopes = gradient + [Float](repeating: 0, count: constraint.trainedCount - gradient.count)
        var span = used.mutableSpan
        constraint.use(trained.span, into: &span, step: step)
        var slope = slopes.mutableSpan
        constraint.pullBack(&slope, trained: trained.span)
        for index in trained.indices { trained[index] -= slopes[index] }
        var moved = trained.mutableSpan
        constraint.project(&moved)
        return used
    }

    @Test func masksGrowByTheSchedule() throws {
        let matrix = WeightMatrix(rows: 4, columns: 25)
        let constraint = try PruningConstraint(
            matrix, schedule: .polynomial(initial: 0, target: 0.9, begin: 10, end: 50, frequency: 10))
        var trained = constraint.start(noise(100))
        for index in 0..<60 {
            let used = step(constraint, &trained, gradient: noise(100, seed: UInt32(index + 2)), step: index)
            if index < 10 { #expect(zeros(used) == 0) }
            if index == 30 { #expect(zeros(used) == Int((90 - 90 * 0.125).rounded())) }
            if index >= 50 { #expect(zeros(used) == 90 && constraint.sparsity == 0.9) }
            #expect(zeros(trained) == zeros(used))
        }
    }

    @Test func keptGradientsLetWeightsComeBack() throws {
        let matrix = WeightMatrix(rows: 1, columns: 2)
        let schedule = PruningSchedule.constant(0.5, begin: 0, frequency: 1)
        let constraint = try PruningConstraint(matrix, schedule: schedule, prunedGradient: .kept)
        var trained: [Float] = [1, 2]
        #expect(step(constraint, &trained, gradient: [-3, 0], step: 0) == [0, 2])
        #expect(step(constraint, &trained, gradient: [0, 0], step: 1) == [4, 0])
        let masked = try PruningConstraint(matrix, schedule: schedule)
        trained = [1, 2]
        #expect(step(masked, &trained, gradient: [-3, 0], step: 0) == [0, 2])
        #expect(step(masked, &trained, step: 1) == [0, 2])
    }

    @Test func zerosOfThePastStay() {
        let constraint = PruningConstraint(
            preservingZerosOf: [0, 1, 0, 2], WeightMatrix(rows: 2, columns: 2))
        var trained: [Float] = [0, 1, 0, 2]
        for index in 0..<5 { _ = step(constraint, &trained, gradient: [1, 1, 1, 2], step: index) }
        #expect(trained == [0, -4, 0, -8])
        #expect(step(constraint, &trained) == [0, -4, 0, -8])
    }

    @Test func centroidsGetTheGradientsOfTheirWeights() throws {
        var method = ClusteringMethod()
        (method.count, method.isOnInt8Grid, method.preservesZeros) = (2, false, false)
        let matrix = WeightMatrix(rows: 1, columns: 4)
        for (aggregation, expected) in [(ClusteringConstraint.Aggregation.sum, -0.5 as Float), (.average, 0.5)] {
            let constraint = try ClusteringConstraint(
                matrix, method: method, granularity: .tensor, aggregation: aggregation)
            var trained = constraint.start([1, 1.2, 1.4, 5])
            #expect(
                step(constraint, &trained, gradient: [0.7, 0.7, 0.7, 1]).map { ($0 * 8).rounded() }
                    == [10, 10, 10, 40])
            let used = step(constraint, &trained)
            // 1.2 - 2.1, or 1.2 - 0.7; the weights themselves have moved as well.
            #expect(abs(used[0] - (expected == 0.5 ? 0.5 : -0.9)) < 1e-6 && abs(used[3] - 4) < 1e-6)
        }
    }

    /// The old toolkit turned 1x1 convolutions into zeros when pruning and clustering were both preserved.
    @Test func pointwiseFiltersSurviveClusteringAfterPruning() throws {
        let matrix = WeightMatrix(rows: 16, columns: 8)
        var weights = noise(128)
        for index in weights.indices where !pruningMask(weights, matrix, .element, sparsity: 0.5)[index] {
            weights[index] = 0
        }
        weights = clusteredValues(
            weights, matrix,
            {
                var m = ClusteringMethod(); m.count = 8; return m
            }(), ClusterGranularity.tensor)
        let constraint = try ClusteringConstraint(preservingClustersOf: weights, matrix, preservesZeros: true)
        var trained = constraint.start(weights)
        #expect(step(constraint, &trained) == weights)
        for index in 1..<20 {
            let used = step(
                constraint, &trained, gradient: noise(128, seed: UInt32(index)).map { $0 / 50 }, step: index)
            #expect(zip(used, weights).allSatisfy { ($0 == 0) == ($1 == 0) })
            #expect(zeros(used) == 64 && distinctCount(used) <= 8)
        }
    }

    @Test func preservedClustersStayAsFewPerTensorOrChannel() throws {
        let matrix = WeightMatrix(rows: 80, columns: 50)
        for granularity in [ClusterGranularity.tensor, .channel, .scaledChannels] {
            let weights = clusteredValues(noise(4000), matrix, ClusteringMethod(), granularity)
            let before = ClusterForm(weights, matrix)
            #expect(before.granularity == granularity && before.count <= 16)
            let constraint = try ClusteringConstraint(preservingClustersOf: weights, matrix, preservesZeros: false)
            var trained = constraint.start(weights)
            for index in 0..<3 {
                let gradient = noise(4000, seed: UInt32(index + 7)).map { $0 / 30 }
                let after = ClusterForm(step(constraint, &trained, gradient: gradient, step: index), matrix)
                #expect((after.granularity != .channel || granularity == .channel) && after.count <= before.count)
            }
        }
    }

    @Test func aResumedRunGoesOnTheSame() throws {
        let matrix = WeightMatrix(rows: 4, columns: 25)
        var weights = noise(100)
        for index in stride(from: 0, to: 100, by: 4) { weights[index] = 0 }
        let schedule = PruningSchedule.polynomial(initial: 0.1, target: 0.7, begin: 0, end: 20, frequency: 3)
        let makers: [() throws -> any ParameterConstraint] = [
            { try PruningConstraint(matrix, schedule: schedule) },
            { try ClusteringConstraint(matrix, method: ClusteringMethod(), granularity: .channel) },
            { try ClusteringConstraint(matrix, method: ClusteringMethod(), granularity: .scaledChannels) },
        ]
        for make in makers {
            let constraint = try make()
            var trained = constraint.start(weights)
            for index in 0..<10 {
                _ = step(constraint, &trained, gradient: noise(100, seed: UInt32(index)), step: index)
            }
            let resumed = try make()
            try resumed.restore(constraint.state)
            var copy = trained
            for index in 10..<20 {
                let gradient = noise(100, seed: UInt32(index))
                #expect(
                    step(constraint, &trained, gradient: gradient, step: index)
                        == step(resumed, &copy, gradient: gradient, step: index))
            }
            #expect(trained == copy)
            #expect(throws: Failure.self) { try resumed.restore([1, 2, 3]) }
        }
    }

    @Test func aModelsConstraintsFollowItsOptions() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 8, filter: 3)
        let b = try builder.convolution(a, "b", channels: 32)
        builder.output(try builder.convolution(b, "c", channels: 16))
        let model = builder.model
        var pruning = PruningOptions()
        pruning.rules = [LayerTarget("b*", 0.75), LayerTarget("a*", 0)]
        let masks = try model.pruningConstraints(pruning, schedule: .constant(0.5, frequency: 1))
        #expect(masks.map { $0.parameter } == ["b/w", "c/w"])
        for (mask, sparsity) in zip(masks, [0.75, 0.5]) {
            var trained = mask.constraint.start(model.values(mask.parameter))
            #expect(zeros(step(mask.constraint, &trained)) == Int(Double(trained.count) * sparsity))
        }
        let centroids = try model.clusteringConstraints(ClusteringOptions())
        #expect(centroids.map { $0.parameter } == ["b/w", "c/w"])
        #expect(try model.preservingConstraints(zeros: true, clusters: true).isEmpty)
        let both = try model.pruned(pruning).clustered(ClusteringOptions())
        let kept = try both.preservingConstraints(zeros: true, clusters: true)
        #expect(kept.map { $0.parameter } == ["b/w", "c/w"])
        #expect(kept.allSatisfy { $0.constraint is ClusteringConstraint })
        for item in kept {
            var trained = item.constraint.start(both.values(item.parameter))
            #expect(
                zip(step(item.constraint, &trained), both.values(item.parameter)).allSatisfy { abs($0 - $1) < 1e-6 })
        }
        let zerosOnly = try both.preservingConstraints(zeros: true, clusters: false)
        #expect(zerosOnly.allSatisfy { $0.constraint is PruningConstraint })
    }
}
