/// A weight tensor seen as the matrix of a product: a row for each output channel, along it what is summed up.
package struct WeightMatrix: Equatable, Sendable {
    package let rows: Int
    package let columns: Int
    /// The rows are neighbours in memory, not the columns.
    package let isTransposed: Bool

    package init(rows: Int, columns: Int, isTransposed: Bool = false) {
        self.rows = rows
        self.columns = columns
        self.isTransposed = isTransposed
    }

    package var count: Int { rows * columns }

    func index(_ row: Int, _ column: Int) -> Int { isTransposed ? column * rows + row : row * columns + column }
}
