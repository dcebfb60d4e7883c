import Model
import Operators

/// Cross-entropy of independent sigmoids and labels, from logits: log(1 + exp(x)) - x label.
enum SigmoidCrossEntropy {
    static var definition: LossDefinition {
        LossDefinition(name: "binary_crossentropy", end: .logistic) { shape, _ throws(Failure) in
            LabelFormat(meaning: .values, type: .float32, shape: shape)
        } emit: { logits, labels, term throws(Failure) in
            var smoothed = labels
            if term.labelSmoothing > 0 {
                smoothed = try (1 - term.labelSmoothing) * labels + term.labelSmoothing / 2
            }
            let softplus = try logits.custom("edgeopt.softplus", shape: logits.shape)
            return try (softplus - logits * smoothed).meanOfSamples()
        }.counting(.sign)
    }
}
