import Model
import Operators

/// The host computes the loss and its gradient g by the outputs; what the graph minimizes, sum(output g), has that
/// gradient.
enum HostLoss {
    static var definition: LossDefinition {
        LossDefinition(name: "host") { shape, _ throws(Failure) in
            LabelFormat(meaning: .gradient, type: .float32, shape: shape)
        } emit: { output, gradient, _ throws(Failure) in
            let product = try output * gradient
            return product.rank > 1 ? try product.sum(Array(1..<product.rank), keep: false) : product
        }
    }
}
