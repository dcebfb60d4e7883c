import Model

/// Emits what the gradients of an operator's inputs are computed by. One result for each input; nil (or missing): the
/// operator has none for that input. A gradient may have the shape of a broadcast input: it is summed up afterwards.
package typealias Gradient = @Sendable (GradientContext) throws(Failure) -> [Value?]

/// An operator of the forward graph, and the gradients of its results.
package struct GradientContext {
    package let name: String
    package let options: Options
    package let customOptions: Bytes?
    package let inputs: [Value?]
    package let outputs: [Value]
    /// Gradients of the outputs; nil where nothing depends on an output.
    package let outputGradients: [Value?]
    /// Which inputs need a gradient. What is emitted for others is dropped again.
    package let isNeeded: [Bool]
    /// Number of the operator in its graph.
    private let number: Int

    package init(
        _ number: Int, name: String, options: Options, customOptions: Bytes?, inputs: [Value?], outputs: [Value],
        outputGradients: [Value?], isNeeded: [Bool]
    ) {
        self.number = number
        self.name = name
        self.options = options
        self.customOptions = customOptions
        self.inputs = inputs
        self.outputs = outputs
        self.outputGradients = outputGradients
        self.isNeeded = isNeeded
    }

    /// Input `index`, which the operator must have.
    package func input(_ index: Int) throws(Failure) -> Value {
        guard index < inputs.count, let input = inputs[index] else {
            throw .invalidModel("\(name): input \(index) is missing")
        }
        return input
    }

    package func needs(_ index: Int) -> Bool { index < isNeeded.count && isNeeded[index] }

    package var x: Value { get throws(Failure) { try input(0) } }
    package var b: Value { get throws(Failure) { try input(1) } }
    package var y: Value { outputs[0] }
    /// The gradient of output 0.
    package var dy: Value { get throws(Failure) { try gradient(0) } }

    /// The gradient of an output; zeros if nothing depends on it.
    package func gradient(_ index: Int) throws(Failure) -> Value {
        if let gradient = outputGradients[index] { return gradient }
        let output = outputs[index]
        return try output.scalar(0).broadcast(to: output.shape)
    }

    /// The numbers of a constant index input.
    package func integers(_ index: Int) throws(Failure) -> [Int] {
        let input = try input(index)
        let info = input.graph.info(input.tensor)
        if info.count == 0 { return [] }
        guard let numbers = info.integers else {
            throw .unsupported("\(name): has a gradient only where \(info.described) is constant")
        }
        return numbers
    }

    /// The operator as its shape rule sees it.
    func inference() -> ShapeInference {
        ShapeInference(
            name: name, version: 1, options: options, customOptions: customOptions,
            inputs: inputs.map { $0.map { $0.graph.info($0.tensor) } }, outputCount: outputs.count)
    }

    /// A further result of the operator itself, for its gradient alone: less to keep than its inputs.
    package func remember(_ type: TensorType, _ shape: [Int]) -> Value {
        y.graph.addResult(Tensor(name: "", type: type, shape: shape), toOperator: number)
    }

    /// The gradient of output 0 before the fused activation that option `field` holds.
    package func beforeActivation(_ field: Int) throws(Failure) -> Value {
        let activation = try FusedActivation(option: options.int(field), operator: name)
        switch activation {
        case .none: return try dy
        case .tanh: return try dy * (1 - y * y)
        case .signBit: throw .unsupported("\(name): its activation \(activation.name) has no gradient")
        default: return try ClampGradient.emit(dy, y, activation.floatRange)
        }
    }
}

extension OperatorDefinition {
    /// The same operator with a gradient.
    func gradient(_ gradient: @escaping Gradient) -> OperatorDefinition {
        OperatorDefinition(self, gradient: gradient)
    }
}
