import Testing

@testable import Runtime

struct MemoryPlanTests {
    @Test(arguments: 0..<200)
    func blocksNeededAtTheSameTimeNeverOverlap(seed: Int) {
        var random = SplitMix(seed: UInt64(seed))
        let requests = (0..<random.below(60)).map { _ in
            let first = random.below(40)
            return MemoryPlan.Request(bytes: random.below(1000), first: first, last: first + random.below(10))
        }
        let plan = MemoryPlan(requests)
        #expect(plan.offsets.count == requests.count)
        for (index, request) in requests.enumerated() where request.bytes > 0 {
            #expect(plan.offsets[index] % MemoryPlan.alignment == 0)
            #expect(plan.offsets[index] + request.bytes <= plan.size)
            for (other, neighbour) in requests.enumerated() where other < index && neighbour.bytes > 0 {
                guard neighbour.first <= request.last, request.first <= neighbour.last else { continue }
                let isApart =
                    plan.offsets[other] + neighbour.bytes <= plan.offsets[index]
                    || plan.offsets[index] + request.bytes <= plan.offsets[other]
                #expect(isApart, "blocks \(other) and \(index)")
            }
        }
        // Never less than what one moment needs, and never more than all blocks in a row.
        let steps = 0..<50
        let busiest =
            steps.map { step in
                requests.filter { $0.first <= step && step <= $0.last }.reduce(0) { $0 + MemoryPlan.roundUp($1.bytes) }
            }.max() ?? 0
        #expect(plan.size >= busiest)
        #expect(plan.size <= requests.reduce(0) { $0 + MemoryPlan.roundUp($1.bytes) })
    }

    @Test func aChainNeedsTwoBlocks() {
        let chain = (0..<10).map { MemoryPlan.Request(bytes: 640, first: $0, last: $0 + 1) }
        #expect(MemoryPlan(chain).size == 1280)
    }
}

/// A small random generator whose sequence a seed fixes (Steele, Lea and Flood, 2014).
struct SplitMix {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    mutating func below(_ limit: Int) -> Int { limit <= 0 ? 0 : Int(next() % UInt64(limit)) }
    mutating func float() -> Float { Float(below(2001) - 1000) / 100 }
}
