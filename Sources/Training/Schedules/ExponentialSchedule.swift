import Kernels

/// rate * factor^(step / length): smooth, or falling at every `length`th step only.
enum ExponentialSchedule {
    @Sendable static func rate(_ schedule: Schedule, _ step: Int) -> Double {
        Double(schedule.rate) * Real.pow(Double(schedule.factor), Double(step) / Double(schedule.length))
    }

    @Sendable static func steps(_ schedule: Schedule, _ step: Int) -> Double {
        Double(schedule.rate) * Real.pow(Double(schedule.factor), Double(step / schedule.length))
    }
}
