import Kernels
import Model

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta over the last dimension, in float32, instead of the ten
/// operators that converters write. Inputs: 0 x, 1 gamma (optional), 2 beta. The variance is summed in another order
/// than by the operators, so results differ from theirs by rounding.
package struct LayerNormalization: Sendable {
    private let length: Int
    private let gamma: [Float]
    private let beta: [Float]
    private let epsilon: Float

    /// nil: the constants do not run along the last dimension of x.
    package init?(x: TensorInfo, gamma: TensorInfo?, beta: TensorInfo, epsilon: Float) {
        guard x.type == .float32, let length = x.shape.last, length > 0, epsilon.isFinite,
            let beta = Self.row(beta, length),
            let gamma = gamma.map({ Self.row($0, length) }) ?? [Float](repeating: 1, count: length)
        else { return nil }
        (self.length, self.gamma, self.beta, self.epsilon) = (length, gamma, beta, epsilon)
    }

    private static func row(_ tensor: TensorInfo, _ length: Int) -> [Float]? {
        guard tensor.type == .float32, let values = tensor.constant?.array(of: Float.self) else { return nil }
        if values.count == 1 { return [Float](repeating: values[0], count: length) }
        return values.count == length && tensor.shape.last == length ? values : nil
    }

    package var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: "LAYER_NORMALIZATION", maxVersion: 1, inPlace: true) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            op.kernelName = "layer normalization"
            let rows = try RowConstants(normalizing: gamma, shifts: beta, epsilon: epsilon)
            return { io in
                var y = io.output(as: UInt8.self)
                rows.run(io.input(0), &y, pool: io.pool)
            }
        }
    }
}
