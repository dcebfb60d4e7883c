import CEdgeOpt

/// Makes the smaller forms of a model: at once, or where there is data to train with by training.
final class Stages {
    struct Wish {
        var granularity = Granularity.scaledChannels
        var threads: Int32 = 1
        var settings: TrainingSettings
        var training: LabelledSamples?
        /// Samples for the ranges of quantization.
        var calibration: Samples?
        var maxSamples = 200
    }

    private let source: Model
    private let wish: Wish
    /// Pruned and clustered, not quantized, by name.
    private var made: [String: Model] = [:]

    init(_ source: Model, _ wish: Wish) { (self.source, self.wish) = (source, wish) }

    var areTrained: Bool { wish.training != nil }

    func model(_ level: Level) throws -> Model {
        let stage = try stage(level.sparsity, level.clusters)
        guard let scheme = level.scheme.value else { return stage }
        guard level.isAware, let data = wish.training else { return try quantized(stage, scheme, level.scheme) }
        var targets = Trainer.Targets()
        var options = eo_training_quantization.usual
        options.scheme = scheme
        targets.quantization = options
        (targets.preservesZeros, targets.preservesClusters) = (level.sparsity != nil, level.clusters != nil)
        return try trained(stage, targets, with: data, level.name)
    }

    /// Clusters what is left by pruning.
    private func stage(_ sparsity: Double?, _ clusters: Int32?) throws -> Model {
        guard sparsity != nil || clusters != nil else { return source }
        let name = Level(.float32, sparsity, clusters).name
        if let known = made[name] { return known }
        let before = clusters == nil ? source : try stage(sparsity, nil)
        let result =
            clusters == nil ? try pruned(before, sparsity ?? 0, name) : try clustered(before, clusters ?? 0, name)
        made[name] = result
        return result
    }

    private func pruned(_ model: Model, _ sparsity: Double, _ name: String) throws -> Model {
        var options = eo_pruning_options.usual
        options.sparsity = sparsity
        guard let data = wish.training else { return try model.pruned(options, []) }
        var targets = Trainer.Targets()
        targets.pruning = options
        targets.schedule = .ramp(steps: wish.settings.epochs * wish.settings.batches(of: data.count))
        return try trained(model, targets, with: data, name)
    }

    private func clustered(_ model: Model, _ clusters: Int32, _ name: String) throws -> Model {
        var options = eo_clustering_options.usual
        (options.clusters, options.granularity) = (clusters, wish.granularity.value)
        guard let data = wish.training else { return try model.clustered(options, []) }
        var targets = Trainer.Targets()
        targets.clustering = options
        targets.preservesZeros = true
        return try trained(model, targets, with: data, name)
    }

    private func trained(
        _ model: Model, _ targets: Trainer.Targets, with data: LabelledSamples, _ name: String
    ) throws -> Model {
        note("training \(name)")
        let options = wish.settings.options(data.count, threads: wish.threads)
        let term = try wish.settings.term(for: data.answers)
        let trainer = try Trainer(model, options, term, targets, calibratedWith: data)
        try TrainingLoop(
            trainer: trainer, training: data, labels: try trainer.labels(), settings: wish.settings, isQuiet: true
        ).run()
        return try trainer.export()
    }

    private func quantized(_ model: Model, _ value: eo_scheme, _ scheme: LeafScheme) throws -> Model {
        var options = eo_quantizer_options.usual
        (options.scheme, options.num_threads) = (value, wish.threads)
        let quantizer = try Quantizer(model, options)
        if scheme.needsSamples {
            guard let samples = wish.calibration ?? wish.training?.samples else {
                throw Failure("\(scheme.rawValue) needs --calibration")
            }
            for index in 0..<min(samples.count, wish.maxSamples) { try quantizer.calibrate(try samples[index]) }
        }
        return try quantizer.finish()
    }
}
