import Model
import Operators

/// The model learns what it computed itself before it was changed (Hinton et al., 2015): unlabelled data will do.
enum Distillation {
    /// T^2 KL(softmax(t / T) || softmax(x / T)) of the teacher's logits t.
    static var definition: LossDefinition {
        LossDefinition(name: "distillation", end: .softmax) { shape, _ throws(Failure) in
            _ = try SoftmaxCrossEntropy.classCount(shape)
            return LabelFormat(meaning: .teacher, type: .float32, shape: shape)
        } emit: { logits, teacher, term throws(Failure) in
            let cooler = 1 / term.temperature
            let known = try teacher.scaled(by: cooler).apply(.logSoftmax)
            let learned = try logits.scaled(by: cooler).apply(.logSoftmax)
            let divergence = try (known.apply(.exp) * (known - learned)).sum([logits.rank - 1], keep: false)
            return try divergence.meanOfSamples().scaled(by: term.temperature * term.temperature)
        }.counting(.argmax)
    }

    /// Mean squared difference of the outputs.
    static var ofOutputs: LossDefinition {
        let squared = Regression.squared
        return LossDefinition(name: "distillation_of_outputs") { shape, _ throws(Failure) in
            LabelFormat(meaning: .teacher, type: .float32, shape: shape)
        } emit: { prediction, teacher, term throws(Failure) in
            try squared.emit(prediction, teacher, term)
        }
    }
}
