import Kernels
import Model
import Testing

@testable import Operators

/// Comparisons, and functions of whole numbers, against Swift's own operators.
@Suite struct CombinationTests {
    let pool: ThreadPool
    let weights: PackedWeightCache

    init() throws {
        pool = try ThreadPool(threads: 2)
        weights = try PackedWeightCache()
    }

    /// Equal shapes, single numbers, runs that are short, longer than a row of the kernel, and cut for the threads.
    static let shapes: [(a: [Int], b: [Int])] = [
        ([1], [1]), ([67], [67]), ([67], []), ([], [67]), ([33, 3], [3]), ([3], [33, 3]), ([5, 1], [5, 7]),
        ([5000], [1]), ([1], [5000]), ([2, 9001], [2, 9001]), ([17_001], [1]),
    ]

    func run(
        _ definition: OperatorDefinition, _ inputs: [TensorInfo], _ type: TensorType, _ arithmetic: Arithmetic = .fast,
        activation: Int64? = nil
    ) throws -> TensorInfo {
        let options = activation.map { [OptionValue.int($0)] } ?? []
        var evaluation = Evaluation(
            definition, options: Options(definition.code.optionTable, options), pool: pool, weights: weights)
        evaluation.arithmetic = arithmetic
        return try #require(try evaluation.checked(inputs, outputs: [TensorInfo(type: type, shape: [])]))[0]
    }

    /// All of `values` meet.
    func operands<T: BitwiseCopyable>(
        _ values: [T], _ shape: (a: [Int], b: [Int]), _ type: TensorType
    ) throws -> (tensors: [TensorInfo], pairs: [(T, T)]) {
        let (countA, countB) = (shape.a.reduce(1, *), shape.b.reduce(1, *))
        let a = (0..<countA).map { values[($0 * 7 + 1) % values.count] }
        let b = (0..<countB).map { values[($0 / values.count + $0 * 3 + 2) % values.count] }
        let result = try #require(broadcast(shape.a, shape.b))
        let pairs = coordinates(result).map {
            (a[ElementwiseTests.place($0, in: shape.a)], b[ElementwiseTests.place($0, in: shape.b)])
        }
        return ([try tensor(a, shape.a, type), try tensor(b, shape.b, type)], pairs)
    }

    static let comparisons: [Comparison] = [.equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual]

    func compares<T: Comparable & BitwiseCopyable>(_ values: [T], _ type: TensorType) throws {
        let functions: [(T, T) -> Bool] = [(==), (!=), (<), (<=), (>), (>=)]
        for shape in Self.shapes {
            let (tensors, pairs) = try operands(values, shape, type)
            for (comparison, holds) in zip(Self.comparisons, functions) {
                for arithmetic in [Arithmetic.fast, .reference] {
                    let y = try run(comparison.definition, tensors, .bool, arithmetic)
                    #expect(y.numbers == pairs.map { holds($0, $1) ? 1 : 0 }, "\(comparison) of \(type), \(shape)")
                }
            }
        }
    }

    @Test func compares() throws {
        try compares([-.infinity, -1.5, -0.0, 0, 1e-40, 2, 3, .infinity, .nan] as [Float], .float32)
        try compares([.min, -2, -1, 0, 1, 7, .max] as [Int16], .int16)
        try compares([.min, -2, -1, 0, 1, 1 << 24, (1 << 24) + 1, .max] as [Int32], .int32)
        try compares([.min, -1, 0, 1, 1 << 32, (1 << 32) + 1, -(1 << 32), .max] as [Int64], .int64)
    }

    @Test func truths() throws {
        let cases: [(OperatorDefinition, (Bool, Bool) -> Bool)] = [
            (Comparison.equal.definition, (==)), (Comparison.notEqual.definition, (!=)),
            (Logical.and, { $0 && $1 }), (Logical.or, { $0 || $1 }),
        ]
        for shape in Self.shapes {
            let (tensors, pairs) = try operands([0, 1, 2, 128, 255] as [UInt8], shape, .bool)
            for (definition, holds) in cases {
                let y = try run(definition, tensors, .bool)
                #expect(y.numbers == pairs.map { holds($0 != 0, $1 != 0) ? 1 : 0 }, "\(definition.code) \(shape)")
            }
            let y = try run(Logical.not, [tensors[0]], .bool)
            #expect(y.numbers == tensors[0].numbers.map { $0 == 0 ? 1 : 0 })
        }
    }

