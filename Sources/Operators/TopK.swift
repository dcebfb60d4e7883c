import Kernels
import Model

/// TOPK_V2: the k greatest elements of each row in descending order, and where they were; of equals the first comes first.
enum TopK {
    static var definition: OperatorDefinition {
        OperatorDefinition(.topkV2, maxVersion: 3) { op throws(Failure) in
            guard let shape = try outputShape(op) else { return nil }
            return [shape, shape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let shape = try op.known(outputShape(op.inference))
            try op.output(0, shape: shape, like: input)
            let indices = try op.output(1)
            guard indices.shape == shape else {
                throw op.invalid("\(indices.described) must have shape \(text(shape))")
            }
            let isShort = indices.type == .int16
            guard indices.type == .int32 || isShort else { throw op.unsupportedTypes() }
            let length = input.shape[input.rank - 1]
            guard length <= Int(isShort ? Int32(Int16.max) : Int32.max) else {
                throw op.invalid("\(length) indices do not fit their type")
            }
            let (count, k) = (shape.dropLast().reduce(1, &*), shape[shape.count - 1])
            let heaps = isShort ? op.scratch(bytes: count &* k &* 4) : nil
            let rows = Rows(count: count, length: length, k: k, heaps: heaps)
            return try kernel(op, rows)
        }.gradient { g throws(Failure) in
            // They were taken like GATHER takes them from each row.
            let row = Int64(g.outputs[1].rank - 1)
            return [
                try ScatterAdd.emit(
                    g.dy, g.outputs[1], like: g.x, options: Options(.gather, [.int(row), .int(row)]))
            ]
        }
    }

    private static func outputShape(_ op: ShapeInference) throws(Failure) -> [Int]? {
        let input = try op.input(0)
        guard let k = try op.number(1, "k") else { return nil }
        guard let length = input.shape.last, k <= length else {
            throw op.invalid("\(input.described) has no \(k) greatest elements")
        }
        return input.shape.dropLast() + [max(0, k)]
    }

    private static func kernel(_ op: Preparation, _ rows: Rows) throws(Failure) -> Kernel {
        switch try op.input(0).type {
        case .float32: return rows.kernel(Float.self)
        case .int8: return rows.kernel(Int8.self)
        case .uint8: return rows.kernel(UInt8.self)
        case .int16: return rows.kernel(Int16.self)
        case .int32: return rows.kernel(Int32.self)
        case .int64: return rows.kernel(Int64.self)
        default: throw op.unsupportedTypes()
        }
    }

    private struct Rows: Sendable {
        let count: Int
        let length: Int
        let k: Int
        /// For indices of 32 bits, where those of the output have 16.
        let heaps: Scratch?

        func kernel<T: Comparable & BitwiseCopyable>(_: T.Type) -> Kernel {
            return { io in
                guard k > 0 else { return }
                let x = io.input(0, as: T.self)
                var y = io.output(as: T.self)
                guard let heaps else {
                    var best = io.output(1, as: Int32.self)
                    return select(x, &y, &best)
                }
                var best = io.scratch(heaps, as: Int32.self)
                select(x, &y, &best)
                var indices = io.output(1, as: Int16.self)
                for i in 0..<count &* k { indices[i] = Int16(truncatingIfNeeded: best[i]) }
            }
        }

        /// The indices of a row are a heap whose root is the least of the best so far; sorting it empties it from the end.
        @inline(never)
        private func select<T: Comparable & BitwiseCopyable>(
            _ x: Span<T>, _ y: inout MutableSpan<T>, _ best: inout MutableSpan<Int32>
        ) {
            for row in 0..<count {
                let (start, heap) = (row &* length, row &* k)
                for i in 0..<k { best[heap &+ i] = Int32(truncatingIfNeeded: i) }
                for i in stride(from: k / 2 - 1, through: 0, by: -1) { sink(i, k, x, start, &best, heap) }
                for i in k..<max(k, length) where precedes(i, Int(best[heap]), x, start) {
                    best[heap] = Int32(truncatingIfNeeded: i)
                    sink(0, k, x, start, &best, heap)
                }
                for end in stride(from: k - 1, to: 0, by: -1) {
                    best.swapAt(heap, heap &+ end)
                    sink(0, end, x, start, &best, heap)
                }
            }
            for i in 0..<count &* k { y[i] = x[i / k &* length &+ Int(best[i])] }
        }

        /// NaN comes after every number.
        @inline(__always)
        private func precedes<T: Comparable & BitwiseCopyable>(_ a: Int, _ b: Int, _ x: Span<T>, _ start: Int) -> Bool {
            let (u, v) = (x[start &+ a], x[start &+ b])
            if u > v { return true }
            if u < v { return false }
            if (u == u) != (v == v) { return u == u }
            return a < b
        }

        @inline(never)
        private func sink<T: Comparable & BitwiseCopyable>(
            _ from: Int, _ size: Int, _ x: Span<T>, _ start: Int, _ best: inout MutableSpan<Int32>, _ heap: Int
        ) {
            var parent = from
            while 2 &* parent &+ 1 < size {
                var child = 2 &* parent &+ 1
                if child &+ 1 < size, precedes(Int(best[heap &+ child]), Int(best[heap &+ child &+ 1]), x, start) {
                    child &+= 1
                }
                guard precedes(Int(best[heap &+ parent]), Int(best[heap &+ child]), x, start) else { return }
                best.swapAt(heap &+ parent, heap &+ child)
                parent = child
            }
        }
    }
}
