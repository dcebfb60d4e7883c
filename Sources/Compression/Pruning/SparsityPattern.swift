import Model

/// Which weights are pruned together.
package enum SparsityPattern: Equatable, Sendable {
    /// How the weights of a block are judged together; raw values are eo_block_pooling's.
    package enum Pooling: UInt32, Sendable { case average = 0, maximum = 1 }

    case element
    /// Blocks of the weight matrix; those at its end may be smaller.
    case block(rows: Int, columns: Int, pooling: Pooling)
    /// Of every `size` neighbours along a row the smallest `zeros` are pruned (N:M sparsity; Mishra et al., 2021).
    case zerosOfEvery(zeros: Int, size: Int)

    func validate() throws(Failure) {
        switch self {
        case .element: return
        case .block(let rows, let columns, _):
            guard (1...256).contains(rows), (1...256).contains(columns) else {
                throw .invalidArgument("a block of \(rows) x \(columns) weights: expected 1 to 256 each way")
            }
        case .zerosOfEvery(let zeros, let size):
            guard size >= 2, size <= 256, zeros > 0, zeros < size else {
                throw .invalidArgument("\(zeros) zeros of every \(size) weights: expected fewer zeros than weights")
            }
        }
    }

    /// Blocks of a matrix in each direction; elements are blocks of one, numbered as they lie in memory.
    func unitCount(_ matrix: WeightMatrix) -> Int {
        guard case .block(let rows, let columns, _) = self else { return matrix.count }
        return ((matrix.rows + rows - 1) / rows) * ((matrix.columns + columns - 1) / columns)
    }

    /// How important each unit is: the magnitude of its weights.
    func scores(_ weights: [Float], _ matrix: WeightMatrix) -> [Float] {
        guard case .block(let rows, let columns, let pooling) = self else {
            return weights.map { $0.magnitude }
        }
        var scores: [Float] = []
        scores.reserveCapacity(unitCount(matrix))
        for row in stride(from: 0, to: matrix.rows, by: rows) {
            for column in stride(from: 0, to: matrix.columns, by: columns) {
                let height = min(rows, matrix.rows - row)
                let width = min(columns, matrix.columns - column)
                var (sum, largest): (Float, Float) = (0, 0)
                for r in row..<row + height {
                    for c in column..<column + width {
                        let magnitude = weights[matrix.index(r, c)].magnitude
                        sum += magnitude
                        largest = max(largest, magnitude)
                    }
                }
                scores.append(pooling == .maximum ? largest : sum / Float(height * width))
            }
        }
        return scores
    }

    /// Marks the weights of the units that are kept; `units` has one entry for each.
    func expand(_ units: [Bool], _ matrix: WeightMatrix) -> [Bool] {
        guard case .block(let rows, let columns, _) = self else { return units }
        var kept = [Bool](repeating: true, count: matrix.count)
        let across = (matrix.columns + columns - 1) / columns
        for row in 0..<matrix.rows {
            for column in 0..<matrix.columns where !units[row / rows * across + column / columns] {
                kept[matrix.index(row, column)] = false
            }
        }
        return kept
    }

    /// The weights kept by `zerosOfEvery`: a group of fewer than `size` at the end of a row loses its share, rounded.
    static func keptOfEvery(zeros: Int, size: Int, _ weights: [Float], _ matrix: WeightMatrix) -> [Bool] {
        var kept = [Bool](repeating: true, count: weights.count)
        for row in 0..<matrix.rows {
            for start in stride(from: 0, to: matrix.columns, by: size) {
                let places = (start..<min(start + size, matrix.columns)).map { matrix.index(row, $0) }
                let count = (places.count * zeros * 2 + size) / (2 * size)
                let order = ascendingOrder(of: places.map { Double(weights[$0].magnitude) })
                for index in order.prefix(count) { kept[places[index]] = false }
            }
        }
        return kept
    }
}
