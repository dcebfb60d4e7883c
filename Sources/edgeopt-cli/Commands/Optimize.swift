import ArgumentParser
import CEdgeOpt
import FoundationEssentials

struct Optimize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes every smaller form of a model and shows what each is worth; or finds the first good enough.",
        discussion: """
            Writes to the folder -o the model as it is, pruned, clustered, and both, each in every --scheme, with a table \
            of accuracy, size, deflated size, different weights, zeros and latency (also as summary.json, with \
            --histograms those of the weights; --plot draws them).

            With --train-data each of them is trained (--epochs and so on), and for the integer schemes there is one \
            more: trained to be quantized (qat). --train-data and --train-labels are as for finetune.

            With a wish (--min-accuracy, --max-size, --max-deflated-size, --max-latency) it walks down a list of levels, \
            from what costs least accuracy to what costs most, and writes the first model that meets the wish to the \
            file -o.

            Accuracy is that of a classifier on --test-data with --labels: as for finetune, too.
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
    @Option(help: ArgumentHelp("Samples to train with.", valueName: "path")) var trainData: [String] = []
    @Option(help: ArgumentHelp("Their labels.", valueName: "path")) var trainLabels: String?
    @Flag(help: "Train towards the model's own answers; needs no labels.") var distill = false
    @Option(help: "Wish: at least this accuracy, from 0 to 1.") var minAccuracy: Double?
    @Option(help: "Wish: at most so many bytes.") var maxSize: Int?
    @Option(help: "Wish: at most so many bytes deflated.") var maxDeflatedSize: Int?
    @Option(help: "Wish: at most so many milliseconds.") var maxLatency: Double?
    @Option(help: "Histograms of the weights with so many bins in summary.json.") var histograms: Int?
    @Option(help: ArgumentHelp("Draw them to this SVG file.", valueName: "file")) var plot: String?
    @Option(help: "Threads; 0: one for each core.") var threads: Int32 = 1
    @OptionGroup(title: "Training") var settings: TrainingSettings
    @OptionGroup(title: "Images") var images: ImagePreprocessing

    private var hasWish: Bool { minAccuracy != nil || maxSize != nil || maxDeflatedSize != nil || maxLatency != nil }

    func validate() throws {
        if labels != nil && testData.isEmpty { throw ValidationError("--labels are those of --test-data") }
        if minAccuracy != nil && testData.isEmpty { throw ValidationError("--min-accuracy needs --test-data") }
        if let plot, !plot.lowercased().hasSuffix(".svg") {
            throw ValidationError("--plot draws SVG: '\(plot)' should end with .svg")
        }
        if let histograms, !(1...100_000).contains(histograms) {
            throw ValidationError("--histograms is \(histograms), expected 1 to 100000 bins")
        }
        let hasSamples = !calibration.isEmpty || !trainData.isEmpty
        if !hasWish && !hasSamples && scheme.contains(where: \.needsSamples) {
            throw ValidationError("int8 and int16x8 need --calibration (or choose others with --scheme)")
        }
    }

    func run() throws {
        var source = try Model(path: model)
        if let channels {
            var options = eo_channel_pruning_options.usual
            options.ratio = channels
            source = try source.withoutChannels(options, [])
        }
        let inputs = try source.inputs()
        var wish = Stages.Wish(granularity: granularity, threads: threads, settings: settings, maxSamples: maxSamples)
        if !trainData.isEmpty {
            wish.training = try LabelledSamples(
                trainData, labels: trainLabels, needsLabels: !distill, for: inputs, images: images)
        }
        if !calibration.isEmpty { wish.calibration = try Samples(calibration, for: inputs, images: images) }
        let stages = Stages(source, wish)
        if testData.isEmpty { note("accuracy is not measured: that takes --test-data") }
        hasWish ? try walkDown(stages) : try growTree(stages)
    }

    private func growTree(_ stages: Stages) throws {
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        var leaves: [Leaf] = []
        for scheme in scheme {
            for stage in [(nil, nil), (sparsity, nil), (nil, clusters), (sparsity, clusters)] as [(Double?, Int32?)] {
                for level in Level(scheme, stage.0, stage.1).forms(trained: stages.areTrained) {
                    let made = try stages.model(level)
                    leaves.append(try leaf(level, made))
                    try made.save(to: "\(output)/\(level.name).tflite")
                }
            }
        }
        Leaf.print(leaves)
        if let plot { try writeFile(plot, Array(HistogramPlot.svg(leaves).utf8)) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        if histograms == nil { for index in leaves.indices { leaves[index].histograms = nil } }
        try writeFile("\(output)/summary.json", Array(try encoder.encode(leaves)))
    }

    private func walkDown(_ stages: Stages) throws {
        var tried: [Leaf] = []
        for level in Level.all where !level.scheme.needsSamples || !calibration.isEmpty || stages.areTrained {
            for form in level.forms(trained: stages.areTrained) {
                let made = try stages.model(form)
                let leaf = try leaf(form, made)
                tried.append(leaf)
                guard meets(leaf) else { continue }
                try made.save(to: output)
                Leaf.print(tried)
                print("\(output): \(leaf.name)")
                return
            }
        }
        Leaf.print(tried)
        throw Failure("no level meets the wish")
    }

    private func meets(_ leaf: Leaf) -> Bool {
        leaf.size <= maxSize ?? .max && leaf.deflatedSize <= maxDeflatedSize ?? .max
            && leaf.latency <= maxLatency ?? .infinity && (leaf.accuracy ?? 1) >= minAccuracy ?? 0
    }

    // MARK: What a model is worth

    private func leaf(_ level: Level, _ made: Model) throws -> Leaf {
        let weights = try made.weights()
        let elements = weights.reduce(0) { $0 + $1.elements }
        let zeros = weights.reduce(0) { $0 + $1.zeros }
        let sizes = try made.withSerialized { ($0.count, edgeopt_cli.deflatedSize($0)) }
        let bins = histograms ?? (plot == nil ? nil : 64)
        let histograms = try bins.map { bins in
            try weights.map { found in
                Leaf.Histogram(
                    name: found.name, from: found.least, to: found.greatest,
                    counts: try made.histogram(found.subgraph, found.tensor, bins: bins))
            }
        }
        return Leaf(
            name: level.name, accuracy: testData.isEmpty ? nil : try measuredAccuracy(made), size: sizes.0,
            deflatedSize: sizes.1, distinct: weights.map(\.distinct).max() ?? 0,
            sparsity: Double(zeros) / Double(max(1, elements)), latency: try measuredLatency(made),
            histograms: histograms)
    }

    private func measuredAccuracy(_ model: Model) throws -> Double {
        let interpreter = try Interpreter(model, .init(threads: threads))
        let data = try LabelledSamples(
            testData, labels: labels, needsLabels: true, for: try interpreter.inputs(), images: images)
        var right = 0
        for index in data.chosen {
            for (place, bytes) in try data.samples[index].enumerated() { try interpreter.setInput(place, bytes) }
            try interpreter.invoke()
            let scores = try NumericArray(interpreter.output(0)).values()
            if scores.indices.max(by: { scores[$0] < scores[$1] }) == data.answers?[index] { right += 1 }
        }
        return Double(right) / Double(max(1, data.count))
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
