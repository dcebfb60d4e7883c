import Kernels

/// (rate - endRate) (1 - step / length)^power + endRate.
enum PolynomialSchedule {
    @Sendable static func rate(_ schedule: Schedule, _ step: Int) -> Double {
        let share = Real.pow(1 - schedule.progress(step), Double(schedule.power))
        return (Double(schedule.rate) - Double(schedule.endRate)) * share + Double(schedule.endRate)
    }
}
