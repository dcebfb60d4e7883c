import Kernels

/// Half a cosine from `rate` to `endRate` (Loshchilov and Hutter, 2017, without restarts).
enum CosineSchedule {
    @Sendable static func rate(_ schedule: Schedule, _ step: Int) -> Double {
        let share = 0.5 * (1 + Real.cos(Double.pi * schedule.progress(step)))
        return Double(schedule.endRate) + (Double(schedule.rate) - Double(schedule.endRate)) * share
    }
}
