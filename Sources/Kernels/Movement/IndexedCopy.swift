/// A copy into a dense row-major target whose source coordinate along each dimension comes from a table: target element
/// (i, j, ...) is source element (table0[i], table1[j], ...). Reflections and nearest-neighbour resizing are this.
package struct IndexedCopy: Sendable {
    /// A stretch of bytes that is contiguous on both sides.
    private struct Run: Sendable {
        let source: Int
        let bytes: Int
    }
    private struct Level: Sendable {
        /// Byte offsets into the source.
        let offsets: [Int]
        /// Bytes of the target per index.
        let targetStride: Int
    }
    /// What a dimension of the target may count: tables take memory for each.
    package static let mostIndices = 1 << 24
    private let levels: [Level]
    private let runs: [Run]
    private let sourceBytes: Int
    private let targetBytes: Int

    /// `tables[d]` has one source coordinate for each target coordinate of dimension d; every coordinate must be inside
    /// `sourceShape`, which the caller has made sure of.
    package init(elementBytes: Int, sourceShape: [Int], tables: [[Int]]) {
        for d in tables.indices {
            precondition(tables[d].allSatisfy { $0 >= 0 && $0 < sourceShape[d] }, "an index is outside its dimension")
        }
        var sourceStride = elementBytes
        var targetStride = elementBytes
        var d = tables.count - 1
        while d >= 0, tables[d] == Array(0..<sourceShape[d]) {
            sourceStride *= sourceShape[d]
            targetStride *= sourceShape[d]
            d -= 1
        }
        runs = Self.runs(d < 0 ? [0] : tables[d].map { $0 * sourceStride }, length: sourceStride)
        var levels: [Level] = []
        for outer in stride(from: d - 1, through: 0, by: -1) {
            sourceStride *= sourceShape[outer + 1]
            targetStride *= tables[outer + 1].count
            levels.append(Level(offsets: tables[outer].map { $0 * sourceStride }, targetStride: targetStride))
        }
        self.levels = levels.reversed()
        sourceBytes = sourceShape.reduce(elementBytes, *)
        targetBytes = tables.reduce(elementBytes) { $0 * $1.count }
    }

    /// Neighbouring target elements whose sources are neighbours too are copied at once.
    private static func runs(_ offsets: [Int], length: Int) -> [Run] {
        var runs: [Run] = []
        for offset in offsets {
            if let last = runs.last, last.source + last.bytes == offset {
                runs[runs.count - 1] = Run(source: last.source, bytes: last.bytes + length)
            } else {
                runs.append(Run(source: offset, bytes: length))
            }
        }
        return runs
    }

    package func run(from source: Span<UInt8>, to target: inout MutableSpan<UInt8>) {
        guard targetBytes > 0 else { return }
        precondition(sourceBytes <= source.count && targetBytes <= target.count, "a copy ends behind its tensor")
        source.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { target in
                guard let from = source.baseAddress, let to = target.baseAddress else { return }
                walk(0, from, to)
            }
        }
    }

    private func walk(_ depth: Int, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer) {
        guard depth == levels.count else {
            let stride = levels[depth].targetStride
            let count = levels[depth].offsets.count
            for index in 0..<count {
                walk(depth + 1, source + levels[depth].offsets[index], target + index * stride)
            }
            return
        }
        var to = target
        for index in 0..<runs.count {
            let run = runs[index]
            to.copyMemory(from: source + run.source, byteCount: run.bytes)
            to += run.bytes
        }
    }
}
