import Model
import Operators

/// Cross-entropy of a softmax and labels, from logits: -sum(label log softmax(x)).
enum SoftmaxCrossEntropy {
    static var sparse: LossDefinition {
        LossDefinition(name: "sparse_categorical_crossentropy", end: .softmax) { shape, _ throws(Failure) in
            let classes = try classCount(shape)
            return LabelFormat(meaning: .classes(classes), type: .int32, shape: Array(shape.dropLast()))
        } emit: { logits, labels, term throws(Failure) in
            let classes = try classCount(logits.shape)
            let rest = term.labelSmoothing / Float(classes)
            let depth = try logits.graph.constant(.int32, [], try Bytes(copying: [Int32(clamping: classes)]))
            let inputs: [Value?] = [
                labels, depth, try logits.scalar(1 - term.labelSmoothing + rest), try logits.scalar(rest),
            ]
            let spread = try logits.graph.emit(
                OperatorCode(.oneHot), inputs, Options(.oneHot, [.int(-1)]), types: [.float32])[0]
            return try loss(logits, spread)
        }.counting(.argmax)
    }

    static var dense: LossDefinition {
        LossDefinition(name: "categorical_crossentropy", end: .softmax) { shape, _ throws(Failure) in
            _ = try classCount(shape)
            return LabelFormat(meaning: .values, type: .float32, shape: shape)
        } emit: { logits, labels, term throws(Failure) in
            var spread = labels
            if term.labelSmoothing > 0 {
                let classes = try classCount(logits.shape)
                spread = try (1 - term.labelSmoothing) * labels + term.labelSmoothing / Float(classes)
            }
            return try loss(logits, spread)
        }.counting(.argmax)
    }

    static func classCount(_ shape: [Int]) throws(Failure) -> Int {
        guard shape.count >= 2, let classes = shape.last, classes > 1 else {
            throw .unsupported("cross-entropy needs outputs with two or more classes; their shape is \(shape.listed)")
        }
        return classes
    }

    private static func loss(_ logits: Value, _ labels: Value) throws(Failure) -> Value {
        let product = try labels * logits.apply(.logSoftmax)
        return try (-product.sum([logits.rank - 1], keep: false)).meanOfSamples()
    }
}

extension LossDefinition {
    func counting(_ accuracy: Accuracy) -> LossDefinition {
        var definition = self
        definition.accuracy = accuracy
        return definition
    }
}
