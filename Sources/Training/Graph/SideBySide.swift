import Kernels
import Model

/// Parts of a batch that are computed at the same time, each by a graph of its own on one thread: nobody waits for
/// others after each operator. What they give is added in the order of the parts, so it is the same as one after another.
struct SideBySide {
    /// A graph, and the memory of its own that it writes.
    struct Side {
        let session: GraphSession
        /// Of each parameter the gradient of a part.
        let gradients: [FloatMemory]
        let states: [StateValues]
    }

    private(set) var sides: [Side] = []

    mutating func add(_ side: Side) { sides.append(side) }

    /// Runs the first `count` graphs.
    func invoke(_ count: Int, _ pool: ThreadPool) throws(Failure) {
        var job = Job(sides: sides)
        unsafe withUnsafePointer(to: &job) {
            unsafe pool.run(count, UnsafeRawPointer($0)) { context, side, _ in
                unsafe context.assumingMemoryBound(to: Job.self).pointee.sides[side].session.tryInvoke()
            }
        }
        for side in sides[..<count] { if let failure = side.session.failure { throw failure } }
    }

    private struct Job {
        let sides: [Side]
    }
}
