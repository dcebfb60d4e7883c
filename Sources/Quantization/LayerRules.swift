import Model

/// What is done differently with some operators. Of several rules for an operator the later ones win, field by field.
package struct LayerRule: Equatable, Sendable {
    /// An operator's name ("CONV_2D"), or a pattern for the name of its first output: `*` is any run of characters, `?`
    /// any one.
    package var pattern: String
    /// The operator stays float.
    package var isFloat: Bool?
    /// 2 to 8.
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
        return matches(graph.tensors[output].name, pattern: pattern)
    }
}

/// True if all of `text` fits a pattern of `*` and `?`. Time grows with the product of the lengths at most.
package func matches(_ text: String, pattern: String) -> Bool {
    let (text, pattern) = (Array(text.utf8), Array(pattern.utf8))
    let (star, one) = (UInt8(ascii: "*"), UInt8(ascii: "?"))
    var (t, p) = (0, 0)
    // Where to go on after a mismatch: the last star takes one more character.
    var retry: (t: Int, p: Int)?
    while t < text.count {
        if p < pattern.count, pattern[p] == star {
            retry = (t, p)
            p += 1
        } else if p < pattern.count, pattern[p] == one || pattern[p] == text[t] {
            (t, p) = (t + 1, p + 1)
        } else if let last = retry {
            retry = (last.t + 1, last.p)
            (t, p) = (last.t + 1, last.p + 1)
        } else {
            return false
        }
    }
    return pattern[p...].allSatisfy { $0 == star }
}
