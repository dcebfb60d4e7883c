import Quantization

/// A number for the layers with a certain name: of the weights or of what their operator writes.
package struct LayerTarget: Sendable {
    package let pattern: NamePattern
    package let value: Double

    package init(_ pattern: String, _ value: Double) {
        self.pattern = NamePattern(pattern)
        self.value = value
    }
}

extension [LayerTarget] {
    /// The value of the last rule that fits; `otherwise` if none does.
    func value(for weights: WeightTensor, otherwise: Double) -> Double {
        last { rule in weights.names.contains { rule.pattern.matches($0) } }?.value ?? otherwise
    }
}
