import Kernels
import Model
import Testing

@testable import Operators

/// One operator over constant inputs, outside any model.
struct MovementCase {
    let definition: OperatorDefinition
    var options: [Int: OptionValue] = [:]
    var arithmetic = Arithmetic.fast
    var threads = 1

    func outputs(_ inputs: [TensorInfo?], count: Int = 1, like output: TensorInfo? = nil) throws -> [TensorInfo] {
        var fields = Options.none
        for (field, value) in options { fields[field] = value }
        var evaluation = Evaluation(
            definition, options: fields, pool: try ThreadPool(threads: threads), weights: try PackedWeightCache())
        evaluation.arithmetic = arithmetic
        let type = output ?? TensorInfo(type: inputs[0]?.type ?? .float32, shape: [])
        return try #require(try evaluation.checked(inputs, outputs: [TensorInfo](repeating: type, count: count)))
    }

    func output(_ inputs: [TensorInfo?], like output: TensorInfo? = nil) throws -> TensorInfo {
        try outputs(inputs, like: output)[0]
    }
}

func tensor<T: BitwiseCopyable>(_ values: [T], _ shape: [Int], _ type: TensorType) throws -> TensorInfo {
    TensorInfo(type: type, shape: shape, constant: try Bytes(copying: values))
}

func indices(_ values: [Int]) throws -> TensorInfo { try tensor(values.map { Int32($0) }, [values.count], .int32) }

/// Elements 0, 1, 2, ... of a type of any size.
func counting(_ shape: [Int], _ type: TensorType = .int32) throws -> TensorInfo {
    let count = shape.reduce(1, *)
    switch type {
    case .int8, .uint8, .bool: return try tensor((0..<count).map { UInt8(truncatingIfNeeded: $0) }, shape, type)
    case .int16, .float16, .bfloat16: return try tensor((0..<count).map { UInt16($0) }, shape, type)
    case .int64, .float64, .complex64: return try tensor((0..<count).map { UInt64($0) }, shape, type)
    case .complex128: return try tensor((0..<2 * count).map { UInt64($0 / 2) }, shape, type)
    case .int4, .uint4:
        let nibbles = (0..<(count + 1) / 2 * 2).map { UInt8($0 % 16) }
        return try tensor((0..<nibbles.count / 2).map { nibbles[2 * $0] | nibbles[2 * $0 + 1] << 4 }, shape, type)
    default: return try tensor((0..<count).map { UInt32($0) }, shape, type)
    }
}

/// The elements of `counting` as they stand in a tensor, reduced to what the type can tell apart.
func elements(_ tensor: TensorInfo) throws -> [Int] {
    let data = try #require(tensor.constant)
    switch tensor.type {
    case .int8, .uint8, .bool: return data.array(of: UInt8.self).map { Int($0) }
    case .int16, .float16, .bfloat16: return data.array(of: UInt16.self).map { Int($0) }
    case .int64, .float64, .complex64: return data.array(of: UInt64.self).map { Int($0) }
    case .complex128:
        return data.array(of: UInt64.self).enumerated().filter { $0.offset % 2 == 0 }.map { Int($0.element) }
    case .int4, .uint4:
        let bytes = data.array(of: UInt8.self)
        return (0..<tensor.count).map { Int(bytes[$0 / 2] >> UInt8($0 % 2 * 4) & 15) }
    default: return data.array(of: UInt32.self).map { Int($0) }
    }
}

/// Every coordinate of a shape, in row-major order.
func coordinates(_ shape: [Int]) -> [[Int]] {
    shape.reduce([[]]) { list, count in list.flatMap { head in (0..<count).map { head + [$0] } } }
}

/// The row-major number of a coordinate.
func place(_ coordinate: [Int], _ shape: [Int]) -> Int {
    zip(coordinate, shape).reduce(0) { $0 * $1.1 + $1.0 }
}

