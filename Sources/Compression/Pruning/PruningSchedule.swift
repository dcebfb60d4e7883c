import Kernels
import Model

/// How sparse weights are to be at a step of the training.
package struct PruningSchedule: Equatable, Sendable {
    package var initial: Double
    package var target: Double
    /// The first step at which weights are pruned.
    package var begin: Int
    /// The last one; nil: without end, with the target from the beginning.
    package var end: Int?
    /// Steps from one pruning to the next. The last step prunes too, so that the target is always met.
    package var frequency: Int
    package var power: Double

    /// The same sparsity all the time.
    package static func constant(_ target: Double, begin: Int = 0, end: Int? = nil, frequency: Int = 100) -> Self {
        Self(initial: target, target: target, begin: begin, end: end, frequency: frequency, power: 1)
    }

    /// From `initial` to `target` as a polynomial of the time left (Zhu and Gupta, 2017, equation 1 with power 3).
    package static func polynomial(
        initial: Double, target: Double, begin: Int, end: Int, power: Double = 3, frequency: Int = 100
    ) -> Self {
        Self(initial: initial, target: target, begin: begin, end: end, frequency: frequency, power: power)
    }

    func validate() throws(Failure) {
        for sparsity in [initial, target] where !(sparsity >= 0 && sparsity < 1) {
            throw .invalidArgument("a sparsity of \(sparsity): expected a number from 0 up to, without, 1")
        }
        guard begin >= 0, begin < 1 << 48, frequency > 0, frequency < 1 << 48, power > 0, power.isFinite else {
            throw .invalidArgument(
                "a schedule from step \(begin), every \(frequency) steps, with power \(power): expected a step from 0,"
                    + " a frequency and a power above 0")
        }
        if let end, end < begin || end >= 1 << 48 {
            throw .invalidArgument("a schedule from step \(begin) to step \(end)")
        }
        if end == nil, initial != target { throw .invalidArgument("a schedule that changes needs an end") }
    }

    package func prunes(at step: Int) -> Bool {
        guard step >= begin, step <= end ?? .max else { return false }
        return step == end || (step - begin) % frequency == 0
    }

    /// The target is met from this step on.
    var firstFinalStep: Int { initial == target ? begin : end ?? begin }

    package func sparsity(at step: Int) -> Double {
        guard let end, end > begin, initial != target else { return target }
        let left = 1 - min(max(Double(step - begin) / Double(end - begin), 0), 1)
        return target + (initial - target) * Real.pow(left, power)
    }
}
