import CKernels

/// A copy into the middle of a larger dense tensor, whose margins are filled with one value in the same pass.
package struct PaddedCopy: Sendable {
    package struct Dimension: Sendable {
        package let before: Int
        package let count: Int
        package let after: Int

        package init(before: Int, count: Int, after: Int) {
            self.before = before
            self.count = count
            self.after = after
        }
    }
    private struct Level: Sendable {
        let beforeBytes: Int
        let count: Int
        let afterBytes: Int
        let sourceStride: Int
        let targetStride: Int
    }
    private let levels: [Level]
    private let elementBytes: Int
    private let sourceBytes: Int
    private let targetBytes: Int

    package init(elementBytes: Int, dimensions: [Dimension]) {
        var levels: [Level] = []
        var (source, target) = (elementBytes, elementBytes)
        for dimension in dimensions.reversed() {
            // An unpadded dimension inside a padded one is part of the run that the outer one moves.
            let size = dimension.before + dimension.count + dimension.after
            let isPlain = dimension.before == 0 && dimension.after == 0
            if !isPlain || !levels.isEmpty || source != target {
                levels.append(
                    Level(
                        beforeBytes: dimension.before * target, count: dimension.count,
                        afterBytes: dimension.after * target, sourceStride: source, targetStride: target))
            }
            source *= dimension.count
            target *= size
        }
        self.levels = levels.reversed()
        self.elementBytes = elementBytes
        sourceBytes = source
        targetBytes = target
    }

    /// `value` is one element's bytes.
    package func run(from source: Span<UInt8>, to target: inout MutableSpan<UInt8>, value: Span<UInt8>) {
        precondition(sourceBytes <= source.count && targetBytes <= target.count && elementBytes <= value.count)
        source.withUnsafeBytes { source in
            target.withUnsafeMutableBytes { target in
                value.withUnsafeBytes { value in
                    guard let from = source.baseAddress, let to = target.baseAddress, let pad = value.baseAddress else {
                        return
                    }
                    walk(0, from, to, pad)
                }
            }
        }
    }

    private func walk(
        _ depth: Int, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ value: UnsafeRawPointer
    ) {
        guard depth < levels.count else { return target.copyMemory(from: source, byteCount: sourceBytes) }
        let level = levels[depth]
        eo_fill(level.beforeBytes, elementBytes, value, target)
        let middle = target + level.beforeBytes
        let end: UnsafeMutableRawPointer
        if depth == levels.count - 1 {
            let bytes = level.count * level.sourceStride
            middle.copyMemory(from: source, byteCount: bytes)
            end = middle + bytes
        } else {
            for index in 0..<level.count {
                walk(depth + 1, source + index * level.sourceStride, middle + index * level.targetStride, value)
            }
            end = middle + level.count * level.targetStride
        }
        eo_fill(level.afterBytes, elementBytes, value, end)
    }
}
