import Model

/// Losses of the difference of outputs and labels.
enum Regression {
    static var squared: LossDefinition {
        make("mean_squared_error") { graph, error, _ throws(Failure) in try graph.emit(.square, [error]) }
    }

    static var absolute: LossDefinition {
        make("mean_absolute_error") { graph, error, _ throws(Failure) in try graph.emit(.abs, [error]) }
    }

    /// e^2 / 2 up to |e| = delta, from there on the tangent (Huber, 1964): m (|e| - m / 2) with m = min(|e|, delta).
    static var huber: LossDefinition {
        make("huber") { graph, error, term throws(Failure) in
            let size = try graph.emit(.abs, [error])
            let bounded = try graph.emit(.minimum, [size, try graph.constant(term.delta)])
            return try graph.multiply(bounded, try graph.subtract(size, try graph.scale(bounded, 0.5)))
        }
    }

    private static func make(
        _ name: String, _ emit: @escaping @Sendable (inout GraphEmitter, Int, LossTerm) throws(Failure) -> Int
    ) -> LossDefinition {
        LossDefinition(name: name) { shape, _ throws(Failure) in
            LabelFormat(meaning: .values, type: .float32, shape: shape)
        } emit: { graph, prediction, labels, term throws(Failure) in
            try graph.meanOfSamples(try emit(&graph, try graph.subtract(prediction, labels), term))
        }
    }
}
