import Model
import Operators

/// CTC (Graves et al., 2006): -log of the probability of all alignments of a label sequence with the outputs
/// [samples, time, classes]. The last class is the blank. Labels that are -1 end a sequence.
enum ConnectionistTemporalClassification {
    static var definition: LossDefinition {
        LossDefinition(name: "ctc", end: .softmax) { shape, term throws(Failure) in
            guard shape.count == 3, shape[2] > 1 else {
                throw .unsupported(
                    "CTC needs outputs of shape [samples, time, classes]; their shape is \(shape.listed)")
            }
            guard term.maximumLabels > 0 else {
                throw .invalidArgument("CTC: the most labels of a sample are not given")
            }
            return LabelFormat(
                meaning: .sequences(classes: shape[2] - 1), type: .int32, shape: [shape[0], term.maximumLabels])
        } emit: { logits, labels, _ throws(Failure) in
            let logarithms = try logits.apply(.logSoftmax)
            let code = OperatorCode(.custom, custom: "edgeopt.ctc_loss")
            return try logits.graph.emit(code, [logarithms, labels], types: [.float32, .float32])[0]
        }
    }
}
