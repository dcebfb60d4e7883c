import Kernels
import Model
import Testing

@testable import Operators

@Suite struct IndexingTests {
    @Test(arguments: MovementTests.types) func gathersAlongEveryAxis(type: TensorType) throws {
        let shape = [2, 3, 5]
        let limit = type == .int4 ? 16 : 1 << 16
        for axis in -3..<3 {
            let d = axis < 0 ? axis + 3 : axis
            let chosen = [1, 0, shape[d] - 1, 1]
            let y = try MovementCase(definition: Gather.definition, options: [0: .int(Int64(axis))]).output(
                [counting(shape, type), indices(chosen)])
            var target = shape
            target[d] = 4
            #expect(y.shape == target)
            let expected = coordinates(target).map { (c: [Int]) -> Int in
                var from = c
                from[d] = chosen[c[d]]
                return place(from, shape) % limit
            }
            #expect(try elements(y) == expected, "axis \(axis)")
        }
    }

    @Test func gathersWithBatches() throws {
        let positions = try tensor([0, 2, 1, 1] as [Int64], [2, 2], .int64)
        let operation = MovementCase(definition: Gather.definition, options: [0: .int(2), 1: .int(1)])
        let y = try operation.output([counting([2, 2, 3]), positions])
        #expect(y.shape == [2, 2, 2])
        #expect(try elements(y) == [0, 2, 3, 5, 7, 7, 10, 10])
    }

