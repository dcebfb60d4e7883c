import CEdgeOpt
import CPlatform
import Model
import Synchronization

/// Threads that share the iterations of a loop. With one thread none is ever started.
///
/// Every thread gets an equal range of neighbouring iterations, the first thread the first range: a loop over the rows
/// of a tensor finds in its own cache what the loop before it left there, since a line that another core has written
/// takes several times as long to read. Who has finished takes iterations from the far end of the others' ranges
/// (Blumofe and Leiserson, Scheduling multithreaded computations by work stealing, 1999); so which thread runs which
/// iteration is not fixed, and iterations must not depend on one another.
///
/// Any thread may start a loop, also while another runs: the second then runs on the thread that started it alone. A
/// loop's body must not start another loop.
@safe package final class ThreadPool: @unchecked Sendable {
    /// `context` is whatever the loop was started with; no two calls with the same `worker`, a number below
    /// `threadCount`, overlap in time.
    package typealias Body = @convention(c) (_ context: UnsafeRawPointer, _ iteration: Int, _ worker: Int) -> Void
    /// The host's own way to run a loop: calls `task(context, i)` once for every i in 0..<count, from whichever threads
    /// it likes, and returns when all calls have returned.
    package typealias ParallelFor = (
        _ count: Int, _ task: @convention(c) (UnsafeMutableRawPointer?, Int) -> Void, _ context: UnsafeMutableRawPointer
    ) -> Void

    /// Threads a loop runs on, the caller's own included.
    package let threadCount: Int

    /// A thread's part of the present loop, on cache lines of its own.
    private struct Share: ~Copyable {
        /// Which loop (16 bits), and its iterations that nobody has claimed: begin and end (24 bits each). A thread
        /// that comes late finds another loop, or nothing left; nobody waits for it.
        let open = Atomic<UInt64>(0)
        // Read only by a thread that has claimed an iteration: the loop cannot end before that is done, so they do not
        // change meanwhile.
        var context = UnsafeRawPointer(bitPattern: 64)!
        var body: Body = { _, _, _ in }
        private let rest: (Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int) = (
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
        )
    }

    private let mutex: OpaquePointer
    private let host: ParallelFor?
    private var workers: [OpaquePointer] = []
    private let shares: UnsafeMutablePointer<Share>
    /// A loop is running on the shares.
    private let isBusy = Atomic<Bool>(false)
    /// Of the present loop; only its starter reads it.
    private var number: UInt64 = 0
    private let finished = Atomic<Int>(0)
    private let sleepers = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)

    /// How often a waiting thread looks before it sleeps: about 50 microseconds, longer than the gap between two
    /// operators of a network, shorter than a user would notice in the processor's load.
    private static let spins = 2000
    /// A share holds no more; a longer loop, which no tensor makes, runs on one thread.
    private static let longest = 1 << 24 - 1
    /// Pairs of cache lines are fetched together.
    private static let shareAlignment = 128

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
        let bytes = threadCount * MemoryLayout<Share>.stride
        guard let mutex = platform_mutex_create() else { throw .outOfMemory(64) }
        guard let memory = platform_aligned_alloc(Self.shareAlignment, bytes) else {
            platform_mutex_destroy(mutex)
            throw .outOfMemory(bytes)
        }
        self.mutex = mutex
        shares = memory.bindMemory(to: Share.self, capacity: threadCount)
        for worker in 0..<threadCount { (shares + worker).initialize(to: Share()) }
    }

    /// What a thread of the pool is started with; it takes the memory over.
    private struct Start {
        let pool: Unmanaged<ThreadPool>
        let worker: Int
    }

    private func start() throws(Failure) {
        for worker in 1..<max(1, threadCount) {
            let start = UnsafeMutablePointer<Start>.allocate(capacity: 1)
            start.initialize(to: Start(pool: .passUnretained(self), worker: worker))
            let thread = platform_thread_start(
                { argument in
                    guard let start = argument?.assumingMemoryBound(to: Start.self) else { return }
                    let (pool, worker) = (start.pointee.pool, start.pointee.worker)
                    start.deallocate()
                    pool._withUnsafeGuaranteedRef { $0.work(worker) }
                }, start)
            guard let thread else {
                start.deallocate()
                throw Failure(EO_THREAD_ERROR, "thread \(worker + 1) of \(threadCount) could not be started")
            }
            workers.append(thread)
        }
    }

    deinit {
        stop()
        platform_free(shares)
        platform_mutex_destroy(mutex)
    }

    /// Runs `body(context, i, worker)` for every i in 0..<count and returns when all are done. Allocates nothing.
    /// `workers`: no more threads than this take part, and their numbers are below it.
    package func run(_ count: Int, workers: Int = .max, _ context: UnsafeRawPointer, _ body: Body) {
        let workers = min(threadCount, workers, count)
        guard workers > 1, count <= Self.longest,
            isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
        else {
            for iteration in 0..<max(0, count) { body(context, iteration, 0) }
            return
        }
        defer { isBusy.store(false, ordering: .releasing) }
        open(count, workers, context, body)
        if let host { run(workers, on: host) }
        drain(0, loop: number)
        var looks = 0
        while finished.load(ordering: .acquiring) != count {
            looks += 1
            if looks % Self.spins == 0 { platform_yield() } else { platform_pause() }
        }
    }

    private func open(_ count: Int, _ workers: Int, _ context: UnsafeRawPointer, _ body: Body) {
        number = (number &+ 1) & 0xffff
        finished.store(0, ordering: .relaxed)
        for worker in 0..<workers {
            shares[worker].context = context
            shares[worker].body = body
        }
        for worker in 0..<workers {
            let (begin, end) = (count * worker / workers, count * (worker + 1) / workers)
            shares[worker].open.store(
                number << 48 | UInt64(begin) << 24 | UInt64(end), ordering: .sequentiallyConsistent)
        }
        // A thread counts itself among the sleepers before it looks for work the last time: one of the two sees the
        // other.
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 { wake() }
    }

    private func run(_ workers: Int, on host: ParallelFor) {
        host(
            workers,
            { pool, worker in
                guard let pool else { return }
                Unmanaged<ThreadPool>.fromOpaque(pool)._withUnsafeGuaranteedRef {
                    if (0..<$0.threadCount).contains(worker) { $0.drain(worker, loop: $0.number) }
                }
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Claims and runs iterations of a loop until there are none: the first of its own share, the last of the others'.
    private func drain(_ worker: Int, loop: UInt64) {
        var done = 0
        while let iteration = claim(worker, loop, isOwn: true) {
            shares[worker].body(shares[worker].context, iteration, worker)
            done += 1
        }
        for other in 1..<threadCount {
            while let iteration = claim((worker + other) % threadCount, loop, isOwn: false) {
                shares[worker].body(shares[worker].context, iteration, worker)
                done += 1
            }
        }
        if done > 0 { finished.add(done, ordering: .releasing) }
    }

    private func claim(_ share: Int, _ loop: UInt64, isOwn: Bool) -> Int? {
        var seen = shares[share].open.load(ordering: .acquiring)
        while true {
            let (begin, end) = (seen >> 24 & 0xff_ffff, seen & 0xff_ffff)
            guard seen >> 48 == loop, begin < end else { return nil }
            let (claimed, current) = shares[share].open.weakCompareExchange(
                expected: seen, desired: isOwn ? seen + 1 << 24 : seen - 1, ordering: .acquiringAndReleasing)
            if claimed { return Int(isOwn ? begin : end - 1) }
            seen = current
        }
    }

    private func work(_ worker: Int) {
        var seen: UInt64 = 0
        while true {
            seen = waitForWork(worker, after: seen)
            if stopping.load(ordering: .acquiring) { return }
            drain(worker, loop: seen)
        }
    }

    /// The number of a loop other than `seen`.
    private func waitForWork(_ worker: Int, after seen: UInt64) -> UInt64 {
        for _ in 0..<Self.spins {
            let number = shares[worker].open.load(ordering: .acquiring) >> 48
            if number != seen { return number }
            platform_pause()
        }
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        sleepers.add(1, ordering: .sequentiallyConsistent)
        defer { sleepers.subtract(1, ordering: .relaxed) }
        while true {
            let number = shares[worker].open.load(ordering: .sequentiallyConsistent) >> 48
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
        for worker in 0..<threadCount { shares[worker].open.wrappingAdd(1 << 48, ordering: .sequentiallyConsistent) }
        wake()
        for worker in workers { platform_thread_join(worker) }
        workers = []
    }
}
