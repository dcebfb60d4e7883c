import Kernels
import Model
import Testing

@testable import Operators

@Test func absEvaluates() throws {
    let evaluation = Evaluation(Abs.definition, pool: try ThreadPool(threads: 2), weights: try PackedWeightCache())
    let x = TensorInfo(type: .float32, shape: [4], constant: try Bytes(copying: [-1, 2, -3, 0] as [Float]))
    let y = try #require(try evaluation.evaluate([x], outputs: [TensorInfo(type: .float32, shape: [])]))
    #expect(y[0].constant?.array(of: Float.self) == [1, 2, 3, 0])
}
