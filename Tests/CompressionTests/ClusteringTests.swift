import Model
import Quantization
import Testing

@testable import Compression

@Suite struct ClusteringTests {
    private func method(_ count: Int, _ change: (inout ClusteringMethod) -> Void = { _ in }) -> ClusteringMethod {
        var method = ClusteringMethod()
        method.count = count
        method.isOnInt8Grid = false
        change(&method)
        return method
    }

    @Test func scaledChannelsShareNumbersOfInt8() throws {
        let matrix = WeightMatrix(rows: 40, columns: 30)
        let weights = noise(1200).enumerated().map { $1 * pow2(Float($0 / 30 + 1)) * 0.01 }
        var grid = method(16)
        grid.isOnInt8Grid = true
        let clustered = clusteredValues(weights, matrix, grid, .scaledChannels)
        let form = ClusterForm(clustered, matrix)
        #expect(form.granularity == .scaledChannels && form.count <= 16)
        var numbers = Set<Float>()
        for row in 0..<40 {
            let values = clustered[row * 30..<row * 30 + 30]
            let largest = values.map(\.magnitude).max()!
            #expect(largest == weights[row * 30..<row * 30 + 30].map(\.magnitude).max()!)
            for value in values {
                let number = value / (largest / 127)
                #expect(abs(number - number.rounded()) < 1e-3)
                numbers.insert(number.rounded())
            }
        }
        #expect(numbers.count <= 16)
    }

    private func pow2(_ x: Float) -> Float { Float(pow2(x) as Double) }

