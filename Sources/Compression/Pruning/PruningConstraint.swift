import Kernels
import Model

/// Magnitude pruning while training: a mask that grows by a schedule.
package final class PruningConstraint: ParameterConstraint {
    /// What becomes of the gradient of a pruned weight.
    package enum PrunedGradient: Sendable {
        /// It is dropped: a pruned weight stays zero (until another pruning prefers it).
        case masked
        /// It reaches the trained variable, which stays dense: a pruned weight can grow and come back at the next
        /// pruning (straight-through, as in Zhu and Gupta's gradual pruning).
        case kept
    }

    package let matrix: WeightMatrix
    package let pattern: SparsityPattern
    package let schedule: PruningSchedule
    package let prunedGradient: PrunedGradient
    private(set) var kept: [Bool]
    /// Of a target that several tensors share.
    private let common: CommonTarget?

    package init(
        _ matrix: WeightMatrix, pattern: SparsityPattern = .element, schedule: PruningSchedule,
        prunedGradient: PrunedGradient = .masked, common: CommonTarget? = nil
    ) throws(Failure) {
        try pattern.validate()
        try schedule.validate()
        self.matrix = matrix
        self.pattern = pattern
        self.schedule = schedule
        self.prunedGradient = prunedGradient
        self.common = common
        kept = [Bool](repeating: true, count: matrix.count)
    }

    /// Weights that are zero stay zero, and no others become so: pruning preserved while something else is trained.
    package init(preservingZerosOf weights: [Float], _ matrix: WeightMatrix) {
        self.matrix = matrix
        pattern = .element
        schedule = .constant(0, begin: 0, end: 0)
        prunedGradient = .masked
        common = nil
        kept = weights.map { $0 != 0 }
    }

    package var trainedCount: Int { matrix.count }
    package var usedCount: Int { matrix.count }
    package func start(_ weights: [Float]) -> [Float] { weights }

    /// The share of weights that are masked.
    package var sparsity: Double { Double(kept.reduce(0) { $1 ? $0 : $0 + 1 }) / Double(max(1, kept.count)) }

    package func survey(_ trained: Span<Float>, step: Int) {
        guard let common, schedule.prunes(at: step), schedule.sparsity(at: step) > 0 else { return }
        common.add(self, weights(trained), schedule.sparsity(at: step))
    }

    package func use(_ trained: Span<Float>, into used: inout MutableSpan<Float>, step: Int) {
        if schedule.prunes(at: step) { prune(trained, schedule.sparsity(at: step)) }
        ParameterArithmetic.mask(trained, kept, into: &used)
    }

    private func prune(_ trained: Span<Float>, _ sparsity: Double) {
        guard sparsity > 0 else { return }
        if let common {
            if let mask = common.mask(of: self) { kept = mask }
        } else {
            kept = pruningMask(weights(trained), matrix, pattern, sparsity: sparsity)
        }
    }

    private func weights(_ trained: Span<Float>) -> [Float] {
        var weights = [Float](repeating: 0, count: matrix.count)
        for index in weights.indices { weights[index] = trained[index] }
        return weights
    }

    package func pullBack(_ gradient: inout MutableSpan<Float>, trained: Span<Float>) {
        guard prunedGradient == .masked else { return }
        ParameterArithmetic.mask(&gradient, kept)
    }

    /// Momentum and weight decay move masked weights too: they go back to zero, unless they are to come back.
    package func project(_ trained: inout MutableSpan<Float>) {
        guard prunedGradient == .masked else { return }
        ParameterArithmetic.mask(&trained, kept)
    }

    /// One bit for each weight.
    package var state: [UInt8] {
        var bits = [UInt8](repeating: 0, count: (kept.count + 7) / 8)
        for index in kept.indices where kept[index] { bits[index / 8] |= 1 << UInt8(index % 8) }
        return bits
    }

    package func restore(_ state: [UInt8]) throws(Failure) {
        guard state.count == (kept.count + 7) / 8 else {
            throw .invalidArgument("\((kept.count + 7) / 8) bytes of a mask were expected, found \(state.count)")
        }
        for index in kept.indices { kept[index] = state[index / 8] >> UInt8(index % 8) & 1 == 1 }
    }
}
