import Testing

@testable import Kernels

@Suite struct RowsTests {
    /// A row of few elements has the same result among many rows, which are computed together, and by itself.
    @Test(arguments: 1...ShortRows.mostElements + 1)
    func shortRowsAreAsByThemselves(depth: Int) {
        let values = ElementwiseTests.floats(67 * depth, seed: UInt64(depth))
        for rows in [1, 3, 4, 5, 64, 67] {
            for beta: Float in [1, 0.125] {
                let function = RowFunction.softmax(beta: beta)
                var (together, each) = (values, values)
                together.withUnsafeMutableBufferPointer { y in
                    function.apply(rows, depth, y.baseAddress!, y.baseAddress!)
                }
                each.withUnsafeMutableBufferPointer { y in
                    for row in 0..<rows {
                        function.apply(1, depth, y.baseAddress! + row * depth, y.baseAddress! + row * depth)
                    }
                }
                let bits = [together, each].map { $0.map { $0.isNaN ? Float.nan.bitPattern : $0.bitPattern } }
                #expect(bits[0] == bits[1], "\(rows) rows, beta \(beta)")
            }
        }
    }
}
