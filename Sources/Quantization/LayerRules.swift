import Model

/// What is done differently with some operators. Of several rules for an operator the later ones win, field by field.
package struct LayerRule: Equatable, Sendable {
    /// An operator's name ("CONV_2D"), or a pattern for the name of its first output: `*` is any run of characters, `?`
    /// any one.
    package var pattern: String
    /// The operator stays float.
    package var isFloat: Bool?
    /// 2 to 16.
    package var weightBits: Int?
    /// Of the results: 4 to 8, with int16 activations to 16.
    package var activationBits: Int?
    package var perTensorWeights: Bool?
    /// How the scales of the weights come about in training.
    package var learnsWeightScales: Bool?

    package init(_ pattern: String) { self.pattern = pattern }

    func applies(to op: Operator, _ code: OperatorCode, in graph: Subgraph) -> Bool {
        if pattern == code.name { return true }
        guard let output = op.outputs.first, output >= 0 else { return false }
        return NamePattern(pattern).matches(graph.tensors[output].name)
    }
}
