import Model

/// Minus the cosine of the angle between output and label along the last dimension.
enum CosineSimilarity {
    static var definition: LossDefinition {
        LossDefinition(name: "cosine_similarity") { shape, _ throws(Failure) in
            LabelFormat(meaning: .values, type: .float32, shape: shape)
        } emit: { graph, prediction, labels, _ throws(Failure) in
            let axis = graph.shape(prediction).count - 1
            let product = try graph.multiply(
                try normalized(&graph, prediction, axis), try normalized(&graph, labels, axis))
            return try graph.meanOfSamples(try graph.emit(.neg, [try graph.sum(product, axes: [axis])]))
        }
    }

    /// x / max(|x|, 1e-6).
    private static func normalized(_ graph: inout GraphEmitter, _ x: Int, _ axis: Int) throws(Failure) -> Int {
        let square = try graph.sum(try graph.emit(.square, [x]), axes: [axis], keepsDimensions: true)
        let bounded = try graph.emit(.maximum, [square, try graph.constant(1e-12)])
        return try graph.multiply(x, try graph.emit(.rsqrt, [bounded]))
    }
}
