import CKernels
import Model
import Testing

@testable import Kernels

@Test(arguments: [(1, 1, 1), (5, 33, 7), (17, 16, 40), (3, 70, 1), (40, 5, 19), (61, 130, 65)], [0, 1, 2, 3])
func matmulIsItsDefinition(_ size: (Int, Int, Int), _ transposes: Int) throws {
    let (rows, columns, depth) = size
    let (transposesA, transposesB) = (transposes & 1 != 0, transposes & 2 != 0)
    var numbers = Numbers(seed: rows * 1000 + columns * 10 + depth)
    let a = numbers.floats(rows * depth)
    let b = numbers.floats(depth * columns)
    let matmul = try Matmul(
        rows: rows, columns: columns, depth: depth, transposesA: transposesA, transposesB: transposesB)
    var output = [Float](repeating: .nan, count: rows * columns)
    var scratch = [UInt8](repeating: 0xff, count: matmul.scratchByteCount)
    var outputSpan = output.mutableSpan
    var scratchSpan = scratch.mutableSpan
    matmul.run(a.span, b.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: 2))
    for row in 0..<rows {
        for column in 0..<columns {
            var sum = 0.0
            for k in 0..<depth {
                sum +=
                    Double(transposesA ? a[k * rows + row] : a[row * depth + k])
                    * Double(transposesB ? b[column * depth + k] : b[k * columns + column])
            }
            #expect(
                abs(Double(output[row * columns + column]) - sum) <= 1e-6 * Double(depth + 1),
                "\(matmul.kernelName) \(size) \(transposes) at \(row), \(column)")
        }
    }
}

/// Results are those of the products one by one, whether threads share a product or each computes whole ones.
@Test(arguments: [(3, 1), (3, 2), (3, 4), (2, 3), (7, 3)], [false, true])
func batchOfProducts(_ batch: (products: Int, threads: Int), _ transposesA: Bool) throws {
    let (rows, columns, depth) = (70, 45, 33)
    var numbers = Numbers(seed: batch.products)
    let a = numbers.floats(batch.products * rows * depth)
    let b = numbers.floats(2 * columns * depth)
    let operands = (0..<batch.products).map { (a: $0 * rows * depth, b: $0 % 2 * columns * depth) }
    func results(_ operands: [Matmul.Operands], _ threads: Int) throws -> [Float] {
        let matmul = try Matmul(
            rows: rows, columns: columns, depth: depth, transposesA: transposesA, operands: operands, threads: threads)
        var output = [Float](repeating: .nan, count: operands.count * rows * columns)
        var scratch = [UInt8](repeating: 0xff, count: matmul.scratchByteCount)
        var outputSpan = output.mutableSpan
        var scratchSpan = scratch.mutableSpan
        matmul.run(a.span, b.span, &outputSpan, scratch: &scratchSpan, pool: try ThreadPool(threads: threads))
        return output
    }
    let alone = try operands.flatMap { try results([$0], 1) }
    #expect(try results(operands, batch.threads) == alone)
}
