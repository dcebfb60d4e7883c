enum ConstantSchedule {
    @Sendable static func rate(_ schedule: Schedule, _ step: Int) -> Double { Double(schedule.rate) }
}
