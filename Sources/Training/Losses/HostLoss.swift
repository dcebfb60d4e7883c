import Model

/// The host computes the loss and its gradient g by the outputs; what the graph minimizes, sum(output g), has that
/// gradient.
enum HostLoss {
    static var definition: LossDefinition {
        LossDefinition(name: "host") { shape, _ throws(Failure) in
            LabelFormat(meaning: .gradient, type: .float32, shape: shape)
        } emit: { graph, output, gradient, _ throws(Failure) in
            let product = try graph.multiply(output, gradient)
            let rank = graph.shape(product).count
            return rank > 1 ? try graph.sum(product, axes: Array(1..<rank)) : product
        }
    }
}
