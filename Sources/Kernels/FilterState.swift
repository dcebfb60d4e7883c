import CKernels
import CPlatform

/// Lines of numbers that each remember the last steps of something, the newest last.
package enum FilterState {
    /// sums[i]: line i of `weights` times line i of `state` from `start` on, exactly; as many as there are sums.
    package static func products(
        _ weights: Span<Int16>, _ state: Span<Int16>, from start: Int, length: Int, _ sums: inout MutableSpan<Int64>
    ) {
        let count = sums.count * length
        precondition(start >= 0 && weights.count >= count && state.count - start >= count)
        weights.withUnsafeBufferPointer { weights in
            state.withUnsafeBufferPointer { state in
                sums.withUnsafeMutableBufferPointer { sums in
                    guard let a = weights.baseAddress, let b = state.baseAddress, let y = sums.baseAddress else {
                        return
                    }
                    kernelTable.pointee.s16_dots(length, sums.count, a, length, b + start, length, y)
                }
            }
        }
    }

    /// All lines forget their first number; the last one becomes 0.
    package static func moveOn<T: BitwiseCopyable & Numeric>(_ state: inout MutableSpan<T>, length: Int) {
        state.withUnsafeMutableBufferPointer { state in
            guard let first = state.baseAddress, length > 0 else { return }
            memmove(first, first + 1, (state.count - 1) * MemoryLayout<T>.stride)
            for last in stride(from: length - 1, to: state.count, by: length) { first[last] = 0 }
        }
    }
}
