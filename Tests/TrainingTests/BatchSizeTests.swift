import Model
import Testing

@testable import Training

/// A model for one sample becomes one for many: constants that repeat the batch size are made anew.
@Suite struct BatchSizeTests {
    private struct Maker {
        var model = Model()

        init(_ inputs: [[Int]]) {
            model.subgraphs = [Subgraph()]
            for (index, shape) in inputs.enumerated() {
                model.subgraphs[0].tensors.append(Tensor(name: "x\(index)", type: .float32, shape: shape))
                model.subgraphs[0].inputs.append(index)
            }
        }

        mutating func integers(_ values: [Int32], _ shape: [Int]? = nil) throws -> Int {
            model.buffers.append(Buffer(try Bytes(copying: values)))
            model.subgraphs[0].tensors.append(
                Tensor(name: "c", type: .int32, shape: shape ?? [values.count], buffer: model.buffers.count - 1))
            return model.subgraphs[0].tensors.count - 1
        }

        mutating func floats(_ shape: [Int]) throws -> Int {
            model.buffers.append(Buffer(try Bytes(copying: [Float](repeating: 1, count: shape.reduce(1, *)))))
            model.subgraphs[0].tensors.append(
                Tensor(name: "w", type: .float32, shape: shape, buffer: model.buffers.count - 1))
            return model.subgraphs[0].tensors.count - 1
        }

        mutating func op(
            _ code: BuiltinOperator, _ inputs: [Int], _ shape: [Int], _ options: Options? = nil,
            _ type: TensorType = .float32
        ) -> Int {
            model.operatorCodes.append(OperatorCode(code, version: code == .broadcastTo ? 2 : 1))
            model.subgraphs[0].tensors.append(Tensor(name: "t", type: type, shape: shape))
            let output = model.subgraphs[0].tensors.count - 1
            model.subgraphs[0].operators.append(
                Operator(
                    opcode: model.operatorCodes.count - 1, inputs: inputs, outputs: [output],
                    options: options ?? Options(code.optionTable)))
            return output
        }

        func shape(_ tensor: Int, batch: Int) throws -> [Int] {
            var model = model
            model.subgraphs[0].outputs = [tensor]
            return try model.withBatchSize(batch).subgraphs[0].tensors[tensor].shape
        }
    }

    @Test(arguments: [1, 5]) func flatten(_ batch: Int) throws {
        for target in [[1, 12], [-1, 12], [1, -1]] as [[Int32]] {
            var maker = Maker([[1, 3, 4]])
            let y = maker.op(.reshape, [0, try maker.integers(target)], [1, 12])
            #expect(try maker.shape(y, batch: batch) == [batch, 12])
        }
    }

    @Test func theBatchMayBePartOfADimension() throws {
        var maker = Maker([[1, 6, 4]])
        let rows = maker.op(.reshape, [0, try maker.integers([6, 4])], [6, 4])
        let heads = maker.op(.reshape, [rows, try maker.integers([1, 6, 2, 2])], [1, 6, 2, 2])
        #expect(try maker.shape(rows, batch: 5) == [30, 4])
        #expect(try maker.shape(heads, batch: 5) == [5, 6, 2, 2])
    }

    @Test func aTransposedBatchKeepsItsPlace() throws {
        var maker = Maker([[1, 6, 4]])
        let turned = maker.op(.transpose, [0, try maker.integers([1, 0, 2])], [6, 1, 4])
        let joined = maker.op(.reshape, [turned, try maker.integers([6, 1, 2, 2])], [6, 1, 2, 2])
        #expect(try maker.shape(joined, batch: 5) == [6, 5, 2, 2])
    }

    @Test func slicesTakeAllSamples() throws {
        var maker = Maker([[1, 6, 4]])
        let slice = maker.op(.slice, [0, try maker.integers([0, 2, 0]), try maker.integers([1, 3, 4])], [1, 3, 4])
        let last = maker.op(
            .stridedSlice,
            [0, try maker.integers([0, 5, 0]), try maker.integers([1, 6, 4]), try maker.integers([1, 1, 1])], [1, 4],
            Options(.stridedSlice, [.int(0), .int(0), .int(0), .int(0), .int(2)]))
        #expect(try maker.shape(slice, batch: 5) == [5, 3, 4])
        #expect(try maker.shape(last, batch: 5) == [5, 4])
    }

    @Test func constantsAreJoinedWithEverySample() throws {
        var maker = Maker([[1, 6, 4]])
        let joined = maker.op(
            .concatenation, [try maker.floats([1, 1, 4]), 0], [1, 7, 4], Options(.concatenation, [.int(1)]))
        #expect(try maker.shape(joined, batch: 5) == [5, 7, 4])
    }

    @Test func shapesThatAreComputedBecomeConstants() throws {
        var maker = Maker([[1, 6, 4]])
        let shape = maker.op(.shape, [0], [3], nil, .int32)
        let first = maker.op(
            .stridedSlice, [shape, try maker.integers([0]), try maker.integers([1]), try maker.integers([1])], [],
            Options(.stridedSlice, [.int(0), .int(0), .int(0), .int(0), .int(1)]), .int32)
        let target = maker.op(.pack, [first, try maker.integers([24], [])], [2], Options(.pack, [.int(2)]), .int32)
        let y = maker.op(.reshape, [0, target], [1, 24])
        #expect(try maker.shape(y, batch: 5) == [5, 24])
        maker.model.subgraphs[0].outputs = [y]
        #expect(try maker.model.withBatchSize(5).subgraphs[0].operators.count == 1)
    }

    @Test func inputsWithoutSamplesCannotBeBatched() throws {
        var maker = Maker([[16]])
        let y = maker.op(.abs, [0], [16])
        #expect(try maker.shape(y, batch: 1) == [16])
        #expect(throws: Failure.self) { try maker.shape(y, batch: 2) }
        maker.model.subgraphs[0].tensors[0].shapeSignature = [-1]
        #expect(try maker.shape(y, batch: 2) == [2])
    }

    @Test(arguments: [0, -1, 1 << 30]) func sizesThatAreNone(_ size: Int) throws {
        var maker = Maker([[1, 4]])
        let y = maker.op(.abs, [0], [1, 4])
        #expect(throws: Failure.self) { try maker.shape(y, batch: size) }
    }
}
