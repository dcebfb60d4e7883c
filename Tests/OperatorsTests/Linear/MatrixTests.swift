import Kernels
import Model
import Testing

@testable import Operators

@Suite struct MatrixTests {
    @Test(arguments: LinearScheme.all)
    func fullyConnected(scheme: LinearScheme) throws {
        let clamps: [FusedActivation] = [.none, .relu, .reluN1To1, .relu6]
        var seed: UInt64 = 0
        for (rows, depth, units) in [(1, 1, 1), (3, 7, 5), (2, 64, 33), (5, 16, 8), (1, 130, 2)] {
            for keepsDimensions in [false, true] {
                seed += 1
                let tensors = try LinearTensors(
                    scheme, input: [1, rows, depth], filter: [units, depth], channels: units, dimension: 0, seed: seed)
                let activation = clamps[Int(seed) % 4]
                var layer = LinearCase(
                    label: "FULLY_CONNECTED \(scheme), \(rows)x\(depth) -> \(units), keeps \(keepsDimensions)",
                    definition: FullyConnected.definition,
                    options: Options(
                        .fullyConnected,
                        [
                            .int(Int64(activation.rawValue)), .absent, .int(keepsDimensions ? 1 : 0),
                            .int(Int64(seed % 3 == 0 ? 1 : 0)),
                            scheme.activation == .int16 && scheme.bias == .int32 ? .int(2) : .absent,
                        ]), scheme: scheme, activation: activation, input: tensors.input, filter: tensors.filter,
                    bias: tensors.bias, outputShape: keepsDimensions ? [1, rows, units] : [rows, units],
                    channels: units,
                    products: { index in
                        (0..<depth).map { (index / units * depth + $0, index % units * depth + $0) }
                    }, arrange: { [$0, $1, $2] })
                layer.requantizesInDouble = true
                try layer.check()
            }
        }
    }

    /// Activations that are not clamps are for float results only.
    @Test func curvedActivations() throws {
        let x = TensorInfo(type: .float32, shape: [1, 1], constant: try Bytes(copying: [-0.5] as [Float]))
        let w = TensorInfo(type: .float32, shape: [1, 1], constant: try Bytes(copying: [2] as [Float]))
        let pool = try ThreadPool(threads: 1)
        for (code, expected) in [(4, -0.761594), (5, 1.0)] {
            let evaluation = Evaluation(
                FullyConnected.definition, options: Options(.fullyConnected, [.int(Int64(code))]), pool: pool,
                weights: try PackedWeightCache())
            let y = try #require(try evaluation.evaluate([x, w], outputs: [TensorInfo(type: .float32, shape: [])]))
            #expect(abs(y[0].numbers[0] - expected) < 1e-5)
        }
    }

    struct Blockwise {
        var rows = 3
        var depth = 8
        var units = 2
        var blockSize = 4
    }

    /// int4 weights with a scale for each block. The fast arithmetic has no kernel for blocks of 4 or 10.
    @Test(arguments: [
        Blockwise(), Blockwise(depth: 96, units: 37, blockSize: 32), Blockwise(rows: 20, depth: 768, blockSize: 384),
        Blockwise(rows: 1, depth: 40, units: 5, blockSize: 10), Blockwise(depth: 1024, units: 250, blockSize: 8),
    ])
    func blockwiseWeights(layer: Blockwise) throws {
        let (rows, depth, units) = (layer.rows, layer.depth, layer.units)
        var w = try TestTensor(.int4, [units, depth], seed: 4)
        let scales = (0..<units * depth / layer.blockSize).map { Float([0.5, 0.25, 1, 2][$0 % 4 ^ $0 / 4 % 2]) }
        w.info.blockScales = scales
        w.info.quantization?.details = .blockwise(scales: 7, zeroPoints: -1, blockSize: layer.blockSize)
        let x = try TestTensor(.float32, [rows, depth], span: 3, seed: 5)
        let bias = try TestTensor(.float32, [units], span: 3, seed: 6)
        let outputs = [TensorInfo(type: .float32, shape: [])]
        let relu = Int64(FusedActivation.relu.rawValue)
        for arithmetic in [Arithmetic.fast, .reference] {
            var evaluation = Evaluation(
                FullyConnected.definition, options: Options(.fullyConnected, [.int(relu)]),
                pool: try ThreadPool(threads: 2), weights: try PackedWeightCache())
            evaluation.arithmetic = arithmetic
            let y = try #require(try evaluation.evaluate([x.info, w.info, bias.info], outputs: outputs))
            for index in 0..<rows * units {
                let (row, unit) = index.quotientAndRemainder(dividingBy: units)
                var (sum, weights) = (bias.real[unit], 1e-3)
                for k in 0..<depth {
                    let at = unit * depth + k
                    let weight = w.stored[at] * Double(scales[at / layer.blockSize])
                    sum += x.real[row * depth + k] * weight
                    weights += abs(weight)
                }
                #expect(abs(y[0].numbers[index] - max(0, sum)) <= weights * 3 / 255, "\(layer), \(arithmetic)")
            }
            w.info.blockScales = [1]
            #expect(throws: Failure.self) { try evaluation.evaluate([x.info, w.info], outputs: outputs) }
            w.info.blockScales = scales
        }
    }

