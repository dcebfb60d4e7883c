import Model
import Operators

/// Minus the cosine of the angle between output and label along the last dimension.
enum CosineSimilarity {
    static var definition: LossDefinition {
        LossDefinition(name: "cosine_similarity") { shape, _ throws(Failure) in
            LabelFormat(meaning: .values, type: .float32, shape: shape)
        } emit: { prediction, labels, _ throws(Failure) in
            let product = try normalized(prediction) * normalized(labels)
            return try (-product.sum([prediction.rank - 1], keep: false)).meanOfSamples()
        }
    }

    /// x / max(|x|, 1e-6).
    private static func normalized(_ x: Value) throws(Failure) -> Value {
        let square = try x.apply(.square).sum([x.rank - 1], keep: true)
        return try x * square.apply(.maximum, square.scalar(1e-12)).apply(.rsqrt)
    }
}
