import Model

/// Geometry of a product of matrix batches: C[b] = A[b] B[b], with strides instead of transposed copies, and batch
/// dimensions that broadcast.
struct MatrixBatch: Sendable {
    let rows: Int
    let columns: Int
    let depth: Int
    /// Leading dimensions of the result.
    let batchShape: [Int]
    private(set) var aRow: Int
    private(set) var aDepth: Int
    let bColumn: Int
    let bDepth: Int
    private let transposesA: Bool
    private let aShape: [Int]
    private let bShape: [Int]

    init(_ a: TensorInfo, transposeA: Bool, _ b: TensorInfo, transposeB: Bool, operator name: String) throws(Failure) {
        guard (2...5).contains(a.rank), (2...5).contains(b.rank) else {
            throw .invalidModel("\(name): \(a.described) and \(b.described) must have 2 to 5 dimensions")
        }
        let (aRows, aColumns) = (a.shape[a.rank - 2], a.shape[a.rank - 1])
        let (bRows, bColumns) = (b.shape[b.rank - 2], b.shape[b.rank - 1])
        (rows, depth) = transposeA ? (aColumns, aRows) : (aRows, aColumns)
        columns = transposeB ? bRows : bColumns
        guard depth == (transposeB ? bColumns : bRows),
            let batchShape = broadcast([Int](a.shape.dropLast(2)), [Int](b.shape.dropLast(2))),
            elementCount(batchShape + [rows, columns]) != nil
        else {
            throw .invalidModel("\(name): the shapes of \(a.described) and \(b.described) do not go together")
        }
        (aRow, aDepth) = transposeA ? (1, aColumns) : (aColumns, 1)
        (bColumn, bDepth) = transposeB ? (bColumns, 1) : (1, bColumns)
        self.batchShape = batchShape
        transposesA = transposeA
        (aShape, bShape) = (a.shape, b.shape)
    }

    var output: [Int] { batchShape + [rows, columns] }

    /// Rows of all matrices of a result with `count` elements.
    func rows(in count: Int) -> Int { columns == 0 ? 0 : count / columns }

    /// Rows that one product can compute: those of all batches if they share one B and follow one another in A.
    func rowsOfOneProduct(of count: Int) -> Int {
        let sharesB = bShape.dropLast(2).allSatisfy { $0 == 1 }
        return sharesB && !transposesA ? rows(in: count) : rows
    }

    /// Where the matrices of these products begin, of a result with `count` elements.
    func products(of count: Int) -> [(a: Int, b: Int)] {
        stride(from: 0, to: rows(in: count), by: rowsOfOneProduct(of: count)).map { operands(row: $0) }
    }

    /// The same with rows of A copied together.
    var withContiguousA: MatrixBatch {
        var copy = self
        (copy.aRow, copy.aDepth) = (depth, 1)
        return copy
    }

    /// Where row `index` of all rows of the result finds its row of A, and its B.
    @inline(__always)
    func operands(row index: Int) -> (a: Int, b: Int) {
        let (batch, row) = index.quotientAndRemainder(dividingBy: rows)
        let (a, b) = (matrix(batch, in: aShape), matrix(batch, in: bShape))
        return (a * rows * depth + row * aRow, b * columns * depth)
    }

    /// Which matrix of an operand of `shape` belongs to batch `index` of the result.
    private func matrix(_ index: Int, in shape: [Int]) -> Int {
        var (rest, matrix, stride) = (index, 0, 1)
        for axis in 0..<(shape.count - 2) {
            let dimension = batchShape[batchShape.count - 1 - axis]
            let size = shape[shape.count - 3 - axis]
            if size != 1 { matrix += rest % dimension * stride }
            rest /= dimension
            stride *= size
        }
        return matrix
    }

    /// Folds `add` over the pairs of result element (row, column) of one batch.
    @inline(__always)
    func sum<A: BitwiseCopyable, B: BitwiseCopyable, Sum>(
        _ a: Span<A>, from aStart: Int, _ b: Span<B>, from bStart: Int, start: Sum, add: (Sum, A, B) -> Sum
    ) -> Sum {
        var sum = start
        for index in 0..<depth { sum = add(sum, a[aStart + index * aDepth], b[bStart + index * bDepth]) }
        return sum
    }
}
