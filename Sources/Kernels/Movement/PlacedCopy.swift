import CKernels

/// Rows of a tensor from wherever they lie, one after the other.
package struct PlacedCopy: Sendable {
    private let rows: Int
    /// Bytes of a row; nil: bytes hold several elements.
    private let size: Int?
    private let row: StridedCopy
    private let length: Int

    /// `rows` that there are to choose from, of `length` elements of `bits`.
    package init(rows: Int, length: Int, bits: Int) {
        (self.rows, self.length) = (rows, length)
        size = bits % 8 == 0 ? length * bits / 8 : nil
        row = StridedCopy(elementBits: bits, dimensions: [.init(count: length, source: 1, target: 1)])
    }

    /// Row `at` + i of the target becomes row `from` + `places[i]` of the source. Places are less than `rows`.
    package func run(
        _ source: Span<UInt8>, from: Int, places: Span<Int>, to target: inout MutableSpan<UInt8>, at: Int
    ) {
        guard let size else {
            for i in 0..<places.count {
                row.run(
                    from: source, to: &target, sourceShift: (from + places[i]) * length, targetShift: (at + i) * length)
            }
            return
        }
        let count = places.count
        precondition(
            from >= 0 && at >= 0 && (from + rows) * size <= source.count && (at + count) * size <= target.count)
        guard count > 0, size > 0 else { return }
        source.withUnsafeBytes { source in
            places.withUnsafeBytes { places in
                target.withUnsafeMutableBytes { target in
                    eo_copy_places(
                        count, size, source.baseAddress! + from * size,
                        places.baseAddress!.assumingMemoryBound(to: Int64.self), target.baseAddress! + at * size)
                }
            }
        }
    }
}
