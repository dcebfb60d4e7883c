import Model
import Operators

/// What a loss is called in the C API; raw values are those of `eo_loss`.
package enum LossKind: UInt32, Sendable {
    /// From the model's end: SOFTMAX or LOG_SOFTMAX: sparse cross-entropy; LOGISTIC: sigmoid cross-entropy.
    case automatic = 0
    /// Labels: the index of the class.
    case sparseCategoricalCrossEntropy
    /// Labels: a distribution over the classes.
    case categoricalCrossEntropy
    /// Labels: a probability for each output.
    case binaryCrossEntropy
    case meanSquaredError, meanAbsoluteError, huber, cosineSimilarity
    /// Connectionist temporal classification (Graves et al., 2006). The last class is the blank.
    case ctc
    /// The label is what the model computed before training: no labels are given.
    case distillation, distillationOfOutputs
    /// The host computes loss and gradient.
    case host
}

/// One term of what is minimized: a loss of one output.
package struct LossTerm: Sendable {
    package var kind = LossKind.automatic
    package var output = 0
    package var weight: Float = 1
    /// Share of each label that is spread evenly over the classes (Szegedy et al., 2016).
    package var labelSmoothing: Float = 0
    /// Huber: errors above it count linearly.
    package var delta: Float = 1
    /// Distillation: what logits are divided by (Hinton et al., 2015).
    package var temperature: Float = 1
    /// CTC: most labels of a sample.
    package var maximumLabels = 0
    package init() {}

    func validate(_ index: Int) throws(Failure) {
        let place: Sentence = "loss \(index)"
        guard weight.isFinite, weight >= 0 else { throw .invalidArgument("\(place): weight is \(weight)") }
        guard labelSmoothing >= 0, labelSmoothing < 1 else {
            throw .invalidArgument("\(place): label smoothing is \(labelSmoothing), it must be 0 or more and below 1")
        }
        guard delta > 0, delta.isFinite else {
            throw .invalidArgument("\(place): delta is \(delta), it must be above 0")
        }
        guard temperature > 0, temperature.isFinite else {
            throw .invalidArgument("\(place): the temperature is \(temperature), it must be above 0")
        }
        guard maximumLabels >= 0, maximumLabels < 1 << 24 else {
            throw .invalidArgument("\(place): \(maximumLabels) labels of a sample")
        }
    }
}

/// What the caller gives for a loss, for one batch.
package struct LabelFormat: Sendable {
    package enum Meaning: Sendable {
        /// int32: class indices below `classes`.
        case classes(Int)
        case values
        /// int32: class indices below `classes`, the unused end of each row -1.
        case sequences(classes: Int)
        /// float32: given by the library.
        case teacher
        /// float32: the gradient that the host computes.
        case gradient
    }
    package let meaning: Meaning
    package let type: TensorType
    package let shape: [Int]
}

/// One loss. Each file of this folder makes one or a few; `of` lists them.
struct LossDefinition: Sendable {
    let name: String
    /// The operator at the model's end that the loss looks through; it then takes that operator's input.
    var end: BuiltinOperator?
    /// What labels look like for predictions of this shape. The first dimension counts samples.
    let labels: @Sendable (_ prediction: [Int], LossTerm) throws(Failure) -> LabelFormat
    /// Emits the loss of each sample, shape [samples].
    let emit: @Sendable (_ prediction: Value, _ labels: Value, LossTerm) throws(Failure) -> Value
    /// What counts as a right answer, for the accuracy.
    var accuracy = Accuracy.none

    enum Accuracy: Sendable {
        case none
        /// The largest output has the label's index, or is where the largest label is.
        case argmax
        /// Output and label are on the same side of a half; logits of 0.
        case sign
    }

    static func of(_ kind: LossKind) throws(Failure) -> LossDefinition {
        switch kind {
        case .automatic: throw .invalidArgument("the loss is not chosen")
        case .sparseCategoricalCrossEntropy: SoftmaxCrossEntropy.sparse
        case .categoricalCrossEntropy: SoftmaxCrossEntropy.dense
        case .binaryCrossEntropy: SigmoidCrossEntropy.definition
        case .meanSquaredError: Regression.squared
        case .meanAbsoluteError: Regression.absolute
        case .huber: Regression.huber
        case .cosineSimilarity: CosineSimilarity.definition
        case .ctc: ConnectionistTemporalClassification.definition
        case .distillation: Distillation.definition
        case .distillationOfOutputs: Distillation.ofOutputs
        case .host: HostLoss.definition
        }
    }
}

extension Value {
    /// The mean of everything but dimension 0.
    func meanOfSamples() throws(Failure) -> Value {
        guard rank > 1 else { return self }
        return try apply(.mean, graph.indices(Array(1..<rank)), options: Options(.reducer))
    }

    func scaled(by factor: Float) throws(Failure) -> Value { factor == 1 ? self : try factor * self }
}
