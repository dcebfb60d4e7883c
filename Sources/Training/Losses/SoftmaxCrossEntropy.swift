import Model

/// Cross-entropy of a softmax and labels, from logits: -sum(label log softmax(x)).
enum SoftmaxCrossEntropy {
    static var sparse: LossDefinition {
        LossDefinition(name: "sparse_categorical_crossentropy", end: .softmax) { shape, _ throws(Failure) in
            let classes = try classCount(shape)
            return LabelFormat(meaning: .classes(classes), type: .int32, shape: Array(shape.dropLast()))
        } emit: { graph, logits, labels, term throws(Failure) in
            let classes = try classCount(graph.shape(logits))
            let rest = term.labelSmoothing / Float(classes)
            let inputs = [
                labels, try graph.integer(classes), try graph.constant(1 - term.labelSmoothing + rest),
                try graph.constant(rest),
            ]
            let spread = try graph.emit(.oneHot, inputs, Options(.oneHot, [.int(-1)]))
            return try loss(&graph, logits, spread)
        }.counting(.argmax)
    }

    static var dense: LossDefinition {
        LossDefinition(name: "categorical_crossentropy", end: .softmax) { shape, _ throws(Failure) in
            _ = try classCount(shape)
            return LabelFormat(meaning: .values, type: .float32, shape: shape)
        } emit: { graph, logits, labels, term throws(Failure) in
            var spread = labels
            if term.labelSmoothing > 0 {
                let classes = try classCount(graph.shape(logits))
                spread = try graph.scale(labels, 1 - term.labelSmoothing)
                spread = try graph.add(spread, try graph.constant(term.labelSmoothing / Float(classes)))
            }
            return try loss(&graph, logits, spread)
        }.counting(.argmax)
    }

    static func classCount(_ shape: [Int]) throws(Failure) -> Int {
        guard shape.count >= 2, let classes = shape.last, classes > 1 else {
            throw .unsupported("cross-entropy needs outputs with two or more classes; their shape is \(shape.listed)")
        }
        return classes
    }

    static func loss(_ graph: inout GraphEmitter, _ logits: Int, _ labels: Int) throws(Failure) -> Int {
        let logarithm = try graph.emit(.logSoftmax, [logits])
        let product = try graph.multiply(labels, logarithm)
        let sum = try graph.sum(product, axes: [graph.shape(logits).count - 1])
        return try graph.meanOfSamples(try graph.emit(.neg, [sum]))
    }
}

extension LossDefinition {
    func counting(_ accuracy: Accuracy) -> LossDefinition {
        var definition = self
        definition.accuracy = accuracy
        return definition
    }
}