    static let matrixSchemes: [LinearScheme] = [
        LinearScheme(name: "float32", activation: .float32, weight: .float32),
        LinearScheme(name: "hybrid", activation: .float32, weight: .int8),
        LinearScheme(name: "hybrid per channel", activation: .float32, weight: .int8, perChannel: true),
        LinearScheme(
            name: "int8", activation: .int8, weight: .int8, inputZeroPoint: -3, weightZeroPoint: 4, outputZeroPoint: 9),
        LinearScheme(name: "int8 per channel", activation: .int8, weight: .int8, perChannel: true),
        LinearScheme(name: "int16 x int8", activation: .int16, weight: .int8, perChannel: true),
        LinearScheme(name: "int16", activation: .int16, weight: .int16),
    ]

    @Test(arguments: matrixSchemes)
    func batchMatmul(scheme: LinearScheme) throws {
        let batches: [(a: [Int], b: [Int], result: [Int])] = [
            ([], [], []), ([2], [2], [2]), ([3], [1], [3]), ([2, 1], [3], [2, 3]), ([2, 3], [2, 3], [2, 3]),
            ([], [2], [2]),
        ]
        var seed: UInt64 = 100
        for batch in batches {
            for (transposeA, transposeB) in [(false, false), (true, false), (false, true), (true, true)] {
                for size in [(rows: 3, columns: 4, depth: 5), (rows: 2, columns: 35, depth: 37)] {
                    seed += 1
                    try Self.matmul(scheme, batch, size, transposeA, transposeB, seed: seed).check()
                }
            }
        }
    }

    private static func matmul(
        _ scheme: LinearScheme, _ batch: (a: [Int], b: [Int], result: [Int]),
        _ size: (rows: Int, columns: Int, depth: Int), _ transposeA: Bool, _ transposeB: Bool, seed: UInt64
    ) throws -> LinearCase {
        let (rows, columns, depth) = size
        let bShape = batch.b + (transposeB ? [columns, depth] : [depth, columns])
        let tensors = try LinearTensors(
            scheme, input: batch.a + (transposeA ? [depth, rows] : [rows, depth]), filter: bShape,
            channels: columns, dimension: bShape.count - (transposeB ? 2 : 1), seed: seed)
        let size = rows * columns
        var layer = LinearCase(
            label: "BATCH_MATMUL \(scheme), \(batch), \(size), adj \(transposeA) \(transposeB)",
            definition: BatchMatmul.definition,
            options: Options(
                .batchMatMul,
                [.int(transposeA ? 1 : 0), .int(transposeB ? 1 : 0), .int(Int64(seed % 2))]),
            scheme: scheme, activation: .none, input: tensors.input, filter: tensors.filter, bias: nil,
            outputShape: batch.result + [rows, columns], channels: columns,
            products: { index in
                let (a, b) = (matrix(index / size, batch.result, batch.a), matrix(index / size, batch.result, batch.b))
                let (row, column) = (index % size / columns, index % columns)
                return (0..<depth).map { inner in
                    (
                        (a * rows * depth) + (transposeA ? inner * rows + row : row * depth + inner),
                        (b * columns * depth) + (transposeB ? column * depth + inner : inner * columns + column)
                    )
                }
            }, arrange: { a, b, _ in [a, b] })
        layer.multipliesScalesInFloat = true
        return layer
    }

    /// Matrix of an operand with leading dimensions `own` for matrix `index` of the result: NumPy broadcasting by
    /// coordinates.
    private static func matrix(_ index: Int, _ result: [Int], _ own: [Int]) -> Int {
        var coordinates: [Int] = []
        var rest = index
        for size in result.reversed() {
            coordinates.insert(rest % size, at: 0)
            rest /= size
        }
        return zip(own, coordinates.suffix(own.count)).reduce(0) { $0 * $1.0 + ($1.0 == 1 ? 0 : $1.1) }
    }

    /// int8 operands with an int32 result: bare sums.
    @Test func integerSums() throws {
        let a = try TestTensor(.int8, [2, 3], zeroPoint: 5, seed: 1)
        let b = try TestTensor(.int8, [3, 2], zeroPoint: 7, seed: 2)
        let evaluation = Evaluation(
            BatchMatmul.definition, options: Options(.batchMatMul), pool: try ThreadPool(threads: 1),
            weights: try PackedWeightCache())
        let c = try #require(
            try evaluation.checked([a.info, b.info], outputs: [TensorInfo(type: .int32, shape: [])]))
        var expected = [Double](repeating: 0, count: 4)
        for index in 0..<4 {
            for inner in 0..<3 { expected[index] += a.stored[index / 2 * 3 + inner] * b.stored[inner * 2 + index % 2] }
        }
        #expect(c[0].numbers == expected)
    }
}
