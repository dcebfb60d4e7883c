import ArgumentParser
import CEdgeOpt
import FoundationEssentials

struct Optimize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes every smaller form of a model and shows what each is worth; or finds the first good enough.",
        discussion: """
            Writes to the folder -o the model as it is, pruned, clustered, and both, each in every --scheme, with a table \
            of accuracy, size, deflated size, different weights, zeros and latency (also as summary.json).

            With a wish (--min-accuracy, --max-size, --max-deflated-size, --max-latency) it walks down a list of levels, from what costs \
            least accuracy to what costs most, and writes the first model that meets the wish to the file -o.

            Accuracy is that of a classifier on --test-data with --labels: a .npy array or one number a line.
            """)

    @Argument(help: "A float .tflite file.") var model: String
    @Option(name: .shortAndLong, help: "The folder to write to; with a wish the file.") var output: String
    @Option(help: "Share of zeros of pruned models.") var sparsity = 0.5
    @Option(help: "Different values of clustered models.") var clusters: Int32 = 32
    @Option(help: "Remove this share of each layer's channels first.") var channels: Double?
    @Option(help: "Who shares the values of clustered models, as for cluster.") var granularity = Granularity
        .scaledChannels
    @Option(help: "float32, float16, dynamic_range, int8 or int16x8; several times for several.")
    var scheme: [LeafScheme] = [.float32, .int8]
    @Option(help: ArgumentHelp("Samples of real input, as for quantize.", valueName: "path")) var calibration:
        [String] = []
    @Option(help: "At most this many of them.") var maxSamples = 200
    @Option(help: ArgumentHelp("Inputs to measure accuracy with.", valueName: "path")) var testData: [String] = []
    @Option(help: ArgumentHelp("Their labels.", valueName: "path")) var labels: String?
    @Option(help: "Wish: at least this accuracy, from 0 to 1.") var minAccuracy: Double?
    @Option(help: "Wish: at most so many bytes.") var maxSize: Int?
    @Option(help: "Wish: at most so many bytes deflated.") var maxDeflatedSize: Int?
    @Option(help: "Wish: at most so many milliseconds.") var maxLatency: Double?
    @Option(help: "Threads; 0: one for each core.") var threads: Int32 = 1
    @OptionGroup(title: "Images") var images: ImagePreprocessing

    private var hasWish: Bool { minAccuracy != nil || maxSize != nil || maxDeflatedSize != nil || maxLatency != nil }

    func validate() throws {
        guard testData.isEmpty == (labels == nil) else {
            throw ValidationError("--test-data and --labels go together")
        }
        if minAccuracy != nil && labels == nil {
            throw ValidationError("--min-accuracy needs --test-data and --labels")
        }
        if !hasWish && calibration.isEmpty && scheme.contains(where: \.needsSamples) {
            throw ValidationError("int8 and int16x8 need --calibration (or choose others with --scheme)")
        }
    }

    func run() throws {
        var source = try Model(path: model)
        if let channels {
            var options = eo_channel_pruning_options()
            (options.ratio, options.multiple) = (channels, 1)
            source = try source.withoutChannels(options, [])
        }
        hasWish ? try walkDown(source) : try growTree(source)
    }

    private func growTree(_ source: Model) throws {
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        var leaves: [Leaf] = []
        for scheme in scheme {
            for stage in [(nil, nil), (sparsity, nil), (nil, clusters), (sparsity, clusters)] as [(Double?, Int32?)] {
                let (leaf, made) = try leaf(Level(scheme, stage.0, stage.1), source)
                try made.save(to: "\(output)/\(leaf.name).tflite")
                leaves.append(leaf)
            }
        }
        Leaf.print(leaves)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try writeFile("\(output)/summary.json", Array(try encoder.encode(leaves)))
    }

    private func walkDown(_ source: Model) throws {
        var tried: [Leaf] = []
        for level in Level.all where !level.scheme.needsSamples || !calibration.isEmpty {
            let (leaf, made) = try leaf(level, source)
            tried.append(leaf)
            guard meets(leaf) else { continue }
            try made.save(to: output)
            Leaf.print(tried)
            print("\(output): \(leaf.name)")
            return
        }
        Leaf.print(tried)
        throw Failure("no level meets the wish")
    }

    private func meets(_ leaf: Leaf) -> Bool {
        leaf.size <= maxSize ?? .max && leaf.deflatedSize <= maxDeflatedSize ?? .max
            && leaf.latency <= maxLatency ?? .infinity && (leaf.accuracy ?? 1) >= minAccuracy ?? 0
    }

    private func leaf(_ level: Level, _ source: Model) throws -> (Leaf, Model) {
        var made = source
        if let sparsity = level.sparsity {
            var options = eo_pruning_options()
            options.sparsity = sparsity
            made = try made.pruned(options, [])
        }
        if let clusters = level.clusters {
            var options = eo_clustering_options()
            (options.clusters, options.iterations, options.start) = (clusters, 100, EO_CENTROIDS_KMEANS_PLUS_PLUS)
            (options.preserve_zeros, options.int8_grid, options.granularity) = (true, true, granularity.value)
            made = try made.clustered(options, [])
        }
        if let scheme = level.scheme.value { made = try quantized(made, scheme, level.scheme.needsSamples) }
        let weights = try made.weights()
        let elements = weights.reduce(0) { $0 + $1.elements }
        let zeros = weights.reduce(0) { $0 + $1.zeros }
        let sizes = try made.withSerialized { ($0.count, edgeopt_cli.deflatedSize($0)) }
        let leaf = Leaf(
            name: level.name, accuracy: try labels.map { try measuredAccuracy(made, $0) }, size: sizes.0,
            deflatedSize: sizes.1, distinct: weights.map(\.distinct).max() ?? 0,
            sparsity: Double(zeros) / Double(max(1, elements)), latency: try measuredLatency(made))
        return (leaf, made)
    }

    private func quantized(_ model: Model, _ scheme: eo_scheme, _ needsSamples: Bool) throws -> Model {
        var options = eo_quantizer_options()
        options.struct_size = MemoryLayout<eo_quantizer_options>.size
        options.scheme = scheme
        (options.moving_average, options.min_weight_elements, options.num_threads) = (0.9, 1024, threads)
        let quantizer = try Quantizer(model, options)
        if needsSamples {
            let samples = try Samples(calibration, for: try quantizer.inputs(), images: images)
            for index in 0..<min(samples.count, maxSamples) { try quantizer.calibrate(try samples[index]) }
        }
        return try quantizer.finish()
    }

    private func measuredAccuracy(_ model: Model, _ labels: String) throws -> Double {
        let interpreter = try Interpreter(model, .init(threads: threads))
        let samples = try Samples(testData, for: try interpreter.inputs(), images: images)
        let numbers =
            labels.hasSuffix(".npy")
            ? try NumPyFile.read(labels).values().map { Int($0) } : try readLines(labels).compactMap { Int($0) }
        guard numbers.count == samples.count else {
            throw Failure("\(labels): \(numbers.count) labels for \(samples.count) samples")
        }
        var right = 0
        for (index, number) in numbers.enumerated() {
            for (place, bytes) in try samples[index].enumerated() { try interpreter.setInput(place, bytes) }
            try interpreter.invoke()
            let scores = try NumericArray(interpreter.output(0)).values()
            if scores.indices.max(by: { scores[$0] < scores[$1] }) == number { right += 1 }
        }
        return Double(right) / Double(max(1, numbers.count))
    }

    /// Milliseconds of the fastest of several runs.
    private func measuredLatency(_ model: Model) throws -> Double {
        let interpreter = try Interpreter(model, .init(threads: threads))
        var best = UInt64.max
        for _ in 0..<10 {
            let start = now()
            try interpreter.invoke()
            best = min(best, now() - start)
        }
        return Double(best) / 1e6
    }
}

