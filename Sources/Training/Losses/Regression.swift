import Model
import Operators

/// Losses of the difference of outputs and labels.
enum Regression {
    static var squared: LossDefinition {
        make("mean_squared_error") { error, _ throws(Failure) in try error.apply(.square) }
    }

    static var absolute: LossDefinition {
        make("mean_absolute_error") { error, _ throws(Failure) in try error.apply(.abs) }
    }

    /// e^2 / 2 up to |e| = delta, from there on the tangent (Huber, 1964): m (|e| - m / 2) with m = min(|e|, delta).
    static var huber: LossDefinition {
        make("huber") { error, term throws(Failure) in
            let size = try error.apply(.abs)
            let bounded = try size.apply(.minimum, size.scalar(term.delta))
            return try bounded * (size - 0.5 * bounded)
        }
    }

    private static func make(
        _ name: String, _ emit: @escaping @Sendable (Value, LossTerm) throws(Failure) -> Value
    ) -> LossDefinition {
        LossDefinition(name: name) { shape, _ throws(Failure) in
            LabelFormat(meaning: .values, type: .float32, shape: shape)
        } emit: { prediction, labels, term throws(Failure) in
            try emit(prediction - labels, term).meanOfSamples()
        }
    }
}
