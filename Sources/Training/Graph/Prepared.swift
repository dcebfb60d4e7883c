import Model
import Operators
import Quantization

extension Model {
    /// The model as training wants it: float16 and sparse constants as dense float32, batch normalization folded,
    /// activations fused, and one constant for each parameter: a converter stores equal constants once, so that all
    /// biases of a fresh network are one tensor of zeros. What the main subgraph calls is put in its place. The main subgraph is the one of the signature.
    package func preparedForTraining(signature key: String? = nil) throws(Failure) -> Model {
        var rolled: RolledModel?
        return try preparedForTraining(signature: key, &rolled)
    }

    /// `rolled` becomes the model with its loops and calls, where there are any.
    func preparedForTraining(signature key: String?, _ rolled: inout RolledModel?) throws(Failure) -> Model {
        var model = self
        if let key { try model.makeMain(key) }
        guard !model.subgraphs.isEmpty else { throw .invalidModel("\(origin): the model has no subgraph") }
        model = try model.preparedForQuantization()
        try model.refuseQuantized()
        try model.separateConstants()
        return try model.flatteningControlFlow(&rolled)
    }

    /// Moves the subgraph of a signature to place 0. Its inputs and outputs are those of the signature, in its order.
    private mutating func makeMain(_ key: String) throws(Failure) {
        guard let signature = signatures.first(where: { $0.key == key }) else {
            throw .outOfRange("\(origin): there is no signature '\(key)'")
        }
        guard signature.subgraph == 0 else {
            throw .unsupported(
                "\(origin): signature '\(key)' is subgraph \(signature.subgraph); only the main subgraph is trained")
        }
        let missing = subgraphs[0].inputs.first { input in !signature.inputs.contains { $0.tensor == input } }
        if let missing {
            throw .unsupported(
                "\(origin): signature '\(key)' does not name input '\(subgraphs[0].tensors[missing].name)'")
        }
        subgraphs[0].inputs = signature.inputs.map { $0.tensor }
        subgraphs[0].outputs = signature.outputs.map { $0.tensor }
    }

    /// A constant with one value throughout that several operators read becomes one for each: a network that shares
    /// weights on purpose shares trained ones.
    private mutating func separateConstants() throws(Failure) {
        var readings = [Int](repeating: 0, count: subgraphs[0].tensors.count)
        for op in subgraphs[0].operators.indices {
            for input in ParameterRoles.candidates(self, op) {
                let tensor = subgraphs[0].operators[op].inputs[input]
                readings[tensor] += 1
                guard readings[tensor] > 1, let values = floats(0, tensor), let first = values.first,
                    values.allSatisfy({ $0 == first })
                else { continue }
                subgraphs[0].operators[op].inputs[input] = try addConstant(
                    values, type: .float32, like: subgraphs[0].tensors[tensor], suffix: "/\(readings[tensor])", to: 0)
            }
        }
    }
}
