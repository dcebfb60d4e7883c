import ArgumentParser
import CEdgeOpt

/// How a model is trained.
struct TrainingSettings: ParsableArguments {
    @Option(help: "Passes over the data.") var epochs = 1
    @Option(help: "Samples of a step.") var batchSize = 32
    @Option(help: "What is minimized; auto: by how the model ends.") var loss: LossName = .auto
    @Option(help: "Share of each label that is spread over the classes.") var labelSmoothing: Float = 0
    @Option(help: "sgd, adam, adamw or rmsprop.") var optimizer: OptimizerName = .adam
    @Option(help: "Default: 0.001, sgd 0.01.") var learningRate: Float = -1
    @Option(help: "Momentum of sgd and rmsprop.") var momentum: Float = 0
    @Option(help: "Share of a weight that decays, times the learning rate; adamw 0.004.") var weightDecay: Float = -1
    @Option(help: "The learning rate: constant, step, cosine, polynomial or exponential.")
    var schedule: ScheduleName = .constant
    @Option(help: "Epochs in which the rate rises from 0; the schedule begins after them.") var warmUp = 0.0
    @Option(help: "Epochs of the schedule; step: from one drop to the next. Default: all; step: a third.")
    var scheduleEpochs: Double?
    @Option(help: "step and exponential: what the rate is multiplied with.") var decayRate: Float = 0.1
    @Option(help: "cosine and polynomial: the rate at the end.") var endLearningRate: Float = 0
    @Option(help: "Bounds the length of all gradients together.") var clipNorm: Float = 0
    @Option(help: "Share kept of the old moving average of the weights, which is then what is written.")
    var averaging: Float = 0
    @Option(help: "Orders the samples.") var seed: UInt64 = 0

    func validate() throws {
        guard epochs > 0, batchSize > 0, epochs < 1 << 20, batchSize < 1 << 20 else {
            throw ValidationError("epochs and batch size must be at least 1")
        }
        for count in [warmUp, scheduleEpochs ?? 1] where !(count >= 0 && count <= 0x1p20) {
            throw ValidationError("a schedule of \(count) epochs")
        }
    }

    /// `answers`: nil: the model's own.
    func term(for answers: Labels?) throws -> eo_loss_term {
        var term = eo_loss_term.usual
        (term.loss, term.label_smoothing) = (loss.value, labelSmoothing)
        if let answers {
            if loss == .ctc { term.max_labels = Int32(clamping: answers.width) }
            return term
        }
        guard let distillation = loss.distillation else {
            throw Failure("--loss \(loss.rawValue) takes labels; without them it can be auto or squared-error")
        }
        term.loss = distillation
        return term
    }

    func batches(of samples: Int) -> Int { (samples + batchSize - 1) / batchSize }

    /// For so many samples.
    func options(_ samples: Int, threads: Int32) -> eo_trainer_options {
        let epoch = Double(batches(of: samples))
        let rising = Int32(clamping: Int((warmUp * epoch).rounded()))
        let left = epoch * Double(epochs) - Double(rising)
        let length = scheduleEpochs.map { $0 * epoch } ?? (schedule == .step ? left / 3 : left)
        var options = eo_trainer_options.usual
        (options.batch_size, options.num_threads) = (Int32(batchSize), threads)
        options.optimizer = optimizer.value
        (options.learning_rate, options.momentum, options.weight_decay) = (learningRate, momentum, weightDecay)
        (options.clip_global_norm, options.averaging) = (clipNorm, averaging)
        (options.schedule, options.warmup_steps) = (schedule.value, rising)
        options.schedule_steps = schedule == .constant ? 0 : Int32(clamping: max(1, Int(length.rounded())))
        (options.decay_rate, options.end_learning_rate) = (decayRate, endLearningRate)
        return options
    }
}

enum LossName: String, ExpressibleByArgument, CaseIterable {
    case auto, binary, categorical, cosine, ctc, huber
    case absoluteError = "absolute-error"
    case sparseCategorical = "sparse-categorical"
    case squaredError = "squared-error"

    var value: eo_loss {
        switch self {
        case .auto: EO_LOSS_AUTO
        case .binary: EO_LOSS_BINARY
        case .categorical: EO_LOSS_CATEGORICAL
        case .cosine: EO_LOSS_COSINE
        case .ctc: EO_LOSS_CTC
        case .huber: EO_LOSS_HUBER
        case .absoluteError: EO_LOSS_ABSOLUTE_ERROR
        case .sparseCategorical: EO_LOSS_SPARSE_CATEGORICAL
        case .squaredError: EO_LOSS_SQUARED_ERROR
        }
    }

    /// How far the model is from its own answers before training.
    var distillation: eo_loss? {
        switch self {
        case .auto: EO_LOSS_DISTILLATION
        case .squaredError: EO_LOSS_DISTILLATION_SQUARED
        default: nil
        }
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

enum ScheduleName: String, ExpressibleByArgument, CaseIterable {
    case constant, step, cosine, polynomial, exponential

    var value: eo_schedule {
        switch self {
        case .constant: EO_SCHEDULE_CONSTANT
        case .step: EO_SCHEDULE_STEP
        case .cosine: EO_SCHEDULE_COSINE
        case .polynomial: EO_SCHEDULE_POLYNOMIAL
        case .exponential: EO_SCHEDULE_EXPONENTIAL
        }
    }
}
