import Model

/// The model learns what it computed itself before it was changed (Hinton et al., 2015): unlabelled data will do.
enum Distillation {
    /// T^2 KL(softmax(t / T) || softmax(x / T)) of the teacher's logits t.
    static var definition: LossDefinition {
        LossDefinition(name: "distillation", end: .softmax) { shape, _ throws(Failure) in
            _ = try SoftmaxCrossEntropy.classCount(shape)
            return LabelFormat(meaning: .teacher, type: .float32, shape: shape)
        } emit: { graph, logits, teacher, term throws(Failure) in
            let cooler = 1 / term.temperature
            let targets = try graph.scale(teacher, cooler)
            let known = try graph.emit(.logSoftmax, [targets])
            let learned = try graph.emit(.logSoftmax, [try graph.scale(logits, cooler)])
            let weights = try graph.emit(.exp, [known])
            let product = try graph.multiply(weights, try graph.subtract(known, learned))
            let sum = try graph.sum(product, axes: [graph.shape(logits).count - 1])
            return try graph.scale(try graph.meanOfSamples(sum), term.temperature * term.temperature)
        }.counting(.argmax)
    }

    /// Mean squared difference of the outputs.
    static var ofOutputs: LossDefinition {
        let squared = Regression.squared
        return LossDefinition(name: "distillation_of_outputs") { shape, _ throws(Failure) in
            LabelFormat(meaning: .teacher, type: .float32, shape: shape)
        } emit: { graph, prediction, teacher, term throws(Failure) in
            try squared.emit(&graph, prediction, teacher, term)
        }
    }
}
