import CKernels
import Model

/// Sums of each number and those before it on its line.
package struct RunningSums {
    private let sums: eo_running_sums
    private let lines: Int

    /// Of float32, int32 or int64, whole numbers wrapping. Lines of `depth` numbers, `inner` apart, lie side by side,
    /// `outer` blocks of them one behind the other. `exclusive`: without the number itself; `reverse`: from the end.
    package init(_ type: TensorType, outer: Int, depth: Int, inner: Int, exclusive: Bool, reverse: Bool) {
        lines = depth == 0 ? 0 : outer * inner
        sums = eo_running_sums(
            type: eo_number(type), depth: depth, inner: inner, exclusive: exclusive, reverse: reverse)
    }

    /// Both are the bytes of tensors. Lines are shared among the threads of `pool`. Nothing is allocated.
    package func run(_ x: Span<UInt8>, _ y: inout MutableSpan<UInt8>, pool: ThreadPool) {
        let size = sums.type == EO_S64 ? 8 : 4
        precondition(min(x.count, y.count) >= lines * sums.depth * size)
        x.withUnsafeBytes { x in
            y.withUnsafeMutableBytes { y in
                guard lines > 0, let x = x.baseAddress, let y = y.baseAddress else { return }
                var job = Job(
                    sums: sums, x: x, y: y,
                    pieces: Pieces(
                        lines, atMost: max(cacheLine, elementsPerPiece / sums.depth), unit: cacheLine, pool: pool))
                pool.run(job.pieces.count, &job) { context, piece, _ in
                    context.assumingMemoryBound(to: Job.self).pointee.run(piece)
                }
            }
        }
    }

    private struct Job {
        var sums: eo_running_sums
        let x: UnsafeRawPointer
        let y: UnsafeMutableRawPointer
        let pieces: Pieces

        func run(_ piece: Int) {
            let lines = pieces[piece]
            var sums = sums
            eo_running_sums(&sums, lines.lowerBound, lines.upperBound, x, y)
        }
    }
}