/// What one smaller form of the model is worth.
private struct Leaf: Encodable {
    let name: String
    let accuracy: Double?
    let size: Int
    let deflatedSize: Int
    let distinct: Int
    let sparsity: Double
    /// Milliseconds.
    let latency: Double

    static func print(_ leaves: [Leaf]) {
        var table = Table("model", "accuracy", "bytes", "deflated", "distinct", "zeros", "ms")
        for leaf in leaves {
            table.add(
                leaf.name, leaf.accuracy.map { format("%.4f", $0) } ?? "", "\(leaf.size)", "\(leaf.deflatedSize)",
                "\(leaf.distinct)", format("%.1f %%", 100 * leaf.sparsity), format("%.3f", leaf.latency))
        }
        table.print()
    }
}

/// One step down: how to quantize, how far to prune and to cluster.
private struct Level {
    let scheme: LeafScheme
    let sparsity: Double?
    let clusters: Int32?

    init(_ scheme: LeafScheme, _ sparsity: Double? = nil, _ clusters: Int32? = nil) {
        (self.scheme, self.sparsity, self.clusters) = (scheme, sparsity, clusters)
    }

    /// From what costs least accuracy to what costs most.
    static let all = [
        Level(.float32), Level(.float16), Level(.dynamicRange), Level(.int8), Level(.int8, 0.3), Level(.int8, nil, 32),
        Level(.int8, 0.5), Level(.int8, 0.5, 32), Level(.int8, 0.6, 16), Level(.int8, 0.75, 16), Level(.int8, 0.8, 8),
        Level(.int8, 0.9, 8),
    ]

    var name: String {
        let words = [
            sparsity.map { "pruned" + format("%g", 100 * $0) }, clusters.map { "clustered\($0)" }, scheme.rawValue,
        ]
        return words.compactMap { $0 }.joined(separator: "_")
    }
}

enum LeafScheme: String, ExpressibleByArgument, CaseIterable {
    case float32, float16
    case dynamicRange = "dynamic_range"
    case int8, int16x8

    var needsSamples: Bool { self == .int8 || self == .int16x8 }

    /// nil: not quantized.
    var value: eo_scheme? { Scheme(rawValue: rawValue)?.value }
}
