import CEdgeOpt
import CPlatform
import Model
import Synchronization

/// Threads that share the iterations of a loop. With one thread none is ever started. Work is handed out by a counter,
/// so which thread runs which iteration is not fixed; iterations must not depend on one another.
///
/// One loop at a time: the pool belongs to one interpreter, or the host sees to it.
package final class ThreadPool: @unchecked Sendable {
    /// `context` is whatever the loop was started with.
    package typealias Body = @convention(c) (_ context: UnsafeRawPointer, _ iteration: Int) -> Void

    /// Threads a loop runs on, the caller's own included.
    package let threadCount: Int

    private let mutex: OpaquePointer
    private var workers: [OpaquePointer] = []
    private var context = UnsafeRawPointer(bitPattern: 64)!
    private var body: Body = { _, _ in }
    private var count = 0
    private let generation = Atomic<Int>(0)
    private let next = Atomic<Int>(0)
    private let busy = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)

    /// How often a waiting thread looks before it sleeps: about 50 microseconds, longer than the gap between two
    /// operators of a network, shorter than a user would notice in the processor's load.
    private static let spins = 2000

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
        guard count > 1, threadCount > 1 else {
            for iteration in 0..<max(0, count) { body(context, iteration) }
            return
        }
        self.context = context
        self.body = body
        self.count = count
        next.store(0, ordering: .relaxed)
        busy.store(workers.count, ordering: .relaxed)
        platform_mutex_lock(mutex)
        generation.add(1, ordering: .releasing)
        platform_mutex_broadcast(mutex)
        platform_mutex_unlock(mutex)
        drain()
        while busy.load(ordering: .acquiring) != 0 { platform_pause() }
    }

    private func drain() {
        while true {
            let iteration = next.add(1, ordering: .relaxed).oldValue
            guard iteration < count else { return }
            body(context, iteration)
        }
    }

    private func work() {
        var seen = 0
        while true {
            waitForWork(after: seen)
            if stopping.load(ordering: .acquiring) { return }
            seen = generation.load(ordering: .acquiring)
            drain()
            busy.subtract(1, ordering: .releasing)
        }
    }

    private func waitForWork(after seen: Int) {
        for _ in 0..<Self.spins {
            if generation.load(ordering: .acquiring) != seen { return }
            platform_pause()
        }
        platform_mutex_lock(mutex)
        while generation.load(ordering: .acquiring) == seen { platform_mutex_wait(mutex) }
        platform_mutex_unlock(mutex)
    }

    private func stop() {
        stopping.store(true, ordering: .releasing)
        platform_mutex_lock(mutex)
        generation.add(1, ordering: .releasing)
        platform_mutex_broadcast(mutex)
        platform_mutex_unlock(mutex)
        for worker in workers { platform_thread_join(worker) }
        workers = []
    }
}
