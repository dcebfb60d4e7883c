import Model

/// Cross-entropy of independent sigmoids and labels, from logits: log(1 + exp(x)) - x label.
enum SigmoidCrossEntropy {
    static var definition: LossDefinition {
        LossDefinition(name: "binary_crossentropy", end: .logistic) { shape, _ throws(Failure) in
            LabelFormat(meaning: .values, type: .float32, shape: shape)
        } emit: { graph, logits, labels, term throws(Failure) in
            var smoothed = labels
            if term.labelSmoothing > 0 {
                smoothed = try graph.scale(labels, 1 - term.labelSmoothing)
                smoothed = try graph.add(smoothed, try graph.constant(term.labelSmoothing / 2))
            }
            let softplus = try graph.emit(custom: "edgeopt.softplus", [logits])[0]
            let product = try graph.multiply(logits, smoothed)
            return try graph.meanOfSamples(try graph.subtract(softplus, product))
        }.counting(.sign)
    }
}
