/// How the stored values of a sparse tensor lie in the dense one: the levels of `Sparsity`, checked, with strides.
///
/// The coordinate hierarchy of Kjolstad et al., "The Tensor Algebra Compiler" (OOPSLA 2017): each level multiplies the
/// positions of the one above, by all coordinates of a dense dimension or by the listed ones of a compressed one.
package struct SparseLayout: Sendable {
    struct Level {
        /// Elements of the dense tensor between two neighbouring coordinates.
        let stride: Int
        let size: Int
        /// nil: every coordinate is there.
        let compressed: (segments: [Int], indices: [Int])?
    }
    fileprivate(set) var levels: [Level] = []
    /// Elements that the buffer holds.
    package fileprivate(set) var storedCount = 1
    package let elementCount: Int

    /// Expands stored elements into the dense tensor, row-major, zeros between them. Works for every element type of
    /// whole bytes. `data` must hold `storedCount` elements.
    package func densify(_ data: Bytes, type: TensorType) throws(Failure) -> Bytes {
        switch type.bits {
        case 8: try densify(data, of: UInt8.self)
        case 16: try densify(data, of: UInt16.self)
        case 32: try densify(data, of: UInt32.self)
        case 64: try densify(data, of: UInt64.self)
        case 128: try densify(data, of: SIMD2<UInt64>.self)
        default: throw .unsupported("sparse values of type \(type.name) cannot be expanded")
        }
    }

    private func densify<T: BitwiseCopyable>(_ data: Bytes, of element: T.Type) throws(Failure) -> Bytes {
        let width = MemoryLayout<T>.size
        guard data.count >= storedCount * width else {
            throw .wrongSize("\(storedCount * width) bytes of sparse values were expected, found \(data.count)")
        }
        let (size, overflow) = elementCount.multipliedReportingOverflow(by: width)
        guard !overflow else { throw .outOfMemory(Int.max) }
        let dense = try Storage.allocate(size)
        guard elementCount > 0 else { return Bytes(dense) }
        try dense.withMutableBytes { (bytes: inout MutableRawSpan) throws(Failure) in
            visit(level: 0, position: 0, offset: 0) { position, offset in
                let value = unsafe data.span.unsafeLoadUnaligned(fromByteOffset: position * width, as: element)
                bytes.storeBytes(of: value, toByteOffset: offset * width, as: element)
            }
        }
        return Bytes(dense)
    }

    private func visit(level: Int, position: Int, offset: Int, _ body: (_ position: Int, _ offset: Int) -> Void) {
        guard level < levels.count else { return body(position, offset) }
        let current = levels[level]
        guard let compressed = current.compressed else {
            for coordinate in 0..<current.size {
                visit(
                    level: level + 1, position: position * current.size + coordinate,
                    offset: offset + coordinate * current.stride, body)
            }
            return
        }
        for entry in compressed.segments[position]..<compressed.segments[position + 1] {
            visit(
                level: level + 1, position: entry, offset: offset + compressed.indices[entry] * current.stride, body)
        }
    }
}

extension Sparsity {
    package enum LayoutResult {
        case sound(SparseLayout)
        /// What was expected and what was found.
        case unsound(Sentence)
    }

    /// Checks the description against the dense shape. A sound layout never leads outside either tensor.
    package func layout(shape: [Int]) -> LayoutResult {
        let rank = shape.count
        let count = rank + blockMap.count
        guard let elements = elementCount(shape), elementCount(shape.map { max($0, 1) }) != nil, count <= 32 else {
            return .unsound("at most 32 dimensions with blocks were expected, found \(count)")
        }
        guard traversalOrder.count == count, dimensions.count == count else {
            return .unsound(
                "\(count) dimensions were expected, found \(dimensions.count) and \(traversalOrder.count) to traverse")
        }
        guard (0..<rank).allSatisfy({ traversalOrder.prefix(rank).contains($0) }),
            (rank..<count).allSatisfy({ traversalOrder.dropFirst(rank).contains($0) })
        else {
            return .unsound(
                "an order of \(rank) dimensions, then \(count - rank) of blocks, was expected,"
                    + " found \(traversalOrder.listed)")
        }
        guard blockMap.allSatisfy({ $0 >= 0 && $0 < rank }), Set(blockMap).count == blockMap.count else {
            return .unsound("block dimensions that belong to different dimensions were expected, found \(blockMap)")
        }
        guard let (sizes, strides) = blockedExtents(shape) else {
            return .unsound("dense blocks that divide shape \(shape.listed) were expected")
        }
        var layout = SparseLayout(elementCount: elements)
        for (level, dimension) in traversalOrder.enumerated() {
            let problem = layout.append(dimensions[level], size: sizes[dimension], stride: strides[dimension])
            if let problem { return .unsound("level \(level): \(problem)") }
        }
        return .sound(layout)
    }

    /// Sizes and strides of the dimensions of the shape in blocks, then of those inside a block.
    private func blockedExtents(_ shape: [Int]) -> (sizes: [Int], strides: [Int])? {
        let rank = shape.count
        var strides = [Int](repeating: 1, count: rank)
        for index in stride(from: rank - 2, through: 0, by: -1) {
            strides[index] = strides[index + 1] * shape[index + 1]
        }
        var sizes = shape
        for (index, outer) in blockMap.enumerated() {
            guard let level = traversalOrder.firstIndex(of: rank + index), case .dense(let size) = dimensions[level],
                size > 0, shape[outer] % size == 0
            else { return nil }
            sizes[outer] = shape[outer] / size
            sizes.append(size)
            strides.append(strides[outer])
            strides[outer] *= size
        }
        return (sizes, strides)
    }
}

extension SparseLayout {
    fileprivate init(elementCount: Int) { self.elementCount = elementCount }

    /// Adds the next level; says what is wrong with it.
    fileprivate mutating func append(_ dimension: Sparsity.Dimension, size: Int, stride: Int) -> Sentence? {
        switch dimension {
        case .dense(let found):
            guard found == size else { return "a dense size of \(size) was expected, found \(found)" }
            levels.append(Level(stride: stride, size: size, compressed: nil))
            storedCount *= size
        case .compressed(let segments, let indices, _, _):
            guard segments.count == storedCount + 1, segments.first == 0, segments.last == indices.count else {
                return "\(storedCount + 1) segments from 0 to \(indices.count) were expected, found \(segments.count)"
                    + " from \(segments.first ?? 0) to \(segments.last ?? 0)"
            }
            for row in 1..<segments.count {
                guard segments[row] >= segments[row - 1], segments[row] <= indices.count else {
                    return "segment \(row) from \(segments[row - 1]) to \(segments[row]) is not among the"
                        + " \(indices.count) indices"
                }
                var previous = -1
                for index in indices[segments[row - 1]..<segments[row]] {
                    guard index > previous, index < size else {
                        return "rising indices below \(size) were expected, found \(index) after \(previous)"
                    }
                    previous = index
                }
            }
            levels.append(Level(stride: stride, size: size, compressed: (segments, indices)))
            storedCount = indices.count
        }
        return nil
    }
}
