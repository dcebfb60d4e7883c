import Model

/// What a schedule is called in the C API; raw values are those of `eo_schedule`.
package enum ScheduleKind: UInt32, Sendable { case constant = 0, step, cosine, polynomial, exponential }

/// The learning rate of each step. Steps of the warm-up rise evenly from 0 to the rate; the schedule begins after them.
package struct Schedule: Sendable {
    package var kind = ScheduleKind.constant
    /// At the start.
    package var rate: Float = 0.001
    /// What the rate falls to (cosine, polynomial).
    package var endRate: Float = 0
    /// Steps until then; step and exponential: steps for each multiplication by `factor`.
    package var length = 0
    package var factor: Float = 0.1
    package var power: Float = 1
    package var warmUp = 0

    package init() {}

    package func validate() throws(Failure) {
        guard rate >= 0, rate.isFinite else {
            throw .invalidArgument("the learning rate is \(rate), it must be 0 or more")
        }
        guard endRate >= 0, endRate.isFinite else {
            throw .invalidArgument("the last learning rate is \(endRate), it must be 0 or more")
        }
        guard warmUp >= 0 else { throw .invalidArgument("the warm-up has \(warmUp) steps, it cannot have less than 0") }
        guard kind == .constant || length > 0 else {
            throw .invalidArgument("the schedule has \(length) steps, it needs more than 0")
        }
        guard power > 0, power.isFinite else {
            throw .invalidArgument("the schedule's power is \(power), it must be above 0")
        }
        guard factor > 0, factor.isFinite else {
            throw .invalidArgument("the schedule's factor is \(factor), it must be above 0")
        }
    }

    /// The rate of step `step` (from 0).
    package func rate(at step: Int) -> Float {
        guard step >= warmUp else { return Float(Double(rate) * Double(step) / Double(warmUp)) }
        return Float(definition(self, step - warmUp))
    }

    private var definition: @Sendable (Schedule, Int) -> Double {
        switch kind {
        case .constant: ConstantSchedule.rate
        case .step: ExponentialSchedule.steps
        case .cosine: CosineSchedule.rate
        case .polynomial: PolynomialSchedule.rate
        case .exponential: ExponentialSchedule.rate
        }
    }

    /// 0 at the start, 1 after `length` steps and from then on.
    func progress(_ step: Int) -> Double { Double(min(step, length)) / Double(max(1, length)) }
}
