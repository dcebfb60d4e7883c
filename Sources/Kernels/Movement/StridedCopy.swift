import CKernels
import CPlatform

/// A copy of an N-dimensional box of elements between two strided layouts. Transposition, slicing, concatenation,
/// repetition and reversal are all this, with different strides. The geometry is decided once; running it allocates
/// nothing and is split over the threads of a pool when there is enough to move.
package struct StridedCopy: Sendable {
    package struct Dimension: Sendable {
        package let count: Int
        /// Distance between neighbours, in elements: 0 repeats one element, negative walks backwards.
        package let source: Int
        package let target: Int

        package init(count: Int, source: Int, target: Int) {
            self.count = count
            self.source = source
            self.target = target
        }
    }

    /// What happens at the bottom of the nest of loops.
    private enum Inner: Sendable {
        /// One run of `unit` bytes.
        case run
        /// A strided row of small elements.
        case row
        /// Two dimensions of which one is contiguous in the source and the other in the target.
        case transpose
        /// Elements of less than a byte, one by one; strides and offsets count elements.
        case packed
    }

    /// Outermost first; strides in bytes (packed elements: in elements).
    private let dimensions: [Dimension]
    private let inner: Inner
    /// Bytes (packed elements: elements) moved at once.
    private let unit: Int
    private let elementBits: Int
    private let sourceOffset: Int
    private let targetOffset: Int
    /// Bytes that both sides must have.
    private let sourceBytes: Int
    private let targetBytes: Int
    private let isEmpty: Bool

    /// `dimensions` are outermost first; offsets count elements.
    package init(elementBits: Int, dimensions: [Dimension], sourceOffset: Int = 0, targetOffset: Int = 0) {
        isEmpty = dimensions.contains { $0.count <= 0 }
        self.elementBits = elementBits
        var merged = Self.merged(dimensions)
        var run = 1
        if let last = merged.last, last.source == 1, last.target == 1 {
            run = last.count
            merged.removeLast()
        }
        if elementBits < 8 {
            inner = .packed
            unit = run
            self.dimensions = merged
            self.sourceOffset = sourceOffset
            self.targetOffset = targetOffset
        } else {
            let bytes = elementBits / 8
            let (inner, ordered) = Self.inner(merged, run: run, elementBytes: bytes)
            self.inner = inner
            unit = run * bytes
            self.dimensions = ordered.map {
                .init(count: $0.count, source: $0.source * bytes, target: $0.target * bytes)
            }
            self.sourceOffset = sourceOffset * bytes
            self.targetOffset = targetOffset * bytes
        }
        var (sourceEnd, targetEnd) = (self.sourceOffset + unit, self.targetOffset + unit)
        var (sourceStart, targetStart) = (self.sourceOffset, self.targetOffset)
        for dimension in self.dimensions {
            let steps = dimension.count - 1
            sourceEnd += max(0, steps * dimension.source)
            targetEnd += max(0, steps * dimension.target)
            sourceStart += min(0, steps * dimension.source)
            targetStart += min(0, steps * dimension.target)
        }
        precondition(isEmpty || (sourceStart >= 0 && targetStart >= 0), "a copy begins before its tensor")
        sourceBytes = elementBits < 8 ? (sourceEnd * elementBits + 7) / 8 : sourceEnd
        targetBytes = elementBits < 8 ? (targetEnd * elementBits + 7) / 8 : targetEnd
    }

    /// Dimensions of one step left out, neighbours that continue one another joined.
    private static func merged(_ dimensions: [Dimension]) -> [Dimension] {
        var merged: [Dimension] = []
        for dimension in dimensions where dimension.count != 1 {
            if let outer = merged.last, outer.source == dimension.source * dimension.count,
                outer.target == dimension.target * dimension.count
            {
                merged[merged.count - 1] = Dimension(
                    count: outer.count * dimension.count, source: dimension.source, target: dimension.target)
            } else {
                merged.append(dimension)
            }
        }
        return merged
    }

    /// Chooses the innermost loop, and puts the two dimensions of a transposition last.
    private static func inner(_ dimensions: [Dimension], run: Int, elementBytes: Int) -> (Inner, [Dimension]) {
        guard let last = dimensions.last, [1, 2, 4, 8, 16].contains(run * elementBytes) else {
            return (.run, dimensions)
        }
        guard run == 1, last.target == 1, let partner = dimensions.firstIndex(where: { $0.source == 1 }) else {
            return (.row, dimensions)
        }
        var ordered = dimensions
        ordered.insert(ordered.remove(at: partner), at: dimensions.count - 2)
        return (.transpose, ordered)
    }

    /// Copies on the caller's thread and, when the box is large, on those of `pool`. The shifts (in elements) move the
    /// box, for places known only at run time.
    package func run(
        from source: Span<UInt8>, to target: inout MutableSpan<UInt8>, sourceShift: Int = 0, targetShift: Int = 0,
        pool: ThreadPool? = nil
    ) {
        guard !isEmpty else { return }
        precondition(
            sourceShift >= 0 && targetShift >= 0 && bytes(sourceShift) <= source.count - sourceBytes
                && bytes(targetShift) <= target.count - targetBytes, "a copy ends behind its tensor")
        source.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { target in
                guard let from = source.baseAddress, let to = target.baseAddress else { return }
                if case .packed = inner {
                    return packed(0, from, sourceOffset + sourceShift, to, targetOffset + targetShift)
                }
                start(from + sourceOffset + bytes(sourceShift), to + targetOffset + bytes(targetShift), pool)
            }
        }
    }

    private func bytes(_ elements: Int) -> Int { elements * elementBits / 8 }

    /// What a thread moves at a time: large enough not to notice that it asks for more.
    private static let bytesPerPiece = 1 << 14

    private struct Job {
        let copy: StridedCopy
        let source: UnsafeRawPointer
        let target: UnsafeMutableRawPointer
        /// Steps of the outermost dimension in a piece.
        let steps: Int

        func run(_ piece: Int) {
            let outer = copy.dimensions[0]
            let range = piece * steps..<min(outer.count, (piece + 1) * steps)
            if case .run = copy.inner, copy.dimensions.count == 1 {
                let (from, to) = (source + range.lowerBound * outer.source, target + range.lowerBound * outer.target)
                eo_copy_rows(range.count, copy.unit, from, outer.source, to, outer.target)
                return
            }
            for index in range {
                copy.walk(1, source + index * outer.source, target + index * outer.target)
            }
        }
    }

    private func start(_ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ pool: ThreadPool?) {
        guard let pool, pool.threadCount > 1, let outer = dimensions.first, dimensions.count > innerDepth else {
            return walk(0, source, target)
        }
        let bytesPerStep = dimensions.dropFirst().reduce(unit) { $0 * $1.count }
        let steps = max(1, Self.bytesPerPiece / bytesPerStep)
        withUnsafePointer(to: Job(copy: self, source: source, target: target, steps: steps)) { job in
            pool.run((outer.count + steps - 1) / steps, job) { context, piece, _ in
                context.assumingMemoryBound(to: Job.self).pointee.run(piece)
            }
        }
    }

    /// Dimensions that the innermost loop takes.
    private var innerDepth: Int {
        switch inner {
        case .run, .packed: 0
        case .row: 1
        case .transpose: 2
        }
    }

    private func walk(_ level: Int, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer) {
        if level == dimensions.count - innerDepth { return innermost(level, source, target) }
        let dimension = dimensions[level]
        if case .run = inner, level == dimensions.count - 1 {
            return eo_copy_rows(dimension.count, unit, source, dimension.source, target, dimension.target)
        }
        var (from, to) = (source, target)
        for _ in 0..<dimension.count {
            walk(level + 1, from, to)
            from += dimension.source
            to += dimension.target
        }
    }

    private func innermost(_ level: Int, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer) {
        switch (inner, unit) {
        case (.row, 1): row(dimensions[level], source, target, UInt8.self)
        case (.row, 2): row(dimensions[level], source, target, UInt16.self)
        case (.row, 4): row(dimensions[level], source, target, UInt32.self)
        case (.row, 8): row(dimensions[level], source, target, UInt64.self)
        case (.row, _): row(dimensions[level], source, target, (UInt64, UInt64).self)
        case (.transpose, _):
            // The first is contiguous in the source, the second in the target.
            let (columns, rows) = (dimensions[level], dimensions[level + 1])
            eo_transpose(unit, rows.count, columns.count, source, rows.source, target, columns.target)
        default: target.copyMemory(from: source, byteCount: unit)
        }
    }

    @inline(__always)
    private func row<T: BitwiseCopyable>(
        _ dimension: Dimension, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _: T.Type
    ) {
        for index in 0..<dimension.count {
            let element = source.loadUnaligned(fromByteOffset: index &* dimension.source, as: T.self)
            target.storeBytes(of: element, toByteOffset: index &* dimension.target, as: T.self)
        }
    }

    private func packed(
        _ level: Int, _ source: UnsafeRawPointer, _ from: Int, _ target: UnsafeMutableRawPointer, _ to: Int
    ) {
        guard level == dimensions.count else {
            let dimension = dimensions[level]
            for index in 0..<dimension.count {
                packed(level + 1, source, from + index * dimension.source, target, to + index * dimension.target)
            }
            return
        }
        let bits = elementBits
        let perByte = 8 / bits
        let mask = UInt8(1 << bits) &- 1
        for index in 0..<unit {
            let (i, j) = (from + index, to + index)
            let byte = source.load(fromByteOffset: i / perByte, as: UInt8.self)
            let value = (byte >> UInt8(i % perByte * bits)) & mask
            let shift = UInt8(j % perByte * bits)
            let old = target.load(fromByteOffset: j / perByte, as: UInt8.self)
            target.storeBytes(
                of: (old & ~(mask << shift)) | (value << shift), toByteOffset: j / perByte, as: UInt8.self)
        }
    }
}

/// Copies `source` unless both are the same memory.
package func copyBytes(from source: Span<UInt8>, to target: inout MutableSpan<UInt8>) {
    let count = min(source.count, target.count)
    source.withUnsafeBytes { source in
        target.withUnsafeMutableBytes { target in
            guard let from = source.baseAddress, let to = target.baseAddress, from != UnsafeRawPointer(to) else {
                return
            }
            to.copyMemory(from: from, byteCount: count)
        }
    }
}

/// Repeats the bytes of one element over `target`.
package func fill(_ target: inout MutableSpan<UInt8>, with element: Span<UInt8>) {
    target.withUnsafeMutableBytes { target in
        element.withUnsafeBytes { element in
            guard let to = target.baseAddress, let from = element.baseAddress else { return }
            eo_fill(target.count, element.count, from, to)
        }
    }
}
