import Kernels
import Model
import Testing

@testable import Operators

@Suite struct MaxUnpoolingTests {
    private func options(_ numbers: [Int32]) throws -> Bytes { try Bytes(copying: numbers) }

    private func run(
        _ definition: OperatorDefinition, _ options: Bytes, _ inputs: [TensorInfo], count: Int
    ) throws -> [[Float]] {
        let evaluation = Evaluation(
            definition, customOptions: options, pool: try ThreadPool(threads: 1), weights: try PackedWeightCache())
        let like = TensorInfo(type: .float32, shape: [])
        let outputs = try #require(
            try evaluation.evaluate(inputs, outputs: [TensorInfo](repeating: like, count: count)))
        return outputs.map { $0.constant?.array(of: Float.self) ?? [] }
    }

    @Test func whatWasPooledGoesBackToItsPlace() throws {
        let x: [Float] = [1, 2, 5, 5, 4, 3, 5, 0, -1, -2, 0, 7, -3, -4, 9, 8]
        let pooled = try run(
            MaxPoolingWithArgmax.definition, options([1, 2, 2, 2, 2, 0]), [tensor(x, [1, 4, 4, 1], .float32)], count: 2)
        #expect(pooled[0] == [4, 5, -1, 9])
        // Of three fives the first in the first column.
        #expect(pooled[1].map { Int($0) } == [2, 0, 0, 2])
        let back = try run(
            MaxPoolingWithArgmax.inverse, options([2, 2, 2, 2, 2, 0]),
            [tensor(pooled[0], [1, 2, 2, 1], .float32), tensor(pooled[1], [1, 2, 2, 1], .float32)], count: 1)
        #expect(back[0] == [0, 0, 5, 0, 4, 0, 0, 0, -1, 0, 0, 0, 0, 0, 9, 0])
    }

    @Test func placesOutsideCountForNothing() throws {
        let places: [Float] = [.nan, -1, 99, .infinity]
        let back = try run(
            MaxPoolingWithArgmax.inverse, options([2, 2, 2, 2, 2, 0]),
            [tensor([1, 2, 3, 4] as [Float], [1, 2, 2, 1], .float32), tensor(places, [1, 2, 2, 1], .float32)], count: 1)
        #expect(back[0] == [Float](repeating: 0, count: 16))
        #expect(throws: Failure.self) {
            try run(
                MaxPoolingWithArgmax.inverse, options([2, 0, 2, 2, 2, 0]),
                [tensor([1 as Float], [1, 1, 1, 1], .float32), tensor([0 as Float], [1, 1, 1, 1], .float32)], count: 1)
        }
    }
}
