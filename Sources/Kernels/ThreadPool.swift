import CEdgeOpt
import CPlatform
import Model
import Synchronization

/// Threads that share the iterations of a loop. With one thread none is ever started. Work is handed out by a counter,
/// so which thread runs which iteration is not fixed; iterations must not depend on one another.
///
/// Any thread may start a loop, also while another runs: the second then runs on the thread that started it alone. A
/// loop's body must not start another loop.
@safe package final class ThreadPool: @unchecked Sendable {
    /// `context` is whatever the loop was started with.
    package typealias Body = @convention(c) (_ context: UnsafeRawPointer, _ iteration: Int) -> Void
    /// The host's own way to run a loop: calls `task(context, i)` once for every i in 0..<count, from whichever threads
    /// it likes, and returns when all calls have returned.
    package typealias ParallelFor = (
        _ count: Int, _ task: @convention(c) (UnsafeMutableRawPointer?, Int) -> Void, _ context: UnsafeMutableRawPointer
    ) -> Void

    /// Threads a loop runs on, the caller's own included.
    package let threadCount: Int

    private let mutex: OpaquePointer
    private let host: ParallelFor?
    private var workers: [OpaquePointer] = []
    /// A loop is running on the workers.
    private let isBusy = Atomic<Bool>(false)
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

    /// Threads of the pool's own. 0: one for each processor.
    package convenience init(threads: Int) throws(Failure) {
        try self.init(count: threads, host: nil)
        try start()
    }

    /// The threads of the host, which are about `threads`; 0: one for each processor.
    package convenience init(threads: Int, host: @escaping ParallelFor) throws(Failure) {
        try self.init(count: threads, host: host)
    }

    private init(count: Int, host: ParallelFor?) throws(Failure) {
        threadCount = max(1, count == 0 ? Int(platform_cpu_count()) : count)
        self.host = host
        guard let mutex = platform_mutex_create() else { throw .outOfMemory(64) }
        self.mutex = mutex
    }

    private func start() throws(Failure) {
        for _ in 1..<threadCount {
            let raw = Unmanaged.passUnretained(self).toOpaque()
            let start: @convention(c) (UnsafeMutableRawPointer?) -> Void = { argument in
                guard let argument else { return }
                Unmanaged<ThreadPool>.fromOpaque(argument)._withUnsafeGuaranteedRef { $0.work() }
            }
            guard let thread = platform_thread_start(start, raw) else {
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
        if let host { return run(count, context, body, on: host) }
        let (isOurs, _) = isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring)
        guard isOurs else {
            for iteration in 0..<count { body(context, iteration) }
            return
        }
        defer { isBusy.store(false, ordering: .releasing) }
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

    private struct HostLoop {
        let body: Body
        let context: UnsafeRawPointer
    }

    private func run(_ count: Int, _ context: UnsafeRawPointer, _ body: Body, on host: ParallelFor) {
        var loop = HostLoop(body: body, context: context)
        withUnsafeMutablePointer(to: &loop) { loop in
            host(
                count,
                { loop, iteration in
                    guard let loop = loop?.assumingMemoryBound(to: HostLoop.self) else { return }
                    loop.pointee.body(loop.pointee.context, iteration)
                }, loop)
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
