import CKernels

/// The half spectra of real matrices, cut off or filled up with zeros to `rows` by `columns`, which are powers of two;
/// in double precision. Matrices of one row are lines of their own.
package struct RealFourierTransform: Sendable {
    private let images: Int
    private let inputRows: Int
    private let inputColumns: Int
    private let rows: Int
    private let columns: Int
    private let table: [Double]

    package init(images: Int, inputRows: Int, inputColumns: Int, rows: Int, columns: Int) {
        (self.images, self.inputRows, self.inputColumns) = (images, inputRows, inputColumns)
        (self.rows, self.columns) = (rows, columns)
        let size = eo_fourier_table_size(rows, columns)
        table = [Double](unsafeUninitializedCapacity: size) { table, count in
            eo_fourier_table(rows, columns, table.baseAddress!)
            count = size
        }
    }

    private static func groups(_ lines: Int) -> Int { (lines + Int(EO_FOURIER_LINES) - 1) / Int(EO_FOURIER_LINES) }
    private var bins: Int { columns / 2 + 1 }
    private var planeCount: Int { rows == 1 ? 0 : 2 * rows * bins }
    private var lineCount: Int { eo_fourier_memory_size(rows, columns) }

    /// Doubles of working memory for as many threads as can take part.
    package func memoryCount(threads: Int) -> Int {
        let lines = rows == 1 ? images : max(rows, bins)
        return planeCount + lineCount * max(1, min(threads, Self.groups(lines)))
    }

    /// Nothing is allocated.
    package func run(
        _ x: Span<Float>, _ y: inout MutableSpan<Float>, memory: inout MutableSpan<Double>, pool: ThreadPool
    ) {
        precondition(x.count >= images * inputRows * inputColumns && y.count >= 2 * images * rows * bins)
        precondition(memory.count >= planeCount + lineCount)
        let workers = (memory.count - planeCount) / lineCount
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                memory.withUnsafeMutableBufferPointer { memory in
                    table.withUnsafeBufferPointer { table in
                        guard let y = y.baseAddress, let memory = memory.baseAddress, let table = table.baseAddress
                        else { return }
                        var lines = lines(x.baseAddress, y, memory, table)
                        for _ in 0..<(rows == 1 ? 1 : images) { run(&lines, workers, pool) }
                    }
                }
            }
        }
    }

    /// Of the first matrix, or of all if they have one row.
    private func lines(
        _ x: UnsafePointer<Float>?, _ y: UnsafeMutablePointer<Float>, _ memory: UnsafeMutablePointer<Double>,
        _ table: UnsafePointer<Double>
    ) -> eo_fourier {
        let isFlat = rows == 1
        let filled = x == nil || inputRows == 0 ? 0 : isFlat ? images : min(rows, inputRows)
        return eo_fourier(
            kernels: kernelTable, table: table, rows: rows, columns: columns, x: x,
            numbers: min(columns, inputColumns), stride: isFlat ? inputRows * inputColumns : inputColumns,
            lines: isFlat ? images : rows, filled: filled, plane: isFlat ? nil : memory, y: y,
            memory: memory + planeCount)
    }

    /// Goes on to the next matrix.
    private func run(_ lines: inout eo_fourier, _ workers: Int, _ pool: ThreadPool) {
        pool.run(Self.groups(lines.lines), workers: workers, &lines) { lines, group, worker in
            eo_fourier_rows(lines.assumingMemoryBound(to: eo_fourier.self), group, worker)
        }
        guard rows > 1 else { return }
        pool.run(Self.groups(bins), workers: workers, &lines) { lines, group, worker in
            eo_fourier_columns(lines.assumingMemoryBound(to: eo_fourier.self), group, worker)
        }
        lines.x = lines.x.map { $0 + inputRows * inputColumns }
        lines.y += 2 * rows * bins
    }
}
