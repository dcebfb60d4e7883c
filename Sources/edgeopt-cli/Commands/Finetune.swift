import ArgumentParser
import CEdgeOpt
import Glibc

struct Finetune: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Trains a float model on its own graph; prunes, clusters or quantizes it on the way.",
        discussion: """
            --data: a folder with a folder of JPEG or PNG images for each class, in the alphabetical order of their \
            names, a .npz with an array for each input and an array 'labels', an idx file (.idx, -ubyte, also .gz: as \
            MNIST comes), or what quantize takes as --calibration, with --labels: a .npy array, an idx file, or a text \
            file with a number a line. Labels are classes, or with --loss categorical, binary, squared-error and the \
            like numbers as the output has them. Bytes of images become floats by --mean and --std.

            --prune 0.75 reaches that share of zeros half-way; --cluster 16 gives weights so few values, with --prune \
            those that are left; --preserve keeps the zeros and the clusters that the model has; --quantize int8 writes \
            the integer model that training has simulated. All of them go together.

            With --checkpoint training goes on where it was, also after Ctrl-C.
            """)

    @Argument(help: "A float .tflite file.") var model: String
    @Option(name: .shortAndLong, help: "Where to write.") var output: String
    @Option(help: ArgumentHelp("Samples to learn from, once for each input.", valueName: "path")) var data: [String]
    @Option(help: "The right answers.") var labels: String?
    @Option(help: ArgumentHelp("Samples to measure with after each epoch.", valueName: "path"))
    var validationData: [String] = []
    @Option(help: "Their right answers.") var validationLabels: String?
    @Option(help: "Or hold back this share of the data, chosen at random, to measure with.") var validationSplit:
        Double?
    @Flag(help: "Learn from the model's own answers; needs no labels.") var distill = false
    @Flag(help: "Put batch normalization back while training.") var batchNormalization = false
    @Flag(help: "Compute results twice instead of keeping them: less memory, a third more time.") var recompute = false
    @Flag(help: "Write loops and calls in line, as they were trained.") var unroll = false
    @Option(help: "Multiply in float32 or, where fast, bfloat16.") var precision: Precision = .float32
    @Option(help: "Threads; 0: one for each core.") var threads: Int32 = 1
    @Option(help: "Where training is saved after each epoch, and goes on from.") var checkpoint: String?
    @Option(help: "Write a line for each epoch to this CSV file.") var log: String?
    @OptionGroup(title: "Training") var settings: TrainingSettings
    @OptionGroup(title: "What becomes of the weights") var wish: TargetSettings
    @OptionGroup(title: "Augmentation") var augmentation: Augmentation
    @OptionGroup(title: "Images") var images: ImagePreprocessing

    func validate() throws {
        guard validationData.isEmpty || validationSplit == nil else {
            throw ValidationError("--validation-data or --validation-split, not both")
        }
        if let share = validationSplit, !(share > 0 && share < 1) {
            throw ValidationError("--validation-split is \(share), expected above 0 and below 1")
        }
    }

    func run() throws {
        let source = try Model(path: model)
        for path in [output, checkpoint].compactMap({ $0 }) { try requireWritable(path) }
        let (training, validation) = try read(try source.inputs())
        let epoch = settings.batches(of: training.count)
        var options = settings.options(training.count, threads: threads)
        (options.batch_normalization, options.batch_norm_momentum) = (batchNormalization, 0.99)
        (options.recompute_activations, options.unroll) = (recompute, unroll)
        options.precision = precision.number
        let trainer = try Trainer(
            source, options, try settings.term(for: training.answers),
            wish.targets(steps: settings.epochs * epoch, epoch: epoch), calibratedWith: training)
        let loop = TrainingLoop(
            trainer: trainer, training: training, validation: validation, labels: try trainer.labels(),
            settings: settings, augmentation: augmentation, checkpoint: checkpoint, log: log,
            isPruning: wish.prune != nil)
        try loop.run()
        try trainer.export().save(to: output)
        try printSummary(model, output)
    }

    private func read(_ inputs: [Tensor]) throws -> (LabelledSamples, LabelledSamples?) {
        let all = try LabelledSamples(data, labels: labels, needsLabels: !distill, for: inputs, images: images)
        if let validationSplit { return try all.divided(validationSplit, seed: settings.seed) }
        guard !validationData.isEmpty else { return (all, nil) }
        let others = try LabelledSamples(
            validationData, labels: validationLabels, needsLabels: !distill, for: inputs, images: images)
        return (all, others)
    }
}

extension Trainer {
    /// Ranges of a quantization start from up to 100 of the samples, evenly spread.
    convenience init(
        _ model: Model, _ options: eo_trainer_options, _ loss: eo_loss_term, _ targets: Targets,
        calibratedWith data: LabelledSamples
    ) throws {
        let count = min(data.count, 100)
        try self.init(model, options, loss, targets, calibrationCount: count) {
            try data.samples[data.chosen[$0 * data.count / count]]
        }
    }
}