func permutations(_ rank: Int) -> [[Int]] {
    guard rank > 0 else { return [[]] }
    return permutations(rank - 1).flatMap { shorter in
        (0..<rank).map { position in
            var longer = shorter
            longer.insert(rank - 1, at: position)
            return longer
        }
    }
}

@Suite struct MovementTests {
    static let types: [TensorType] = [
        .float32, .float16, .int8, .uint8, .int16, .int64, .bool, .complex64, .complex128, .int4,
    ]

    @Test(arguments: types) func transposeMovesEveryElement(type: TensorType) throws {
        for shape in [[5], [2, 3], [17, 33], [2, 3, 4], [2, 3, 1, 5], [2, 2, 3, 2, 2]] {
            let limit = type == .int4 ? 16 : type.bits == 8 ? 256 : 1 << 16
            for order in permutations(shape.count) {
                let target = order.map { shape[$0] }
                let y = try MovementCase(definition: Transpose.definition).output(
                    [try counting(shape, type), try indices(order)])
                let expected = coordinates(target).map { c in
                    var from = c
                    for (d, axis) in order.enumerated() { from[axis] = c[d] }
                    return place(from, shape) % limit
                }
                #expect(try elements(y) == expected, "\(shape) by \(order)")
            }
        }
    }

    @Test func largeTransposeOnThreads() throws {
        let shape = [3, 200, 301]
        let y = try MovementCase(definition: Transpose.definition, threads: 3).output(
            [try counting(shape), try indices([2, 0, 1])])
        let values = try elements(y)
        for c in [[0, 0, 0], [300, 2, 199], [17, 1, 42], [255, 0, 128]] {
            #expect(values[place(c, [301, 3, 200])] == place([c[1], c[2], c[0]], shape))
        }
        #expect(Set(values).count == 3 * 200 * 301)
    }

    @Test func reshapes() throws {
        let x = try counting([2, 3, 4])
        func shape(_ wanted: [Int]) throws -> [Int] {
            try MovementCase(definition: Reshape.definition).output([x, try indices(wanted)]).shape
        }
        #expect(try shape([6, -1]) == [6, 4])
        #expect(try shape([24]) == [24])
        #expect(throws: Failure.self) { try shape([5, -1]) }
        #expect(throws: Failure.self) { try shape([-1, -1]) }
        #expect(throws: Failure.self) { try shape([Int(Int32.max), Int(Int32.max), Int(Int32.max), 4]) }
        let scalar = try MovementCase(definition: Reshape.definition).output([try counting([1]), try indices([])])
        #expect(scalar.shape == [])
        let old = MovementCase(definition: Reshape.definition, options: [0: .ints([4, 6])])
        #expect(try old.output([x]).shape == [4, 6])
        let y = try MovementCase(definition: Squeeze.definition).output([try counting([1, 3, 1, 2])])
        #expect(y.shape == [3, 2])
        let some = MovementCase(definition: Squeeze.definition, options: [0: .ints([-2])])
        #expect(try some.output([try counting([1, 3, 1, 2])]).shape == [1, 3, 2])
        for (axis, expected) in [(0, [1, 3, 2]), (-1, [3, 2, 1]), (1, [3, 1, 2]), (2, [3, 2, 1])] {
            let y = try MovementCase(definition: ExpandDims.definition).output([counting([3, 2]), indices([axis])])
            #expect(y.shape == expected)
        }
    }