    /// Numbers of different scales meet on a common one: scales so small that neighbours become equal are among them.
    func comparesQuantized<T: QuantizedInteger>(_ type: TensorType, _ first: T, zero: Int32) throws {
        let values = Set((0..<40).map { first &+ T(truncatingIfNeeded: $0 * ($0 + 1) / 2 % 256) }).sorted()
        let functions: [(Int32, Int32) -> Bool] = [(==), (!=), (<), (<=), (>), (>=)]
        for scales in [(0.5, 0.5), (0.003, 0.002), (0.7, 31)] as [(Float, Float)] {
            let factors = (QuantizedMultiplier(Double(scales.0)), QuantizedMultiplier(Double(scales.1)))
            for shape in Self.shapes {
                var (tensors, pairs) = try operands(values, shape, type)
                tensors[0].quantization = Quantization(scale: scales.0, zeroPoint: Int(zero))
                tensors[1].quantization = Quantization(scale: scales.1, zeroPoint: 0)
                let scaled = pairs.map {
                    (factors.0.scale((Int32($0) - zero) << 8), factors.1.scale(Int32($1) << 8))
                }
                for (comparison, holds) in zip(Self.comparisons, functions) {
                    let y = try run(comparison.definition, tensors, .bool)
                    #expect(y.numbers == scaled.map { holds($0, $1) ? 1 : 0 }, "\(comparison) of \(type), \(shape)")
                }
            }
        }
    }

    @Test func comparesQuantized() throws {
        try comparesQuantized(.int8, -128 as Int8, zero: -3)
        try comparesQuantized(.uint8, 0 as UInt8, zero: 125)
        try comparesQuantized(.int16, -300 as Int16, zero: 0)
    }

    func computes<T: FixedWidthInteger & BitwiseCopyable>(_ values: [T], _ type: TensorType) throws {
        var cases: [(OperatorDefinition, (T, T) -> T)] = [
            (Addition.add, (&+)), (Addition.subtract, (&-)), (Multiply.definition, (&*)),
        ]
        if type != .int16 { cases += [(Extremes.minimum, { min($0, $1) }), (Extremes.maximum, { max($0, $1) })] }
        if type == .int32 { cases.append((SquaredDifference.definition, { ($0 &- $1) &* ($0 &- $1) })) }
        for shape in Self.shapes {
            let (tensors, pairs) = try operands(values, shape, type)
            for (definition, function) in cases {
                let y = try run(definition, tensors, type)
                #expect(y.numbers == pairs.map { Double(function($0, $1)) }, "\(definition.code) of \(type), \(shape)")
            }
            for (activation, low, high) in [(1, 0, T.max), (2, -1, 1), (3, 0, 6)] as [(Int64, T, T)] {
                let y = try run(Addition.add, tensors, type, activation: activation)
                #expect(y.numbers == pairs.map { Double(min(high, max(low, $0 &+ $1))) }, "\(activation) of \(type)")
            }
        }
    }

    @Test func computesWholeNumbers() throws {
        try computes([.min, -300, -2, -1, 0, 1, 3, 255, .max] as [Int16], .int16)
        try computes([.min, -70_000, -2, -1, 0, 1, 3, 65_537, .max] as [Int32], .int32)
        try computes([.min, -(1 << 33), -2, -1, 0, 1, 3, 1 << 31, .max] as [Int64], .int64)
    }

    /// Short runs, side by side; long ones; rows; images that threads share.
    static let reductions: [(shape: [Int], axes: [Int])] = [
        ([3, 5001], [1]), ([130, 33], [1]), ([65, 1], [1]), ([2, 70, 9], [1]), ([2, 3, 4, 130], [1, 3]),
        ([1, 29, 31, 20], [1, 2]), ([700, 30], [0, 1]),
    ]

