import Foundation
import Kernels
import Model
import Testing

@testable import Operators

@Suite struct ReductionTests {
    let pool: ThreadPool
    let weights: PackedWeightCache

    init() throws {
        pool = try ThreadPool(threads: 2)
        weights = try PackedWeightCache()
    }

    func run(
        _ definition: OperatorDefinition, _ inputs: [TensorInfo], _ output: TensorInfo, options: [OptionValue] = [],
        _ arithmetic: Arithmetic = .fast
    ) throws -> TensorInfo {
        var evaluation = Evaluation(
            definition, options: Options(definition.code.optionTable, options), pool: pool, weights: weights)
        evaluation.arithmetic = arithmetic
        return try #require(try evaluation.checked(inputs, outputs: [output]))[0]
    }

    static let reductions: [(OperatorDefinition, @Sendable ([Double]) -> Double)] = [
        (Sums.mean, { $0.reduce(0, +) / Double($0.count) }), (Sums.sum, { $0.reduce(0, +) }),
        (ReduceExtreme.maximum, { $0.max()! }), (ReduceExtreme.minimum, { $0.min()! }),
        (ReduceProduct.definition, { $0.reduce(1, *) }),
    ]

    /// Every set of axes of some shapes, with and without the reduced dimensions kept, axes from both ends.
    @Test(arguments: reductions.indices) func reduceAllAxes(_ index: Int) throws {
        let (definition, formula) = Self.reductions[index]
        for shape in [[5], [2, 3], [3, 1, 4], [2, 3, 2, 5], [1, 7, 7, 19], [2, 1, 3, 2, 3]] {
            let count = shape.reduce(1, *)
            let values = (0..<count).map { Double(($0 * 37) % 19 - 9) / 8 }
            let x = try tensor(values.map { Float($0) }, shape, .float32)
            for set in 0..<(1 << shape.count) {
                let axes = shape.indices.filter { set >> $0 & 1 == 1 }
                var groups: [[Int]: [Double]] = [:]
                for (place, value) in zip(coordinates(shape), values) {
                    groups[place.indices.map { axes.contains($0) ? 0 : place[$0] }, default: []].append(value)
                }
                let expected = groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { formula($0.value) }
                for keep in [0, 1] {
                    let signed = axes.map { keep == 1 ? $0 - shape.count : $0 }
                    let y = try run(
                        definition, [x, try indices(signed)], TensorInfo(type: .float32, shape: []),
                        options: [.int(Int64(keep))])
                    let left = shape.indices.compactMap { axes.contains($0) ? (keep == 1 ? 1 : nil) : shape[$0] }
                    #expect(y.shape == left)
                    let largest = expected.reduce(1) { max($0, abs($1)) }
                    #expect(
                        y.numbers.count == expected.count
                            && zip(y.numbers, expected).allSatisfy { abs($0 - $1) <= 1e-5 * largest },
                        "\(definition.code.name) \(shape) \(axes)")
                }
            }
        }
    }

    /// Threads share the rows of a large image; their number does not show.
    @Test(arguments: [TensorType.float32, .int8, .uint8, .int16]) func imagesInParts(_ type: TensorType) throws {
        let (pixels, channels) = (29 * 31, 20)
        let values = (0..<pixels * channels).map { Double(($0 * 37) % 1013) / 506 - 1 }
        let isFloat = type == .float32
        let (x, reals) =
            try isFloat
            ? (tensor(values.map { Float($0) }, [1, 29, 31, channels], type), values)
            : TensorInfo.quantized(values, [1, 29, 31, channels], type, covering: -1...1.1)
        for (definition, formula) in Self.reductions.dropLast() where isFloat || definition.code == .mean {
            let output = TensorInfo(type: type, shape: [], quantization: x.quantization)
            let results = try (1...3).map { threads in
                let evaluation = Evaluation(
                    definition, options: Options(definition.code.optionTable, [.int(0)]),
                    pool: try ThreadPool(threads: threads), weights: weights)
                return try #require(try evaluation.checked([x, try indices([1, 2])], outputs: [output]))[0]
            }
            #expect(results.allSatisfy { $0.constant == results[0].constant }, "\(definition.code.name)")
            for (channel, result) in results[0].numbers.enumerated() {
                let real = formula((0..<pixels).map { reals[$0 * channels + channel] })
                let difference = isFloat ? result - real : result - Double(x.zeroPoint) - real / Double(x.scale)
                #expect(abs(difference) <= (isFloat ? 1e-4 : 0.502), "\(definition.code.name) \(channel)")
            }
        }
    }

    /// Runs longer than a block, of odd lengths, rows, and images that threads share; bytes of any value for booleans.
    @Test(arguments: [TensorType.int8, .uint8, .int16, .int32, .bool]) func extremesOfIntegers(_ type: TensorType)
        throws
    {
        let cases: [([Int], [Int])] = [
            ([3, 5001], [1]), ([2, 70, 9], [1]), ([2, 3, 4, 130], [1, 3]), ([1, 29, 31, 20], [1, 2]), ([4, 1], [1]),
            ([2, 0, 3], [1]),
        ]
        for (shape, axes) in cases {
            let count = shape.reduce(1, *)
            let numbers = (0..<count).map { $0 &* 2_654_435_761 >> ($0 % 7) }
            var x =
                switch type {
                case .int16: try tensor(numbers.map { Int16(truncatingIfNeeded: $0) }, shape, type)
                case .int32: try tensor(numbers.map { Int32(truncatingIfNeeded: $0) }, shape, type)
                case .bool: try tensor(numbers.map { UInt8($0 % 1013 == 7 ? 0 : $0 % 3 * 2) }, shape, type)
                default: try tensor(numbers.map { UInt8(truncatingIfNeeded: $0) }, shape, type)
                }
            if type != .int32, type != .bool { x.quantization = Quantization(scale: 0.5, zeroPoint: 0) }
            var groups = [[Int]: [Double]]()
            for (place, value) in zip(coordinates(shape), x.numbers) {
                groups[place.indices.map { axes.contains($0) ? 0 : place[$0] }, default: []].append(value)
            }
            let sorted = groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { $0.value }
            let isLogical = type == .bool
            let output = TensorInfo(type: type, shape: [], quantization: x.quantization)
            let largest = try run(
                isLogical ? ReduceLogical.any : ReduceExtreme.maximum, [x, try indices(axes)], output,
                options: [.int(0)])
            let least = try run(
                isLogical ? ReduceLogical.all : ReduceExtreme.minimum, [x, try indices(axes)], output,
                options: [.int(0)])
            guard count > 0 else {
                let (low, high): (Double, Double) =
                    switch type {
                    case .int8: (-128, 127)
                    case .uint8: (0, 255)
                    case .int16: (-32768, 32767)
                    case .int32: (-0x1p31, 0x1p31 - 1)
                    default: (0, 1)
                    }
                #expect(largest.numbers == [Double](repeating: low, count: 6))
                #expect(least.numbers == [Double](repeating: high, count: 6))
                continue
            }
            #expect(largest.numbers == sorted.map { isLogical ? min(1, $0.max()!) : $0.max()! }, "\(type) \(shape)")
            #expect(least.numbers == sorted.map { isLogical ? min(1, $0.min()!) : $0.min()! }, "\(type) \(shape)")
        }
    }

    @Test(arguments: [TensorType.int8, .uint8, .int16]) func quantizedSums(_ type: TensorType) throws {
        let shape = [2, 5, 4, 9]
        let values = (0..<360).map { Double(($0 * 37) % 101) / 25 - 1 }
        let (x, reals) = try TensorInfo.quantized(values, shape, type, covering: -1...3)
        for (definition, scale) in [(Sums.mean, 1.0 / 20), (Sums.sum, 1.0)] {
            let range = definition.code == .mean ? -1.0...3 : -20.0...60
            let output = TensorInfo(type: type, shape: [], quantization: TensorInfo.quantization(type, covering: range))
            for (arithmetic, steps) in [(Arithmetic.fast, 0.502), (.reference, 1.0)] {
                let y = try run(definition, [x, try indices([1, 2])], output, options: [.int(0)], arithmetic)
                for (index, result) in y.numbers.enumerated() {
                    let (batch, channel) = (index / 9, index % 9)
                    let real = (0..<20).reduce(0.0) { $0 + reals[(batch * 20 + $1) * 9 + channel] } * scale
                    let difference = abs(result - Double(y.zeroPoint) - real / Double(y.scale))
                    #expect(difference <= steps, "\(definition.code.name) \(type) \(arithmetic): \(result), \(real)")
                }
            }
        }
    }

    static let rows: [(OperatorDefinition, ClosedRange<Double>, [TensorType], @Sendable ([Double]) -> [Double])] = [
        (
            Softmax.definition, 0...1, [.float32, .int8, .uint8, .int16],
            { row in
                let sum = row.reduce(0) { $0 + exp($1) }
                return row.map { exp($0) / sum }
            }
        ),
        (
            LogSoftmax.definition, -16...0, [.float32, .int8, .uint8],
            { row in
                let logarithm = log(row.reduce(0) { $0 + exp($1) })
                return row.map { $0 - logarithm }
            }
        ),
        (
            L2Normalization.definition, -1...1, [.float32, .int8, .uint8],
            { row in
                let length = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
                return row.map { $0 / length }
            }
        ),
    ]

    @Test(arguments: rows.indices, [1, 2, 3, 16, 17, 100, 1001]) func rowFunctions(_ index: Int, _ depth: Int) throws {
        let (definition, range, types, formula) = Self.rows[index]
        let values = (0..<(3 * depth)).map { Double(($0 * 53) % 127) / 20 - 3 }
        for type in types {
            let (x, reals) = try TensorInfo.quantized(values, [3, depth], type, covering: -3...3.5)
            var output = TensorInfo(type: type, shape: [])
            if type != .float32 { output.quantization = Self.fixedOutput(definition, type) }
            for arithmetic in [Arithmetic.fast, .reference] {
                let y = try run(definition, [x], output, options: [.float(1)], arithmetic)
                let expected = (0..<3).flatMap { row in formula(Array(reals[(row * depth)..<((row + 1) * depth)])) }
                let limits = FusedActivation.range(of: type)
                for (result, real) in zip(y.numbers, expected) {
                    guard let limits else {
                        let unit = max(abs(range.lowerBound), abs(range.upperBound))
                        #expect(abs(result - real) <= 2e-6 * unit, "\(definition.code.name) \(depth)")
                        continue
                    }
                    let stored = real / Double(y.scale) + Double(y.zeroPoint)
                    let saturated = min(Double(limits.maximum), max(Double(limits.minimum), stored))
                    let steps = arithmetic == .fast ? 0.51 : (type == .int16 ? 40 : 1.01)
                    #expect(abs(result - saturated) <= steps, "\(definition.code.name) \(type) \(arithmetic) \(depth)")
                }
            }
        }
    }

    static func fixedOutput(_ definition: OperatorDefinition, _ type: TensorType) -> Quantization? {
        guard case .fixed(let int8, let int16) = definition.quantization.output else { return nil }
        switch type {
        case .int8: return Quantization(scale: int8.scale, zeroPoint: int8.zeroPoint)
        case .uint8: return Quantization(scale: int8.scale, zeroPoint: int8.zeroPoint + 128)
        default: return Quantization(scale: int16, zeroPoint: 0)
        }
    }

    @Test(arguments: [TensorType.int8, .uint8, .int16]) func fixedOutputs(_ type: TensorType) throws {
        let values = (0..<200).map { Double($0) / 20 - 5 }
        let (x, reals) = try TensorInfo.quantized(values, [200], type, covering: -5...5)
        for (definition, formula) in [
            (Logistic.definition, { 1 / (1 + exp(-$0)) } as (Double) -> Double), (Tanh.definition, { tanh($0) }),
        ] {
            let output = TensorInfo(type: type, shape: [], quantization: Self.fixedOutput(definition, type))
            let limits = FusedActivation.range(of: type)!
            for (arithmetic, steps) in [(Arithmetic.fast, 0.502), (.reference, type == .int16 ? 8 : 1)] {
                let y = try run(definition, [x], output, arithmetic)
                for (result, real) in zip(y.numbers, reals) {
                    let stored = formula(real) / Double(y.scale) + Double(y.zeroPoint)
                    let saturated = min(Double(limits.maximum), max(Double(limits.minimum), stored))
                    #expect(abs(result - saturated) <= steps, "\(definition.code.name) \(type) \(arithmetic)")
                }
            }
        }
    }

    @Test func cumulativeSums() throws {
        let shape = [2, 3, 4]
        let x = try counting(shape)
        for axis in -3..<3 {
            for (exclusive, reverse) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let y = try run(
                    CumulativeSum.definition, [x, try tensor([Int32(axis)], [], .int32)],
                    TensorInfo(type: .int32, shape: []), options: [.int(Int64(exclusive)), .int(Int64(reverse))])
                let along = axis < 0 ? axis + 3 : axis
                for coordinate in coordinates(shape) {
                    let sum = (0..<shape[along]).filter { index in
                        let distance = reverse == 1 ? coordinate[along] - index : index - coordinate[along]
                        return exclusive == 1 ? distance < 0 : distance <= 0
                    }.reduce(0) { sum, index in
                        var other = coordinate
                        other[along] = index
                        return sum + place(other, shape)
                    }
                    #expect(Int(y.numbers[place(coordinate, shape)]) == sum)
                }
            }
        }
    }

    @Test func refusals() throws {
        let x = try tensor([1, 2, 3, 4] as [Float], [2, 2], .float32)
        let output = TensorInfo(type: .float32, shape: [])
        for (definition, _) in Self.reductions {
            for axes in [[2], [-3], [0, 7], [Int(Int32.min)]] {
                #expect(throws: Failure.self) { try run(definition, [x, try indices(axes)], output) }
            }
            #expect(throws: Failure.self) { try run(definition, [x], output) }
        }
        #expect(throws: Failure.self) { try run(CumulativeSum.definition, [x, try indices([2])], output) }
        #expect(throws: Failure.self) { try run(CumulativeSum.definition, [x, try indices([])], output) }
        let scalar = try tensor([1] as [Float], [], .float32)
        #expect(try run(Sums.mean, [scalar, try indices([0])], output).numbers == [1])
        #expect(throws: Failure.self) { try run(Softmax.definition, [scalar], output) }
        // Nothing to reduce: sums are zero, a mean is not a number.
        let empty = try tensor([] as [Float], [0, 3], .float32)
        #expect(try run(Sums.sum, [empty, try indices([0])], output).numbers == [0, 0, 0])
        #expect(try run(Sums.mean, [empty, try indices([0])], output).numbers.allSatisfy { $0.isNaN })
        #expect(try run(Softmax.definition, [empty], output).numbers == [])
    }
}
