import Compression
import Model
import Operators

/// How a model is trained.
package struct TrainerOptions {
    /// Samples of a step, whatever first dimension the model's inputs have.
    package var batchSize = 32
    /// 1: no thread is ever created; 0: one per core.
    package var threadCount = 1
    package var optimizer = OptimizerSettings()
    package var schedule = Schedule()
    /// Their weighted sum is minimized. Empty: the loss that goes with the end of output 0.
    package var losses: [LossTerm] = []
    /// Name patterns (`*`, `?`) of parameters that stay as they are; and of those that alone are trained (empty: all).
    package var frozen: [String] = []
    package var trainable: [String] = []
    /// nil: the main subgraph's own inputs and outputs.
    package var signature: String?
    /// Put scale and shift with the statistics of the batch behind each convolution and hidden fully connected layer.
    package var normalizesBatches = false
    /// Share of the old statistics that is kept.
    package var batchMomentum: Float = 0.99
    /// Keep few of the forward pass's results for the backward pass, and compute the others a second time.
    package var recomputesActivations = false
    /// In what layers and their gradients compute in steps. Parameters, and what is not a product, stay float32.
    package var precision = Precision.float32
    /// Samples that go forward and backward at a time, whatever the batch size; nil: as many as the caches hold.
    package var samplesAtATime: Int?
    /// For losses of kind `host`.
    package var hostLoss: HostLossFunction?
    /// What is exported has no loops and calls: they are put in line, as they are trained.
    package var unrolls = false
    /// What is made of the weights on the way.
    package var targets = TrainingTargets()
    package init() {}

    func validate() throws(Failure) {
        try optimizer.validate()
        try schedule.validate()
        for (index, term) in losses.enumerated() { try term.validate(index) }
        guard batchMomentum >= 0, batchMomentum < 1 else {
            throw .invalidArgument(
                "the momentum of batch statistics is \(batchMomentum), it must be 0 or more and below 1")
        }
        guard hostLoss != nil || !losses.contains(where: { $0.kind == .host }) else {
            throw .invalidArgument("a loss is the host's, but there is no function for it")
        }
        try targets.validate(normalizesBatches: normalizesBatches)
    }
}

/// One call of the host's loss: it reads `predictions`, one for each loss of kind `host`, and fills `gradients`, of the
/// same sizes, with the derivative of the loss it returns. Rows from `sampleCount` on are padding.
package struct HostLossCall {
    package let predictions: [FloatMemory]
    package let gradients: [FloatMemory]
    package let sampleCount: Int
}
package typealias HostLossFunction = (HostLossCall) throws(Failure) -> Float

/// What is trained: the model that is exported, and what has been made of it.
package struct TrainingSource {
    /// A model `preparedForTraining`: its constants are the parameters.
    package let prepared: Model
    /// `prepared` before its loops and calls were put in line.
    var rolled: RolledModel?
    /// It or a transform of it that has kept its tensors' places: what runs in steps, and in evaluation.
    package var training: Model
    package var evaluation: Model
    package var states: [any TrainingState] = []
    /// By the parameter's name.
    package var constraints: [(parameter: String, constraint: any ParameterConstraint)] = []

    package init(_ prepared: Model) {
        self.prepared = prepared
        training = prepared
        evaluation = prepared
    }
}

/// Samples that go through the graph together. All bytes are borrowed until the call that takes them returns.
package struct Batch {
    /// The rest of the batch, if it is smaller, is padding that counts nowhere.
    package var sampleCount: Int
    /// For each input of the model.
    package var inputs: [Bytes]
    /// For each loss that takes labels.
    package var labels: [Bytes]
    /// float32, one for each sample; nil: all 1.
    package var weights: Bytes?

    package init(sampleCount: Int, inputs: [Bytes], labels: [Bytes] = [], weights: Bytes? = nil) {
        self.sampleCount = sampleCount
        self.inputs = inputs
        self.labels = labels
        self.weights = weights
    }
}

/// What a batch has given.
package struct BatchResult {
    /// Mean over the samples, weighted by the samples' weights.
    package var loss: Float = 0
    /// Right answers, and how many there were; 0 of 0 where the loss knows no right and wrong.
    package var correct = 0
    package var counted = 0
    /// Euclidean length of all gradients together, before clipping.
    package var gradientNorm: Float = 0
    package var learningRate: Float = 0

    /// What another part of the batch has given.
    mutating func add(_ part: BatchResult) {
        loss += part.loss
        correct += part.correct
        counted += part.counted
    }
}