    func reduces<T: FixedWidthInteger & BitwiseCopyable>(_ type: TensorType, _ zero: T) throws {
        let cases: [(OperatorDefinition, ([T]) -> T)] = [
            (Sums.sum, { $0.reduce(0, &+) }), (ReduceProduct.definition, { $0.reduce(1, &*) }),
            (Sums.mean, { T(truncatingIfNeeded: $0.reduce(0) { $0 &+ Int64($1) } / Int64($0.count)) }),
            (ReduceExtreme.maximum, { $0.max()! }), (ReduceExtreme.minimum, { $0.min()! }),
        ]
        for (shape, axes) in Self.reductions {
            let values = (0..<shape.reduce(1, *)).map {
                T(truncatingIfNeeded: $0 &* 0x1e37_79b9_7f4a_7c15 >> ($0 % 60))
            }
            let x = try tensor(values, shape, type)
            var groups = [[Int]: [T]]()
            for (place, value) in zip(coordinates(shape), values) {
                groups[place.indices.map { axes.contains($0) ? 0 : place[$0] }, default: []].append(value)
            }
            let sorted = groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { $0.value }
            for (definition, function) in cases {
                let y = try run(definition, [x, try indices(axes)], type)
                #expect(y.numbers == sorted.map { Double(function($0)) }, "\(definition.code) of \(type), \(shape)")
            }
        }
    }

    @Test func reducesWholeNumbers() throws {
        try reduces(.int32, 0 as Int32)
        try reduces(.int64, 0 as Int64)
    }

    func accumulates<T: Numeric & BitwiseCopyable>(
        _ type: TensorType, _ values: [T], _ add: (T, T) -> T, _ double: (T) -> Double
    ) throws {
        for (shape, axis) in [([2, 50, 19], 1), ([600, 31], 1), ([3, 9, 2500], 1), ([41, 7, 3], 0), ([5], 0)] {
            let numbers = (0..<shape.reduce(1, *)).map { values[$0 * 7 % values.count] }
            let inner = shape[(axis + 1)...].reduce(1, *)
            for (exclusive, reverse) in [(false, false), (false, true), (true, false), (true, true)] {
                let options: [OptionValue] = [.int(exclusive ? 1 : 0), .int(reverse ? 1 : 0)]
                let evaluation = Evaluation(
                    CumulativeSum.definition, options: Options(CumulativeSum.definition.code.optionTable, options),
                    pool: pool, weights: weights)
                let inputs = [try tensor(numbers, shape, type), try tensor([Int32(axis)], [], .int32)]
                let y = try #require(try evaluation.checked(inputs, outputs: [TensorInfo(type: type, shape: [])]))[0]
                var sums = [T](repeating: 0, count: numbers.count)
                var expected = numbers
                for step in 0..<shape[axis] {
                    for place in numbers.indices
                    where place / inner % shape[axis] == (reverse ? shape[axis] - 1 - step : step) {
                        let line = place / inner / shape[axis] * inner + place % inner
                        let before = sums[line]
                        sums[line] = add(before, numbers[place])
                        expected[place] = exclusive ? before : sums[line]
                    }
                }
                #expect(y.numbers == expected.map(double), "\(type) \(shape) \(exclusive) \(reverse)")
            }
        }
    }

    /// In their order: floats too have the bits of one addition after the other.
    @Test func accumulates() throws {
        try accumulates(.float32, [0.1, -0.7, 1e7, 3, -1e-3, 2.5, -1e7] as [Float], { $0 + $1 }) { Double($0) }
        try accumulates(.int32, [3, .max, -7, .min, 1000] as [Int32], { $0 &+ $1 }) { Double($0) }
        try accumulates(.int64, [3, .max, -7, .min, 1 << 33] as [Int64], { $0 &+ $1 }) { Double($0) }
    }

    @Test func addsAllInputs() throws {
        func whole(_ input: Int, _ place: Int) -> Int32 { Int32(truncatingIfNeeded: place * 3 + input * 1_500_000_000) }
        func real(_ input: Int, _ place: Int) -> Float { Float(place) * 0.3 + Float(input) * 7 }
        let places = 0..<1001
        for count in 1...4 {
            let integers = try (0..<count).map { input in
                try tensor(places.map { whole(input, $0) }, [7, 143], .int32)
            }
            let reals = try (0..<count).map { input in try tensor(places.map { real(input, $0) }, [1001], .float32) }
            var (totals, sums) = (places.map { whole(0, $0) }, places.map { real(0, $0) })
            for input in 1..<max(1, count) {
                for place in places {
                    totals[place] &+= whole(input, place)
                    sums[place] += real(input, place)
                }
            }
            #expect(try run(AddN.definition, integers, .int32).numbers == totals.map { Double($0) })
            #expect(try run(AddN.definition, reals, .float32).numbers == sums.map { Double($0) })
        }
    }
}
