import Model
import Testing

@testable import Compression

@Suite struct PruningTests {
    /// Two convolutions, a depthwise one, and a product.
    private func model() throws -> Model {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 8, filter: 3)
        let d = try builder.depthwise(a, "d")
        let b = try builder.convolution(d, "b", channels: 10)
        let shape = try builder.integers("shape", [1, 160])
        let r = builder.op(.reshape, [b, shape], "r", [1, 160])
        builder.output(try builder.product(r, "p", inputs: 160, outputs: 7))
        return builder.model
    }

    private func options(_ change: (inout PruningOptions) -> Void) -> PruningOptions {
        var options = PruningOptions()
        options.includesFirst = true
        change(&options)
        return options
    }

    @Test(arguments: [0.1, 0.5, 0.75, 0.9, 0.99]) func theTargetIsMetExactly(_ sparsity: Double) throws {
        let pruned = try model().pruned(options { $0.sparsity = sparsity })
        for (name, count) in [("a/w", 216), ("b/w", 80), ("p/w", 1120)] {
            #expect(zeros(pruned.values(name)) == Int((Double(count) * sparsity).rounded()))
        }
        #expect(try pruned.values("d/w") == model().values("d/w"))
        try pruned.validate()
    }

    @Test func firstConvolutionsAndDepthwiseFiltersAreLeftAloneUnlessNamed() throws {
        let pruned = try model().pruned(PruningOptions())
        #expect(try pruned.values("a/w") == model().values("a/w"))
        #expect(zeros(pruned.values("b/w")) == 40)
        let both = try model().pruned(
            options { ($0.includesFirst, $0.rules) = (false, [LayerTarget("a/w", 0.5), LayerTarget("d/w", 0.5)]) })
        #expect(zeros(both.values("a/w")) == 108)
        #expect(try zeros(both.values("d/w")) == model().values("d/w").count / 2)
    }

    @Test func theSmallestGoAndOfEqualOnesTheFirst() {
        let matrix = WeightMatrix(rows: 2, columns: 4)
        let mask = pruningMask([3, -1, 1, 1, -1, 2, 0, 5], matrix, .element, sparsity: 0.5)
        #expect(mask == [true, false, false, false, true, true, false, true])
    }

    @Test func thresholdsAreThoseOfASort() {
        for count in [1, 17, 100, 999, 1000] {
            let scores = noise(1000, seed: 3).map { ($0 * 50).rounded().magnitude }
            var threshold = Threshold(count: count, of: [Array(scores[..<400]), Array(scores[400...])])
            let kept = threshold.kept(Array(scores[..<400])) + threshold.kept(Array(scores[400...]))
            let order = scores.indices.sorted { scores[$0] == scores[$1] ? $0 < $1 : scores[$0] < scores[$1] }
            #expect(scores.indices.filter { !kept[$0] } == order.prefix(count).sorted())
        }
    }

    @Test func allTogetherMeetAGlobalTarget() throws {
        let pruned = try model().pruned(options { ($0.sparsity, $0.isGlobal) = (0.6, true) })
        let counts = ["a/w", "b/w", "p/w"].map { zeros(pruned.values($0)) }
        #expect(counts.reduce(0, +) == Int((1416 * 0.6).rounded()))
        for name in ["a/w", "b/w", "p/w"] {
            let before = try model().values(name)
            let pairs = zip(before, pruned.values(name)).map { ($0.magnitude, $1 != 0) }
            let largestPruned = pairs.filter { !$0.1 }.map(\.0).max() ?? 0
            #expect(pairs.filter(\.1).map(\.0).min()! >= largestPruned)
        }
    }

    /// 1 of 1 + 4 + 9, 4 of 4 + 9, 9 of 9.
    @Test func scoresOfLayersDoNotDependOnTheirScale() {
        #expect(layerAdaptiveScores([2, 1, 3]) == [4.0 / 13, 1.0 / 14, 1])
        #expect(layerAdaptiveScores([2, 2, 0]) == [0.5, 0.5, 0] && layerAdaptiveScores([0, 0]) == [0, 0])
        let weights = noise(300)
        let scores = layerAdaptiveScores(weights.map(\.magnitude))
        #expect(layerAdaptiveScores(weights.map { $0.magnitude * 1024 }) == scores)
        let masks = commonMasks(
            [WeightMatrix(rows: 10, columns: 30), WeightMatrix(rows: 10, columns: 30)],
            [weights, weights.map { $0 * 0x1p-20 }], .element, sparsity: 0.5)
        #expect(masks[0] == masks[1] && masks[0].filter { $0 }.count == 150)
    }

    @Test func blocksGoTogether() {
        // Average magnitudes 2.5, 1, 3, and of the short block 2.
        let weights: [Float] = [1, 2, 3, 4, 1, 1, 1, 1, 0, 12, 0, 0, 2]
        let matrix = WeightMatrix(rows: 1, columns: 13)
        let average = SparsityPattern.block(rows: 1, columns: 4, pooling: .average)
        #expect(
            pruningMask(weights, matrix, average, sparsity: 0.5).map { $0 ? 1 : 0 } == [
                1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0,
            ])
        let maximum = SparsityPattern.block(rows: 1, columns: 4, pooling: .maximum)
        #expect(
            pruningMask([4, 0, 0, 0, 3, 3, 3, 3], WeightMatrix(rows: 1, columns: 8), maximum, sparsity: 0.5)
                == [true, true, true, true, false, false, false, false])
        // A transposed matrix has its columns apart.
        let square = SparsityPattern.block(rows: 2, columns: 2, pooling: .average)
        let transposed = WeightMatrix(rows: 4, columns: 2, isTransposed: true)
        #expect(
            pruningMask([9, 9, 1, 1, 9, 9, 1, 1], transposed, square, sparsity: 0.5)
                == [true, true, false, false, true, true, false, false])
    }

    @Test(arguments: [(4, 4), (1, 16), (1, 4)]) func blockTargetsAreMetInBlocks(_ rows: Int, _ columns: Int) throws {
        let pattern = SparsityPattern.block(rows: rows, columns: columns, pooling: .average)
        let pruned = try model().pruned(options { ($0.sparsity, $0.pattern) = (0.75, pattern) })
        let values = pruned.values("p/w")
        let matrix = WeightMatrix(rows: 7, columns: 160)
        var empty = 0
        for row in stride(from: 0, to: 7, by: rows) {
            for column in stride(from: 0, to: 160, by: columns) {
                let block = (row..<min(7, row + rows)).flatMap { r in (column..<column + columns).map { (r, $0) } }
                let zero = block.filter { values[matrix.index($0.0, $0.1)] == 0 }.count
                #expect(zero == 0 || zero == block.count)
                empty += zero > 0 ? 1 : 0
            }
        }
        #expect(empty == prunedCount(pattern.unitCount(matrix), 0.75))
    }

    @Test func twoOfEveryFourAreZero() throws {
        let pruned = try model().pruned(options { $0.pattern = .zerosOfEvery(zeros: 2, size: 4) })
        for name in ["b/w", "p/w"] {
            let (before, after) = (try model().values(name), pruned.values(name))
            for start in stride(from: 0, to: after.count, by: 4) {
                #expect(zeros(Array(after[start..<start + 4])) == 2)
                let least = before[start..<start + 4].map(\.magnitude).sorted()[1]
                #expect(after[start..<start + 4].allSatisfy { $0 == 0 || $0.magnitude >= least })
            }
        }
    }

    @Test func zerosThatWereThereCountAndStay() throws {
        let once = try model().pruned(options { $0.sparsity = 0.5 })
        let twice = try once.pruned(options { $0.sparsity = 0.8 })
        let again = try twice.pruned(options { $0.sparsity = 0.3 })
        #expect(again == twice)
        #expect(zip(once.values("p/w"), twice.values("p/w")).allSatisfy { $0 != 0 || $1 == 0 })
        try Preservation(once, clusters: false).check(twice)
        #expect(throws: Failure.self) { try Preservation(twice, clusters: false).check(once) }
    }

    @Test func layersHaveTargetsOfTheirOwn() throws {
        let rules = [LayerTarget("*", 0.25), LayerTarget("?/w", 0.5), LayerTarget("b", 0), LayerTarget("d/*", 0.75)]
        let pruned = try model().pruned(options { ($0.rules, $0.includesDepthwise) = (rules, true) })
        #expect(zeros(pruned.values("a/w")) == 108 && zeros(pruned.values("p/w")) == 560)
        #expect(zeros(pruned.values("b/w")) == 0 && zeros(pruned.values("d/w")) == 54)
    }

    @Test func forLatencyMeansWhatRunsFaster() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 32])
        let a = try builder.convolution(x, "a", channels: 48)
        let b = try builder.convolution(a, "b", channels: 4, filter: 3)
        let flat = builder.op(.reshape, [b, try builder.integers("shape", [1, 64])], "flat", [1, 64])
        let c = try builder.product(flat, "c", inputs: 64, outputs: 16)
        builder.output(try builder.product(c, "d", inputs: 16, outputs: 8))
        var remarks: [String] = []
        let pruned = try builder.model.pruned(
            options { ($0.forLatency, $0.sparsity, $0.log) = (true, 0.25, { remarks.append($0) }) })
        #expect(zeros(pruned.values("b/w")) == 0 && zeros(pruned.values("d/w")) == 0)
        for (name, columns) in [("a/w", 32), ("c/w", 64)] {
            let values = pruned.values(name)
            #expect(zeros(values) == values.count / 4)
            for column in 0..<columns {
                for block in stride(from: 0, to: values.count / columns, by: 16) {
                    let zeros = (block..<block + 16).filter { values[$0 * columns + column] == 0 }.count
                    #expect(zeros == 0 || zeros == 16)
                }
            }
        }
        #expect(remarks.contains { $0.contains("half") } && remarks.contains { $0.contains("first convolution") })
    }

    @Test func schedules() throws {
        let polynomial = PruningSchedule.polynomial(initial: 0.2, target: 0.8, begin: 100, end: 1000, frequency: 100)
        #expect(abs(polynomial.sparsity(at: 0) - 0.2) < 1e-12 && abs(polynomial.sparsity(at: 100) - 0.2) < 1e-12)
        #expect(abs(polynomial.sparsity(at: 550) - (0.8 - 0.6 * 0.125)) < 1e-12)
        #expect(polynomial.sparsity(at: 1000) == 0.8 && polynomial.sparsity(at: 9999) == 0.8)
        #expect(!polynomial.prunes(at: 99) && polynomial.prunes(at: 100) && !polynomial.prunes(at: 150))
        #expect(polynomial.prunes(at: 1000) && !polynomial.prunes(at: 1100))
        let odd = PruningSchedule.polynomial(initial: 0, target: 0.5, begin: 0, end: 55, frequency: 10)
        #expect(odd.prunes(at: 50) && odd.prunes(at: 55) && !odd.prunes(at: 60))
        let constant = PruningSchedule.constant(0.5, begin: 3)
        #expect(constant.sparsity(at: 3) == 0.5 && !constant.prunes(at: 2) && constant.prunes(at: 103))
    }

    @Test func wrongOptionsAreRefused() throws {
        let source = try model()
        for change: (inout PruningOptions) -> Void in [
            { $0.sparsity = 1 }, { $0.sparsity = -0.1 }, { $0.sparsity = .nan }, { $0.rules = [LayerTarget("*", 2)] },
            { $0.pattern = .block(rows: 0, columns: 4, pooling: .average) },
            { $0.pattern = .zerosOfEvery(zeros: 4, size: 4) }, { $0.rules = [LayerTarget("*", 0)] },
        ] {
            #expect(throws: Failure.self) { try source.pruned(options(change)) }
        }
        var builder = GraphBuilder()
        let x = builder.input([1, 2])
        let w = try builder.constant("w", [1, 2], [.nan, 1])
        builder.output(builder.op(.fullyConnected, [x, w], "y", [1, 1], options: Options(.fullyConnected)))
        #expect(throws: Failure.self) { try builder.model.pruned(PruningOptions()) }
    }

    @Test func sparseStorageGivesTheSame() throws {
        let pruned = try model().pruned(options { $0.sparsity = 0.9 })
        let sparse = try pruned.withSparseStorage(from: 0.5)
        try sparse.validate()
        // All but the depthwise filter, which has no zeros.
        let codes = sparse.subgraphs[0].operators.map { sparse.operatorCodes[$0.opcode].builtin }
        #expect(codes.filter { $0 == .densify }.count == 3)
        #expect(try sparse.serialized().count < pruned.serialized().count - 3000)
        let again = try Model.read(try sparse.serialized(), origin: "again").pruned(options { $0.sparsity = 0.1 })
        #expect(again.values("p/w_dense") == pruned.values("p/w"))
        #expect(try again.evaluate(noise(48)) == pruned.evaluate(noise(48)))
        let index = sparse.subgraphs[0].tensors.firstIndex { $0.name == "p/w" }!
        let statistics = WeightStatistics(WeightValues(sparse, 0, index)!)
        #expect(statistics.zeros == 1008 && statistics.elements == 1120 && sparse.isWeight(0, index))
        #expect(throws: Failure.self) { try pruned.withSparseStorage(from: 2) }
    }

    @Test func statisticsAndHistograms() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4])
        let w = try builder.constant("w", [2, 4], [0, 0, 1, 2, -1, -2, 2, 1])
        builder.output(builder.op(.fullyConnected, [x, w], "y", [1, 2], options: Options(.fullyConnected)))
        var model = builder.model
        let floats = WeightStatistics(WeightValues(model, 0, w)!)
        #expect(floats.zeros == 2 && floats.distinct == 5 && floats.least == -2 && floats.greatest == 2)
        #expect(floats.mean == 0.375 && abs(floats.deviation - (15.0 / 8 - 0.140625).squareRoot()) < 1e-12)
        #expect(floats.histogram(WeightValues(model, 0, w)!.real, bins: 4) == [1, 1, 2, 4])
        model.subgraphs[0].tensors[w].type = .int8
        model.subgraphs[0].tensors[w].quantization = Quantization(scales: [0.5, 2], dimension: 0)
        model.buffers[1] = Buffer(try Bytes(copying: [0, 1, 2, 3, 4, 5, 0, -6] as [Int8]))
        let values = WeightValues(model, 0, w)!
        #expect(values.real == [0, 0.5, 1, 1.5, 8, 10, 0, -12] && WeightStatistics(values).distinct == 7)
        #expect(WeightValues(model, 0, x) == nil && model.isWeight(0, w) && !model.isWeight(0, x))
    }
}
