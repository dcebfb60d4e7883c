import CEdgeOpt
import CPlatform
import Model
import Synchronization

/// Threads that share the iterations of a loop. With one thread none is ever started. Work is handed out by a counter,
/// so which thread runs which iteration is not fixed; iterations must not depend on one another.
///
/// One loop at a time: the pool belongs to one interpreter, or the host sees to it. A loop's body must not start
/// another loop.
package final class ThreadPool: @unchecked Sendable {
    /// `context` is whatever the loop was started with.
    package typealias Body = @convention(c) (_ context: UnsafeRawPointer, _ iteration: Int) -> Void

    /// Threads a loop runs on, the caller's own included.
    package let threadCount: Int

    private let mutex: OpaquePointer
    private var workers: [OpaquePointer] = []
    // What the present loop does. Read only by a thread that has claimed one of its iterations: the loop cannot end
    // before that iteration is done, so they do not change meanwhile.
    private var context = UnsafeRawPointer(bitPattern: 64)!
    private var body: Body = { _, _ in }
    /// The loop's number in the upper half, how many of its iterations are not claimed yet in the lower. A thread that
    /// comes late finds another number, or nothing left; nobody waits for it.
    private let open = Atomic<UInt64>(0)
    private let finished = Atomic<Int>(0)
    private let sleepers = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)

    /// How often a waiting thread looks before it sleeps: about 50 microseconds, longer than the gap between two
    /// operators of a network, shorter than a user would notice in the processor's load.
    private static let spins = 2000
    /// The counter holds no more; a longer loop, which no tensor makes, runs on one thread.
    private static let longest = 1 << 30

    package init(threads: Int) throws(Failure) {
        threadCount = max(1, threads == 0 ? Int(platform_cpu_count()) : threads)
        guard let mutex = platform_mutex_create() else { throw .outOfMemory(64) }
        self.mutex = mutex
        for _ in 1..<threadCount {
            let raw = Unmanaged.passUnretained(self).toOpaque()
            let start: @convention(c) (UnsafeMutableRawPointer?) -> Void = { argument in
                guard let argument else { return }
                Unmanaged<ThreadPool>.fromOpaque(argument)._withUnsafeGuaranteedRef { $0.work() }
            }
            guard let thread = platform_thread_start(start, raw) else {
                stop()
                throw Failure(EO_THREAD_ERROR, "thread \(workers.count + 2) of \(threadCount) could not be started")
            }
            workers.append(thread)
        }
    }

    deinit {
        stop()
        platform_mutex_destroy(mutex)
    }

    /// Runs `body(context, i)` for every i in 0..<count and returns when all are done. Allocates nothing.
    package func run(_ count: Int, _ context: UnsafeRawPointer, _ body: Body) {
        guard count > 1, threadCount > 1, count <= Self.longest else {
            for iteration in 0..<max(0, count) { body(context, iteration) }
            return
        }
        self.context = context
        self.body = body
        finished.store(0, ordering: .relaxed)
        let number = (open.load(ordering: .relaxed) >> 32) &+ 1
        open.store(number << 32 | UInt64(count), ordering: .sequentiallyConsistent)
        // A thread counts itself among the sleepers before it looks for work the last time: one of the two sees the
        // other.
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 { wake() }
        drain(number & 0xffff_ffff)
        var looks = 0
        while finished.load(ordering: .acquiring) != count {
            looks += 1
            if looks % Self.spins == 0 { platform_yield() } else { platform_pause() }
        }
    }

    /// Claims and runs iterations of loop `number` until there are none.
    private func drain(_ number: UInt64) {
        var seen = open.load(ordering: .acquiring)
        while seen >> 32 == number, seen & 0xffff_ffff != 0 {
            let (claimed, current) = open.weakCompareExchange(
                expected: seen, desired: seen - 1, ordering: .acquiringAndReleasing)
            guard claimed else {
                seen = current
                continue
            }
            body(context, Int(seen & 0xffff_ffff) - 1)
            finished.add(1, ordering: .releasing)
            seen = open.load(ordering: .acquiring)
        }
    }

    private func work() {
        var seen: UInt64 = 0
        while true {
            seen = waitForWork(after: seen)
            if stopping.load(ordering: .acquiring) { return }
            drain(seen)
        }
    }

    /// The number of a loop other than `seen`.
    private func waitForWork(after seen: UInt64) -> UInt64 {
        for _ in 0..<Self.spins {
            let number = open.load(ordering: .acquiring) >> 32
            if number != seen { return number }
            platform_pause()
        }
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        sleepers.add(1, ordering: .sequentiallyConsistent)
        defer { sleepers.subtract(1, ordering: .relaxed) }
        while true {
            let number = open.load(ordering: .sequentiallyConsistent) >> 32
            if number != seen { return number }
            platform_mutex_wait(mutex)
        }
    }

    private func wake() {
        platform_mutex_lock(mutex)
        platform_mutex_broadcast(mutex)
        platform_mutex_unlock(mutex)
    }

    private func stop() {
        stopping.store(true, ordering: .releasing)
        open.add(1 << 32, ordering: .sequentiallyConsistent)
        wake()
        for worker in workers { platform_thread_join(worker) }
        workers = []
    }
}
