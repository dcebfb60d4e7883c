import Model
import Testing

@testable import Training

@Suite struct ScheduleTests {
    private func schedule(_ kind: ScheduleKind, _ change: (inout Schedule) -> Void = { _ in }) -> Schedule {
        var schedule = Schedule()
        schedule.kind = kind
        schedule.rate = 0.1
        schedule.length = 10
        change(&schedule)
        return schedule
    }

    private func near(_ a: Float, _ b: Double) -> Bool { abs(Double(a) - b) < 1e-7 }

    @Test func constant() { #expect(schedule(.constant).rate(at: 1000) == 0.1) }

    @Test func stepsFallAtEveryLength() {
        let steps = schedule(.step) { $0.factor = 0.5 }
        #expect(steps.rate(at: 9) == 0.1)
        #expect(steps.rate(at: 10) == 0.05)
        #expect(steps.rate(at: 29) == 0.025)
    }

    @Test func exponentialIsSmooth() {
        let exponential = schedule(.exponential) { $0.factor = 0.25 }
        #expect(near(exponential.rate(at: 5), 0.05))
        #expect(near(exponential.rate(at: 20), 0.00625))
    }

    @Test func cosineEndsAtTheEndRate() {
        let cosine = schedule(.cosine) { $0.endRate = 0.02 }
        #expect(near(cosine.rate(at: 0), 0.1))
        #expect(near(cosine.rate(at: 5), 0.06))
        #expect(near(cosine.rate(at: 10), 0.02))
        #expect(near(cosine.rate(at: 99), 0.02))
    }

    @Test func polynomial() {
        let square = schedule(.polynomial) {
            $0.power = 2
            $0.endRate = 0.02
        }
        #expect(near(square.rate(at: 5), 0.04))
        #expect(near(square.rate(at: 11), 0.02))
    }

    @Test func warmUpRisesAndThenTheScheduleBegins() {
        let cosine = schedule(.cosine) { $0.warmUp = 4 }
        #expect(cosine.rate(at: 0) == 0)
        #expect(near(cosine.rate(at: 2), 0.05))
        #expect(near(cosine.rate(at: 4), 0.1))
        #expect(near(cosine.rate(at: 9), 0.05))
    }

    @Test(
        arguments: [
            { (s: inout Schedule) in s.rate = -1 }, { s in s.rate = .nan }, { s in s.length = 0 }, { s in s.power = 0 },
            { s in s.factor = .infinity }, { s in s.warmUp = -1 }, { s in s.endRate = -.infinity },
        ] as [@Sendable (inout Schedule) -> Void])
    func refusesNumbersThatAreNone(_ spoil: @Sendable (inout Schedule) -> Void) {
        let wrong = schedule(.step, spoil)
        #expect(throws: Failure.self) { try wrong.validate() }
    }
}
