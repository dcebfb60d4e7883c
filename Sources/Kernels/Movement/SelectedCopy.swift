import CKernels

/// An element-wise choice between two tensors by a third of booleans, all broadcast to one shape.
package struct SelectedCopy: Sendable {
    package struct Dimension: Sendable {
        package let count: Int
        /// Distances between neighbours, in elements: of the condition, of both choices and of the result.
        package let condition: Int
        package let first: Int
        package let second: Int
        package let target: Int

        package init(count: Int, condition: Int, first: Int, second: Int, target: Int) {
            self.count = count
            self.condition = condition
            self.first = first
            self.second = second
            self.target = target
        }

        fileprivate func continues(_ inner: Dimension) -> Bool {
            condition == inner.condition * inner.count && first == inner.first * inner.count
                && second == inner.second * inner.count && target == inner.target * inner.count
        }
    }

    private let elementBytes: Int
    private let dimensions: [Dimension]

    package init(elementBytes: Int, dimensions: [Dimension]) {
        self.elementBytes = elementBytes
        var merged: [Dimension] = []
        for dimension in dimensions where dimension.count != 1 {
            if let outer = merged.last, outer.continues(dimension) {
                merged[merged.count - 1] = Dimension(
                    count: outer.count * dimension.count, condition: dimension.condition, first: dimension.first,
                    second: dimension.second, target: dimension.target)
            } else {
                merged.append(dimension)
            }
        }
        if merged.isEmpty { merged = [Dimension(count: 1, condition: 0, first: 0, second: 0, target: 0)] }
        self.dimensions = merged
    }

    /// The tensors have the shapes that the dimensions were made from.
    package func run(
        _ condition: Span<UInt8>, _ first: Span<UInt8>, _ second: Span<UInt8>, to target: inout MutableSpan<UInt8>
    ) {
        precondition(
            condition.count >= extent { $0.condition } && first.count >= extent { $0.first } * elementBytes
                && second.count >= extent { $0.second } * elementBytes
                && target.count >= extent { $0.target } * elementBytes)
        guard !dimensions.contains(where: { $0.count == 0 }) else { return }
        condition.withUnsafeBytes { condition in
            first.withUnsafeBytes { first in
                second.withUnsafeBytes { second in
                    target.withUnsafeMutableBytes { target in
                        guard let c = condition.baseAddress, let a = first.baseAddress, let b = second.baseAddress,
                            let y = target.baseAddress
                        else { return }
                        walk(0, c, a, b, y)
                    }
                }
            }
        }
    }

    private func extent(_ stride: (Dimension) -> Int) -> Int {
        dimensions.contains { $0.count == 0 } ? 0 : dimensions.reduce(1) { $0 + ($1.count - 1) * stride($1) }
    }

    private func walk(
        _ level: Int, _ condition: UnsafeRawPointer, _ first: UnsafeRawPointer, _ second: UnsafeRawPointer,
        _ target: UnsafeMutableRawPointer
    ) {
        guard level < dimensions.count - 1 else { return row(condition, first, second, target) }
        let d = dimensions[level]
        for i in 0..<d.count {
            walk(
                level + 1, condition + i * d.condition, first + i * d.first * elementBytes,
                second + i * d.second * elementBytes, target + i * d.target * elementBytes)
        }
    }

    private func row(
        _ condition: UnsafeRawPointer, _ first: UnsafeRawPointer, _ second: UnsafeRawPointer,
        _ target: UnsafeMutableRawPointer
    ) {
        let d = dimensions[dimensions.count - 1]
        if d.condition == 0 || d.count == 1 {
            let isFirst = condition.load(as: UInt8.self) != 0
            let (source, step) = isFirst ? (first, d.first) : (second, d.second)
            let size = d.count * elementBytes
            if step == 0 { return eo_fill(size, elementBytes, source, target) }
            return target.copyMemory(from: source, byteCount: size)
        }
        guard let number else {
            for i in 0..<d.count {
                let isFirst = condition.load(fromByteOffset: i, as: UInt8.self) != 0
                let source = isFirst ? first + i * d.first * elementBytes : second + i * d.second * elementBytes
                (target + i * elementBytes).copyMemory(from: source, byteCount: elementBytes)
            }
            return
        }
        eo_choose(
            number, d.count, condition.assumingMemoryBound(to: UInt8.self), first, d.first, second, d.second, target)
    }

    /// A type of as many bytes.
    private var number: eo_number? {
        switch elementBytes {
        case 1: EO_U8
        case 2: EO_S16
        case 4: EO_S32
        case 8: EO_S64
        default: nil
        }
    }
}