    @Test(arguments: [TensorType.float32, .int8, .int16, .int64, .bool]) func pads(type: TensorType) throws {
        for shape in [[3], [2, 3], [2, 1, 3]] {
            for paddings in coordinates([Int](repeating: 3, count: 2 * shape.count)) {
                let before = shape.indices.map { paddings[2 * $0] }
                let target: [Int] = shape.indices.map { (d: Int) -> Int in
                    paddings[2 * d] + shape[d] + paddings[2 * d + 1]
                }
                let x = try counting(shape, type)
                let expected = coordinates(target).map { c -> Int in
                    let from = zip(c, before).map { $0 - $1 }
                    return zip(from, shape).allSatisfy { $0 >= 0 && $0 < $1 } ? place(from, shape) : 7
                }
                var value = try counting([8], type)
                let bytes = type.bits! / 8
                value.constant = value.constant?.slice(offset: 7 * bytes, count: bytes)
                value.shape = []
                let y = try MovementCase(definition: Pad.version2).output([x, try indices(paddings), value])
                #expect(try elements(y) == expected, "\(shape) padded by \(paddings)")
                if type == .int8 || type == .int16 {
                    var like = TensorInfo(type: type, shape: [])
                    like.quantization = Quantization(scale: 1, zeroPoint: 7)
                    let y = try MovementCase(definition: Pad.definition).output([x, try indices(paddings)], like: like)
                    #expect(try elements(y) == expected, "\(shape) padded by \(paddings)")
                }
            }
        }
    }

    /// Walks from border to border, turning at the mirror.
    private func mirrored(_ index: Int, _ count: Int, _ mode: Int) -> Int {
        let period = mode == 0 ? 2 * count - 2 : 2 * count
        let i = (index + 2 * period) % period
        return i < count ? i : mode == 0 ? period - i : period - 1 - i
    }

    @Test func mirrorPads() throws {
        let shape = [3, 4]
        for mode in 0...1 {
            for paddings in coordinates([3, 3, 3, 3]) {
                let operation = MovementCase(definition: MirrorPad.definition, options: [0: .int(Int64(mode))])
                let y = try operation.output([try counting(shape), try indices(paddings)])
                let target: [Int] = [paddings[0] + 3 + paddings[1], paddings[2] + 4 + paddings[3]]
                let expected = coordinates(target).map { (c: [Int]) -> Int in
                    4 * mirrored(c[0] - paddings[0], 3, mode) + mirrored(c[1] - paddings[2], 4, mode)
                }
                #expect(try elements(y) == expected, "mode \(mode), paddings \(paddings)")
            }
        }
        let tooWide = MovementCase(definition: MirrorPad.definition)
        #expect(throws: Failure.self) { try tooWide.output([counting([3, 4]), indices([3, 0, 0, 0])]) }
    }

