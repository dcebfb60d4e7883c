import Synchronization
import Testing

@testable import Kernels

struct ThreadPoolTests {
    @Test(arguments: [1, 2, 3, 8])
    func everyIterationRunsOnce(threads: Int) throws {
        let pool = try ThreadPool(threads: threads)
        for round in 0..<300 {
            let count = [0, 1, 2, 7, 64, 1000][round % 6]
            let counters = UnsafeMutablePointer<Int>.allocate(capacity: max(1, count))
            counters.initialize(repeating: 0, count: max(1, count))
            pool.run(count, counters) { context, iteration, _ in
                UnsafeMutablePointer(mutating: context.assumingMemoryBound(to: Int.self))[iteration] += 1
            }
            #expect((0..<count).allSatisfy { counters[$0] == 1 })
            counters.deallocate()
        }
    }

    /// More loops than a share counts.
    @Test func manyLoops() throws {
        let pool = try ThreadPool(threads: 2)
        let sum = UnsafeMutablePointer<Int>.allocate(capacity: 2)
        defer { sum.deallocate() }
        sum.initialize(repeating: 0, count: 2)
        for _ in 0..<70_000 {
            pool.run(2, sum) { context, iteration, _ in
                UnsafeMutablePointer(mutating: context.assumingMemoryBound(to: Int.self))[iteration] += 1
            }
        }
        #expect(sum[0] == 70_000 && sum[1] == 70_000)
    }

    /// A worker's number belongs to one thread at a time, and no more workers take part than are allowed.
    @Test(arguments: [1, 2, 3, 4])
    func workersAreApart(workers: Int) throws {
        struct Seen: ~Copyable {
            let taken: [4 of Atomic<Int>] = [Atomic(0), Atomic(0), Atomic(0), Atomic(0)]
            let overlaps = Atomic<Int>(0)
            let most = Atomic<Int>(0)
        }
        let pool = try ThreadPool(threads: 4)
        let seen = UnsafeMutablePointer<Seen>.allocate(capacity: 1)
        defer { seen.deinitialize(count: 1).deallocate() }
        seen.initialize(to: Seen())
        for _ in 0..<200 {
            pool.run(100, workers: workers, seen) { context, _, worker in
                let seen = context.assumingMemoryBound(to: Seen.self)
                if seen.pointee.taken[worker].add(1, ordering: .relaxed).oldValue != 0 {
                    seen.pointee.overlaps.add(1, ordering: .relaxed)
                }
                seen.pointee.most.max(worker, ordering: .relaxed)
                seen.pointee.taken[worker].subtract(1, ordering: .relaxed)
            }
        }
        #expect(seen.pointee.overlaps.load(ordering: .relaxed) == 0)
        #expect(seen.pointee.most.load(ordering: .relaxed) < workers)
    }

    @Test func hostRunsEveryIterationOnce() throws {
        let pool = try ThreadPool(threads: 3) { count, task, context in
            for index in (0..<count).reversed() { task(context, index) }
        }
        #expect(pool.threadCount == 3)
        var seen = [UInt8](repeating: 0, count: 100)
        seen.withUnsafeMutableBufferPointer { seen in
            pool.run(100, seen.baseAddress!) { context, index, _ in
                UnsafeMutableRawPointer(mutating: context).assumingMemoryBound(to: UInt8.self)[index] += 1
            }
        }
        #expect(seen.allSatisfy { $0 == 1 })
    }

    @Test func loopsAtTheSameTimeAreAllComplete() async throws {
        let pool = try ThreadPool(threads: 3)
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<500 {
                        var seen = [UInt8](repeating: 0, count: 64)
                        seen.withUnsafeMutableBufferPointer { seen in
                            pool.run(64, seen.baseAddress!) { context, index, _ in
                                UnsafeMutableRawPointer(mutating: context).assumingMemoryBound(to: UInt8.self)[index] +=
                                    1
                            }
                        }
                        if !seen.allSatisfy({ $0 == 1 }) { return false }
                    }
                    return true
                }
            }
            for await isComplete in group { #expect(isComplete) }
        }
    }

    /// A host that leaves calls out or invents some costs time, no results.
    @Test func hostThatMiscounts() throws {
        let pool = try ThreadPool(threads: 3) { count, task, context in
            task(context, 1)
            task(context, 7)
            task(context, -1)
        }
        var seen = [UInt8](repeating: 0, count: 100)
        seen.withUnsafeMutableBufferPointer { seen in
            pool.run(100, seen.baseAddress!) { context, index, _ in
                UnsafeMutableRawPointer(mutating: context).assumingMemoryBound(to: UInt8.self)[index] += 1
            }
        }
        #expect(seen.allSatisfy { $0 == 1 })
    }
}