    @Test(arguments: [-1, 3, Int(Int32.max), Int(Int32.min)]) func indicesOutsideAreRefused(index: Int) throws {
        let x = try counting([3, 2])
        #expect(throws: Failure.self) { try MovementCase(definition: Gather.definition).output([x, indices([index])]) }
        let pair = try tensor([Int32(0), Int32(truncatingIfNeeded: index)], [1, 2], .int32)
        #expect(throws: Failure.self) { try MovementCase(definition: GatherND.definition).output([x, pair]) }
        #expect(throws: Failure.self) {
            try MovementCase(definition: EmbeddingLookup.definition).output([indices([index]), x], like: x)
        }
        #expect(throws: Failure.self) {
            try MovementCase(definition: ScatterND.definition).output(
                [tensor([Int32(truncatingIfNeeded: index)], [1, 1], .int32), counting([1, 2]), indices([3, 2])],
                like: x)
        }
    }

    @Test func gathersAndScattersByTuples() throws {
        let tuples = try tensor([0, 1, 1, 0, 1, 2] as [Int32], [3, 2], .int32)
        let y = try MovementCase(definition: GatherND.definition).output([counting([2, 3, 2]), tuples])
        #expect(y.shape == [3, 2])
        #expect(try elements(y) == [2, 3, 6, 7, 10, 11])
        let twice = try tensor([1, 3, 1] as [Int32], [3, 1], .int32)
        let updates = try tensor([1, 2, 10, 20, 100, 200] as [Float], [3, 2], .float32)
        let z = try MovementCase(definition: ScatterND.definition).output(
            [twice, updates, indices([4, 2])], like: updates)
        #expect(z.constant?.array(of: Float.self) == [0, 0, 101, 202, 0, 0, 10, 20])
    }

    @Test(arguments: [TensorType.float32, .int8]) func spaceAndDepthAreInverse(type: TensorType) throws {
        for (block, shape) in [(1, [1, 2, 2, 3]), (2, [2, 4, 6, 3]), (3, [1, 3, 6, 2])] {
            let x = try counting(shape, type)
            let packed = try MovementCase(definition: SpaceToDepth.definition, options: [0: .int(Int64(block))]).output(
                [x])
            let target = [shape[0], shape[1] / block, shape[2] / block, shape[3] * block * block]
            #expect(packed.shape == target)
            let expected = coordinates(target).map { (c: [Int]) -> Int in
                let (pixel, channel) = (c[3] / shape[3], c[3] % shape[3])
                let (row, column) = (c[1] * block + pixel / block, c[2] * block + pixel % block)
                return place([c[0], row, column, channel], shape) % (type == .int8 ? 256 : 1 << 16)
            }
            #expect(try elements(packed) == expected, "block \(block)")
            let back = try MovementCase(definition: SpaceToDepth.inverse, options: [0: .int(Int64(block))]).output([
                packed
            ])
            #expect(try elements(back) == (try elements(x)), "block \(block)")
        }
    }

    @Test func spaceToBatchWithEveryMargin() throws {
        for block in coordinates([3, 3]).map({ [$0[0] + 1, $0[1] + 1] }) {
            for margins in coordinates([4, 4, 4, 4]) {
                let shape = [2, 3, 4, 2]
                let padded = [3 + margins[0] + margins[1], 4 + margins[2] + margins[3]]
                guard padded[0] % block[0] == 0, padded[1] % block[1] == 0 else { continue }
                let like = TensorInfo(type: .int32, shape: [])
                let pads = try tensor(margins.map { Int32($0) }, [2, 2], .int32)
                let y = try MovementCase(definition: SpaceToBatchND.definition).output(
                    [counting(shape), indices(block), pads], like: like)
                let target = [2 * block[0] * block[1], padded[0] / block[0], padded[1] / block[1], 2]
                #expect(y.shape == target)
                let expected = coordinates(target).map { (c: [Int]) -> Int in
                    let (phase, image) = (c[0] / 2, c[0] % 2)
                    let row = c[1] * block[0] + phase / block[1] - margins[0]
                    let column = c[2] * block[1] + phase % block[1] - margins[2]
                    guard row >= 0, row < 3, column >= 0, column < 4 else { return 0 }
                    return place([image, row, column, c[3]], shape)
                }
                #expect(try elements(y) == expected, "block \(block), margins \(margins)")
                let back = try MovementCase(definition: SpaceToBatchND.inverse).output(
                    [y, indices(block), pads], like: like)
                #expect(try elements(back) == (try elements(counting(shape))), "block \(block), margins \(margins)")
            }
        }
    }

    /// Rows of fewer numbers than a vector has, as many, and more, in all types, against rows of another dimension.
    private func bestOfRows() throws {
        for length in [1, 5, 16, 21, 40] {
            let values = (0..<7 * length).map { $0 * 7919 % 61 - 30 }
            func check<T: BitwiseCopyable & Comparable>(_ type: TensorType, _ x: [T]) throws {
                for (definition, maximum) in [(ArgMax.definition, true), (ArgMax.least, false)] {
                    let expected = (0..<7).map { row in
                        let numbers = x[row * length..<(row + 1) * length]
                        let best = maximum ? numbers.max()! : numbers.min()!
                        return numbers.firstIndex(of: best)! - row * length
                    }
                    for index in [TensorType.int32, .int64] {
                        let y = try MovementCase(definition: definition, threads: 2).output(
                            [tensor(x, [7, length], type), indices([1])], like: TensorInfo(type: index, shape: []))
                        #expect(try elements(y) == expected, "\(type), \(length) numbers")
                    }
                }
            }
            try check(.float32, values.map { Float($0) })
            try check(.int8, values.map { Int8($0) })
            try check(.uint8, values.map { UInt8($0 + 128) })
            try check(.int16, values.map { Int16($0) })
        }
    }

    @Test func bestElements() throws {
        let values: [Float] = [3, .nan, 7, 7, -1, 2, .nan, .nan, .nan, 5, 5, 4]
        let x = try tensor(values, [3, 4], .float32)
        for (axis, expected) in [(1, [2, 1, 1]), (-1, [2, 1, 1]), (0, [0, 2, 0, 0])] {
            let y = try MovementCase(definition: ArgMax.definition).output(
                [x, indices([axis])], like: TensorInfo(type: .int32, shape: []))
            #expect(try elements(y) == expected)
        }
        let y = try MovementCase(definition: ArgMax.least).output(
            [x, indices([1])], like: TensorInfo(type: .int64, shape: []))
        #expect(try elements(y) == [0, 0, 3])
        try bestOfRows()
        for k in 0...7 {
            let row: [Int32] = [5, 1, 9, 9, -3, 5, 0]
            let results = try Evaluation(
                TopK.definition, pool: try ThreadPool(threads: 1), weights: try PackedWeightCache()
            ).evaluate(
                [tensor(row, [1, 7], .int32), indices([k])],
                outputs: [TensorInfo(type: .int32, shape: []), TensorInfo(type: .int32, shape: [])])
            let order = row.indices.sorted { row[$0] != row[$1] ? row[$0] > row[$1] : $0 < $1 }.prefix(k)
            #expect(results?[0].constant?.array(of: Int32.self) == order.map { row[$0] })
            #expect(results?[1].constant?.array(of: Int32.self) == order.map { Int32($0) })
        }
    }

    @Test func tilesBroadcastsReverses() throws {
        let shape = [2, 1, 3]
        for multiples in coordinates([3, 3, 3]) {
            let y = try MovementCase(definition: Tile.definition).output([counting(shape), indices(multiples)])
            let target = zip(shape, multiples).map { $0 * $1 }
            let expected = coordinates(target).map { c in place(zip(c, shape).map { $0 % $1 }, shape) }
            #expect(try elements(y) == expected, "\(multiples)")
        }
        let y = try MovementCase(definition: BroadcastTo.definition).output([counting(shape), indices([2, 2, 4, 3])])
        #expect(try elements(y) == coordinates([2, 2, 4, 3]).map { place([$0[1], 0, $0[3]], shape) })
        #expect(throws: Failure.self) {
            try MovementCase(definition: BroadcastTo.definition).output([counting(shape), indices([3, 1, 3])])
        }
        for axes in [[0], [1], [-1], [0, 2], []] {
            let y = try MovementCase(definition: ReverseV2.definition).output([counting([2, 2, 3]), indices(axes)])
            let flipped = axes.map { $0 < 0 ? $0 + 3 : $0 }
            let expected = coordinates([2, 2, 3]).map { c in
                place(c.indices.map { flipped.contains($0) ? [2, 2, 3][$0] - 1 - c[$0] : c[$0] }, [2, 2, 3])
            }
            #expect(try elements(y) == expected, "\(axes)")
        }
        let both = try MovementCase(definition: BroadcastArgs.definition).output([
            indices([3, 1]), indices([2, 1, 4]),
        ])
        #expect(try elements(both) == [2, 3, 4])
        #expect(throws: Failure.self) {
            try MovementCase(definition: BroadcastArgs.definition).output([indices([3]), indices([2])])
        }
    }

    @Test func selects() throws {
        let condition = try tensor([1, 0, 1, 1, 0, 0] as [UInt8], [2, 3], .bool)
        let first = try counting([2, 3])
        let second = try tensor([100, 101, 102, 103, 104, 105] as [Int32], [2, 3], .int32)
        let y = try MovementCase(definition: Select.definition).output([condition, first, second], like: first)
        #expect(try elements(y) == [0, 101, 2, 3, 104, 105])
        let rows = try tensor([0, 1] as [UInt8], [2], .bool)
        let z = try MovementCase(definition: Select.definition).output([rows, first, second], like: first)
        #expect(try elements(z) == [100, 101, 102, 3, 4, 5])
        let wide = try MovementCase(definition: Select.version2).output(
            [tensor([1, 0, 0] as [UInt8], [3], .bool), first, tensor([7] as [Int32], [], .int32)], like: first)
        #expect(try elements(wide) == [0, 7, 7, 3, 7, 7])
    }

    @Test func ranges() throws {
        func scalar<T: BitwiseCopyable>(_ value: T, _ type: TensorType) throws -> TensorInfo {
            try tensor([value], [], type)
        }
        func range(_ a: Int32, _ b: Int32, _ d: Int32) throws -> [Int32]? {
            try MovementCase(definition: RangeOperator.definition).output(
                [scalar(a, .int32), scalar(b, .int32), scalar(d, .int32)]
            ).constant?.array(of: Int32.self)
        }
        #expect(try range(2, 9, 3) == [2, 5, 8])
        #expect(try range(9, 2, -3) == [9, 6, 3])
        #expect(try range(4, 4, 1) == [])
        #expect(throws: Failure.self) { try range(1, 5, 0) }
        #expect(throws: Failure.self) { try range(1, 5, -1) }
        let floats = try MovementCase(definition: RangeOperator.definition).output(
            [scalar(Float(0), .float32), scalar(Float(1), .float32), scalar(Float(0.25), .float32)])
        #expect(floats.constant?.array(of: Float.self) == [0, 0.25, 0.5, 0.75])
        #expect(throws: Failure.self) {
            try MovementCase(definition: RangeOperator.definition).output(
                [scalar(Float(0), .float32), scalar(Float.nan, .float32), scalar(Float(0.25), .float32)])
        }
    }

    @Test func makesTensors() throws {
        let shape = try MovementCase(definition: Shape.definition).output(
            [counting([2, 3, 4])], like: TensorInfo(type: .int64, shape: []))
        #expect(try elements(shape) == [2, 3, 4])
        let rank = try MovementCase(definition: Shape.rank).output(
            [counting([2, 3, 4])], like: TensorInfo(type: .int32, shape: []))
        #expect(try elements(rank) == [3])
        let filled = try MovementCase(definition: Fill.definition).output(
            [indices([2, 2]), tensor([42] as [Int64], [], .int64)], like: TensorInfo(type: .int64, shape: []))
        #expect(try elements(filled) == [42, 42, 42, 42])
        #expect(throws: Failure.self) {
            try MovementCase(definition: Fill.definition).output(
                [indices([1 << 30, 1 << 30]), tensor([42] as [Int64], [], .int64)],
                like: TensorInfo(type: .int64, shape: []))
        }
        for (axis, expected) in [(-1, [0, 1, 0, 0, 0, 1, 0, 0, 0]), (0, [0, 0, 0, 1, 0, 0, 0, 1, 0])] {
            let one = try tensor([1] as [Int32], [], .int32)
            let zero = try tensor([0] as [Int32], [], .int32)
            let y = try MovementCase(definition: OneHot.definition, options: [0: .int(Int64(axis))]).output(
                [indices([1, 2, 9]), indices([3]), one, zero], like: one)
            #expect(try elements(y) == expected)
        }
    }

    @Test(arguments: [TensorType.float32, .int8, .int4]) func updatesSlices(type: TensorType) throws {
        let shape = [4, 4]
        for start in coordinates([7, 7]).map({ [$0[0] - 2, $0[1] - 2] }) {
            let y = try MovementCase(definition: DynamicUpdateSlice.definition).output(
                [counting(shape, type), counting([2, 3], type), indices(start)])
            let (row, column) = (min(max(start[0], 0), 2), min(max(start[1], 0), 1))
            let expected = coordinates(shape).map { c in
                c[0] >= row && c[0] < row + 2 && c[1] >= column && c[1] < column + 3
                    ? place([c[0] - row, c[1] - column], [2, 3]) : place(c, shape)
            }
            #expect(try elements(y) == expected, "\(start)")
        }
    }
}
