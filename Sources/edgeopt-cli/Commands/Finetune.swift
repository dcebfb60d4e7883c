import ArgumentParser
import CEdgeOpt
import Glibc

struct Finetune: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Trains a float model on its own graph; prunes, clusters or quantizes it on the way.",
        discussion: """
            --data: a folder with a folder of JPEG or PNG images for each class, in the alphabetical order of their \
            names, a .npz with an array for each input and an array 'labels', or what quantize takes as --calibration, \
            with --labels: a .npy array or a text file with a number a line.

            --prune 0.75 reaches that share of zeros half-way; --cluster 16 gives weights so few values; --preserve \
            keeps the zeros and the clusters that the model has; --quantize int8 writes the integer model that training \
            has simulated. One after the other: prune, cluster, quantize.

            With --checkpoint training goes on where it was, also after Ctrl-C.
            """)

    @Argument(help: "A float .tflite file.") var model: String
    @Option(name: .shortAndLong, help: "Where to write.") var output: String
    @Option(help: ArgumentHelp("Samples to learn from, once for each input.", valueName: "path")) var data: [String]
    @Option(help: "The right answers.") var labels: String?
    @Option(help: "Passes over the data.") var epochs = 1
    @Option(help: "Samples of a step.") var batchSize = 32
    @Option(help: "sgd, adam, adamw or rmsprop.") var optimizer: OptimizerName = .adam
    @Option(help: "Default: 0.001, sgd 0.01.") var learningRate: Float = -1
    @Option(help: "Momentum of sgd and rmsprop.") var momentum: Float = 0
    @Flag(help: "Learn from the model's own answers; needs no labels.") var distill = false
    @Flag(help: "Put batch normalization back while training.") var batchNormalization = false
    @Option(help: "Share of zeros to reach.") var prune: Double?
    @Option(help: "Number of different values to reach.") var cluster: Int32?
    @Flag(help: "Keep the zeros and the clusters that the model has.") var preserve = false
    @Option(help: "int8 or int16x8.") var quantize: Scheme?
    @Option(help: "Bits of quantized weights, 2 to 8.") var weightBits: Int32 = 8
    @Option(help: "Orders the samples.") var seed: UInt64 = 0
    @Option(help: "Threads; 0: one for each core.") var threads: Int32 = 1
    @Option(help: "Where training is saved after each epoch, and goes on from.") var checkpoint: String?
    @Option(help: "Write a line for each epoch to this CSV file.") var log: String?
    @OptionGroup(title: "Images") var images: ImagePreprocessing

    func validate() throws {
        guard epochs > 0, batchSize > 0, batchSize < 1 << 20 else {
            throw ValidationError("epochs and batch size must be at least 1")
        }
        if let quantize, !quantize.needsSamples { throw ValidationError("--quantize is int8 or int16x8") }
    }

    func run() throws {
        let source = try Model(path: model)
        let (samples, answers) = try read(try source.inputs())
        let trainer = try makeTrainer(source, samples)
        let loop = TrainingLoop(
            trainer: trainer, samples: samples, answers: answers, tensors: try trainer.labels(), epochs: epochs,
            batchSize: batchSize, seed: seed, checkpoint: checkpoint, log: log)
        try loop.run()
        try trainer.export().save(to: output)
        try printSummary(model, output)
    }

    private func read(_ inputs: [Tensor]) throws -> (Samples, Labels?) {
        if labels == nil, !distill, data.count == 1, isFolder(data[0]) {
            let classes = try files(in: data[0], endingWith: [""]).filter(isFolder)
            let pictures = try classes.map { try files(in: $0, endingWith: [".jpg", ".jpeg", ".png"]) }
            let numbers = pictures.enumerated().flatMap { number, list in list.map { _ in number } }
            return (try Samples(pictures: pictures.flatMap { $0 }, for: inputs, images: images), Labels(numbers))
        }
        let samples = try Samples(data, for: inputs, images: images)
        if distill { return (samples, nil) }
        let answers = try Labels(labels ?? data[0])
        guard answers.count == samples.count else {
            throw Failure("there are \(samples.count) samples and \(answers.count) labels")
        }
        return (samples, answers)
    }

    private func makeTrainer(_ source: Model, _ samples: Samples) throws -> Trainer {
        var term = eo_loss_term()
        term.struct_size = MemoryLayout<eo_loss_term>.size
        term.loss = distill ? EO_LOSS_DISTILLATION : EO_LOSS_AUTO
        (term.weight, term.delta, term.temperature) = (1, 1, 1)
        var options = eo_trainer_options()
        options.struct_size = MemoryLayout<eo_trainer_options>.size
        (options.batch_size, options.num_threads) = (Int32(batchSize), threads)
        options.optimizer = optimizer.value
        (options.learning_rate, options.momentum) = (learningRate, momentum)
        (options.beta1, options.beta2, options.epsilon, options.weight_decay) = (0.9, -1, 1e-7, -1)
        (options.decay_rate, options.power) = (0.1, 1)
        (options.batch_normalization, options.batch_norm_momentum) = (batchNormalization, 0.99)
        (options.preserve_zeros, options.preserve_clusters) = (preserve, preserve)
        return try withUnsafePointer(to: term) { term in
            (options.losses, options.loss_count) = (term, 1)
            return try Trainer(
                source, options, targets(samples.count), calibrationCount: min(samples.count, 100)
            ) { try samples[$0 * samples.count / min(samples.count, 100)] }
        }
    }

    private func targets(_ sampleCount: Int) -> Trainer.Targets {
        var targets = Trainer.Targets()
        if let prune {
            var options = eo_pruning_options()
            options.struct_size = MemoryLayout<eo_pruning_options>.size
            options.sparsity = prune
            (options.block_rows, options.block_columns, options.group_zeros, options.group_size) = (1, 4, 2, 4)
            targets.pruning = options
            let steps = epochs * ((sampleCount + batchSize - 1) / batchSize)
            targets.schedule = eo_pruning_schedule(
                struct_size: MemoryLayout<eo_pruning_schedule>.size, initial_sparsity: 0, begin_step: 0,
                end_step: Int64(steps / 2), frequency: Int64(max(1, steps / 40)), power: 3, regrow: false)
        }
        if let cluster {
            var options = eo_clustering_options()
            options.struct_size = MemoryLayout<eo_clustering_options>.size
            (options.clusters, options.iterations) = (cluster, 100)
            (options.start, options.granularity) = (EO_CENTROIDS_KMEANS_PLUS_PLUS, EO_CLUSTERS_SCALED_CHANNELS)
            (options.preserve_zeros, options.int8_grid) = (true, true)
            targets.clustering = options
        }
        if let quantize {
            var options = eo_training_quantization()
            options.struct_size = MemoryLayout<eo_training_quantization>.size
            options.scheme = quantize.value
            (options.weight_bits, options.range_momentum, options.freeze_step) = (weightBits, 0.99, -1)
            targets.quantization = options
        }
        return targets
    }
}

enum OptimizerName: String, ExpressibleByArgument, CaseIterable {
    case sgd, adam, adamw, rmsprop

    var value: eo_optimizer {
        switch self {
        case .sgd: EO_OPTIMIZER_SGD
        case .adam: EO_OPTIMIZER_ADAM
        case .adamw: EO_OPTIMIZER_ADAMW
        case .rmsprop: EO_OPTIMIZER_RMSPROP
        }
    }
}