    private func model() throws -> Model {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 8, filter: 3)
        let d = try builder.depthwise(a, "d")
        let b = try builder.convolution(d, "b", channels: 64)
        builder.output(try builder.convolution(b, "c", channels: 64))
        return builder.model
    }

    @Test(arguments: [ClusteringMethod.Start.linear, .random, .density, .kMeansPlusPlus])
    func everyStartGivesAtMostThatManyValues(_ start: ClusteringMethod.Start) {
        let values = noise(5000)
        let centroids = method(16) { $0.start = start }.centroids(of: values)
        #expect(centroids.count <= 16 && centroids.count > 8 && centroids == centroids.sorted())
        let error = values.reduce(0.0) { $0 + pow2($1 - centroids[nearest($1, centroids)]) } / 5000
        // Uniform numbers in 16 equal parts have a variance of (2/16)^2 / 12.
        #expect(error < 0.0013 * 1.6)
    }

    private func pow2(_ x: Float) -> Double { Double(x) * Double(x) }

    @Test func clearClustersAreFound() {
        let values: [Float] = [1, 1.1, 0.9, 5, 5.2, 4.8, -3, -3.1, -2.9]
        for start in [ClusteringMethod.Start.linear, .density, .kMeansPlusPlus] {
            let centroids = method(3) { $0.start = start }.centroids(of: values)
            #expect(zip(centroids, [-3, 1, 5] as [Float]).allSatisfy { abs($0 - $1) < 1e-6 })
        }
    }

    @Test func nearestIsNearest() {
        let centroids: [Float] = [-2, -0.5, 0, 1, 7]
        for value in noise(500, seed: 9).map({ $0 * 9 }) {
            let expected = centroids.indices.min { abs(centroids[$0] - value) < abs(centroids[$1] - value) }!
            #expect(nearest(value, centroids) == expected)
        }
        #expect(nearest(-1.25, centroids) == 0)
    }

    @Test func sortingIsSorting() {
        var values = noise(3000, seed: 5).map { $0 * 1e20 } + [0, -0.0, 1, -1, .leastNonzeroMagnitude, -.infinity]
        let expected = values.sorted()
        sortAscending(&values)
        #expect(values == expected)
        #expect(distinctCount([1, 2, 1, 0, -0.0, -2]) == 4)
    }

    @Test func zeroStaysZeroAndIsOneOfTheValues() {
        var weights = noise(400)
        for index in stride(from: 0, to: 400, by: 3) { weights[index] = 0 }
        let matrix = WeightMatrix(rows: 4, columns: 100)
        for granularity in [ClusterGranularity.tensor, .channel, .scaledChannels] {
            let clustered = clusteredValues(weights, matrix, method(8), granularity)
            #expect(zip(weights, clustered).allSatisfy { ($0 == 0) == ($1 == 0) })
            #expect(ClusterForm(clustered, matrix).count <= 8 * (granularity == .channel ? 4 : 1))
        }
        let channels = clusteredValues(weights, matrix, method(8), .channel)
        #expect((0..<4).allSatisfy { distinctCount(Array(channels[$0 * 100..<$0 * 100 + 100])) <= 8 })
    }

    @Test func theSameSeedGivesTheSame() {
        let values = noise(5000)
        let first = method(16).centroids(of: values)
        #expect(method(16).centroids(of: values) == first)
        #expect(method(16) { $0.seed = 1 }.centroids(of: values) != first)
    }

    @Test func centroidsFitInt8() {
        let values = noise(5000)
        var grid = method(32)
        grid.isOnInt8Grid = true
        let centroids = grid.centroids(of: values)
        let step = centroids.map(\.magnitude).max()! / 127
        #expect(centroids.allSatisfy { abs($0 / step - ($0 / step).rounded()) < 1e-4 })
        #expect(grid.centroids(of: centroids) == centroids)
    }

    @Test func firstAndDepthwiseLayersAreLeftAlone() throws {
        var options = ClusteringOptions()
        options.method.count = 8
        options.granularity = .tensor
        let clustered = try model().clustered(options)
        #expect(distinctCount(clustered.values("b/w")) == 8 && distinctCount(clustered.values("c/w")) == 8)
        #expect(try clustered.values("a/w") == model().values("a/w"))
        #expect(try clustered.values("d/w") == model().values("d/w"))
        options.rules = [LayerTarget("a", 4), LayerTarget("c*", 0)]
        options.includesDepthwise = true
        let other = try model().clustered(options)
        #expect(distinctCount(other.values("a/w")) == 4 && distinctCount(other.values("d/w")) == 8)
        #expect(try other.values("c/w") == model().values("c/w"))
        try other.validate()
    }

    @Test func channelsOfADepthwiseFilterLieApart() {
        let matrix = WeightMatrix(rows: 2, columns: 4, isTransposed: true)
        let weights: [Float] = [1, 10, 1.1, 20, 1.2, 10.5, 5, 20.5]
        let clustered = clusteredValues(weights, matrix, method(2), .channel)
        #expect(clustered.indices.filter { $0 % 2 == 0 }.map { clustered[$0] } == [1.1, 1.1, 1.1, 5])
        #expect(clustered.indices.filter { $0 % 2 == 1 }.map { clustered[$0] } == [10.25, 20.25, 10.25, 20.25])
    }

    @Test func clusteringAfterPruningKeepsBoth() throws {
        let pruned = try model().pruned(PruningOptions())
        var options = ClusteringOptions()
        (options.method.count, options.granularity) = (16, .tensor)
        let both = try pruned.clustered(options)
        try Preservation(pruned, clusters: false).check(both)
        #expect(zeros(both.values("c/w")) == 2048 && distinctCount(both.values("c/w")) <= 16)
        try Preservation(both).check(both)
        #expect(throws: Failure.self) { try Preservation(both).check(pruned) }
    }

    @Test func integersAreAskedForZerosAndClustersToo() throws {
        var dynamic = QuantizerOptions()
        dynamic.scheme = .dynamicRange
        func quantized(_ model: Model) throws -> Model { try Quantizer(model, dynamic).finish() }

        let pruned = try model().pruned(PruningOptions())
        let both = try pruned.clustered(ClusteringOptions())
        for form in [pruned, both] { try Preservation(form).check(try quantized(form)) }
        let ofZeros = try Preservation(both, clusters: false)
        let ofClusters = try Preservation(both, zeros: false)
        #expect(throws: Failure.self) { try ofZeros.check(try quantized(try model())) }
        #expect(throws: Failure.self) { try ofClusters.check(try quantized(pruned)) }
        // With one scale for all channels numbers of scaled channels cannot stay few.
        let ofIntegers = try Preservation(both, zeros: false) { $0 == "c/w" }
        var other = try quantized(pruned)
        #expect(throws: Failure.self) { try ofIntegers.check(other) }
        for index in other.subgraphs[0].tensors.indices where other.subgraphs[0].tensors[index].quantization != nil {
            other.subgraphs[0].tensors[index].quantization = Quantization(scale: 0.1, zeroPoint: 0)
        }
        try ofIntegers.check(other)
        try Preservation(both) { $0 == "nothing" }.check(try quantized(try model()))
    }

    @Test func wrongOptionsAreRefused() throws {
        let source = try model()
        for change: (inout ClusteringOptions) -> Void in [
            { $0.method.count = 1 }, { $0.method.count = 5000 }, { $0.method.iterations = -1 },
            { $0.rules = [LayerTarget("*", 1)] }, { $0.rules = [LayerTarget("*", .nan)] },
            { $0.rules = [LayerTarget("*", 0)] },
        ] {
            var options = ClusteringOptions()
            change(&options)
            #expect(throws: Failure.self) { try source.clustered(options) }
        }
    }
}
