import CKernels

/// Elements that one thread takes at a time: 64 KiB of floats, a fraction of the second-level cache, and long enough
/// (some microseconds) for handing it out to cost nothing.
let elementsPerPiece = 16384

/// Elements of a byte in a cache line: pieces end where lines do, which two threads must not write.
let cacheLine = 64

/// A range cut into pieces of neighbours for the iterations of a loop: the same number for each thread, so that none
/// waits, and each finds in its own cache what it left there in the operator before, which was cut the same way.
struct Pieces {
    private let total: Int
    private let size: Int

    /// `most`: how many make a piece at most. Pieces begin at multiples of `unit`, which may make them longer.
    init(_ total: Int, atMost most: Int, unit: Int = 1, pool: ThreadPool) {
        self.total = total
        var pieces = max(1, (total + most - 1) / most)
        if pieces > 1 { pieces = (pieces + pool.threadCount - 1) / pool.threadCount * pool.threadCount }
        size = max(1, (total + pieces - 1) / pieces + unit - 1) / unit * unit
    }

    /// Of a tensor.
    static func elements(_ count: Int, _ pool: ThreadPool) -> Pieces {
        Pieces(count, atMost: elementsPerPiece, unit: cacheLine, pool: pool)
    }

    var count: Int { (total + size - 1) / size }

    subscript(piece: Int) -> Range<Int> { piece * size..<min(total, (piece + 1) * size) }
}