    @Test(arguments: types) func concatenatesSplitsPacks(type: TensorType) throws {
        let limit = type == .int4 ? 16 : 1 << 16
        for axis in -3..<3 {
            let dimension = axis < 0 ? axis + 3 : axis
            var shapes = [[2, 3, 4], [2, 3, 4], [2, 3, 4]]
            for i in 0..<3 { shapes[i][dimension] = [1, 3, 2][i] }
            let parts = try shapes.map { try counting($0, type) }
            let whole = try MovementCase(
                definition: Concatenation.definition, options: [0: .int(Int64(axis)), 1: .int(0)]
            ).output(parts)
            let expected = coordinates(whole.shape).map { c -> Int in
                var c = c
                var part = 0
                while c[dimension] >= shapes[part][dimension] {
                    c[dimension] -= shapes[part][dimension]
                    part += 1
                }
                return place(c, shapes[part]) % limit
            }
            #expect(try elements(whole) == expected, "axis \(axis)")
            let back = try MovementCase(definition: Split.sized).outputs(
                [whole, try indices([1, -1, 2]), try indices([axis])], count: 3)
            for i in 0..<3 { #expect(try elements(back[i]) == (try elements(parts[i])), "axis \(axis)") }
        }
        for axis in -4..<4 {
            let x = try counting([2, 3, 4], type)
            let packed = try MovementCase(definition: Pack.definition, options: [1: .int(Int64(axis))]).output([
                x, x, x,
            ])
            let back = try MovementCase(
                definition: Unpack.definition, options: [0: .int(3), 1: .int(Int64(axis))]
            ).outputs([packed], count: 3)
            let dimension = axis < 0 ? axis + 4 : axis
            #expect(packed.shape[dimension] == 3)
            for part in back { #expect(try elements(part) == (try elements(x)), "axis \(axis)") }
            let halves = try MovementCase(definition: Split.definition, options: [0: .int(3)]).outputs(
                [try indices([axis]), packed], count: 3, like: TensorInfo(type: type, shape: []))
            for part in halves { #expect(try elements(part) == (try elements(x)), "axis \(axis)") }
        }
    }

    @Test func stridedSlices() throws {
        let shape = [4, 3]
        for begin in -5...4 {
            for end in -5...5 {
                for step in [-3, -2, -1, 1, 2, 3] {
                    for masks in 0..<4 {
                        let operation = MovementCase(
                            definition: StridedSlice.definition,
                            options: [0: .int(Int64(masks & 1)), 1: .int(Int64(masks >> 1))])
                        let y = try operation.output(
                            [try counting(shape), indices([begin]), indices([end]), indices([step])])
                        let first: Int? = masks & 1 != 0 ? nil : begin
                        let last: Int? = masks >> 1 != 0 ? nil : end
                        let rows: [Int] = pythonSlice(4, first, last, step)
                        let expected: [Int] = rows.flatMap { (r: Int) -> [Int] in [3 * r, 3 * r + 1, 3 * r + 2] }
                        #expect(y.shape == [rows.count, 3])
                        #expect(try elements(y) == expected, "[\(begin):\(end):\(step)] with masks \(masks)")
                    }
                }
            }
        }
    }

    /// The indices of Python's x[begin:end:step].
    private func pythonSlice(_ count: Int, _ begin: Int?, _ end: Int?, _ step: Int) -> [Int] {
        let first = begin.map { $0 < 0 ? $0 + count : $0 } ?? (step > 0 ? 0 : count - 1)
        let last = end.map { $0 < 0 ? $0 + count : $0 } ?? (step > 0 ? count : -1)
        let limits = (end != nil && last < 0 && step < 0) ? -1 : last
        return stride(from: step > 0 ? max(first, 0) : min(first, count - 1), to: limits, by: step).filter {
            $0 >= 0 && $0 < count
        }
    }

    @Test func stridedSliceMasks() throws {
        func shape(_ begin: [Int], _ end: [Int], _ masks: [Int: OptionValue]) throws -> [Int] {
            try MovementCase(definition: StridedSlice.definition, options: masks).output(
                [
                    try counting([2, 3, 4]), try indices(begin), try indices(end),
                    try indices(begin.map { _ in 1 }),
                ]
            ).shape
        }
        #expect(try shape([0, 1], [0, 3], [2: .int(1)]) == [2, 3, 2])
        #expect(try shape([0, 0, 1], [0, 0, 2], [2: .int(2), 3: .int(1)]) == [1, 2, 3, 1])
        #expect(try shape([-1, 0], [0, 2], [4: .int(1)]) == [2, 4])
        #expect(try shape([1, 1], [1, 2], [5: .int(1)]) == [1, 2, 4])
        #expect(throws: Failure.self) { try shape([2], [3], [4: .int(1)]) }
        #expect(throws: Failure.self) { try shape([0, 0, 0, 0], [1, 1, 1, 1], [:]) }
        let y = try MovementCase(definition: Slice.definition).output(
            [counting([3, 4]), indices([1, 1]), indices([-1, 2])])
        #expect(try elements(y) == [5, 6, 9, 10])
        #expect(throws: Failure.self) {
            try MovementCase(definition: Slice.definition).output([
                counting([3, 4]), indices([1, 1]), indices([3, 2]),
            ])
        }
    }

    @Test func unknownPaddingsLeaveTheShapeOpen() throws {
        var paddings = try indices([1, 1])
        paddings.constant = nil
        paddings.shape = [1, 2]
        let inference = ShapeInference(
            name: "PAD", version: 1, options: .none, inputs: [try counting([3]), paddings], outputCount: 1)
        #expect(try Pad.definition.shapes(inference) == nil)
    }
}
