import Model
import Operators
import Quantization

/// Appends operators to the main subgraph of a model. Shapes of results follow from the shapes of what they read.
struct GraphEmitter {
    private(set) var model: Model

    init(_ model: Model) { self.model = model }

    func shape(_ tensor: Int) -> [Int] { model.subgraphs[0].tensors[tensor].shape }
    func tensor(_ tensor: Int) -> Tensor { model.subgraphs[0].tensors[tensor] }

    mutating func input(_ name: String, _ type: TensorType, _ shape: [Int]) -> Int {
        let tensor = model.add(Tensor(name: name, type: type, shape: shape), to: 0)
        model.subgraphs[0].inputs.append(tensor)
        return tensor
    }

    mutating func output(_ tensor: Int) { model.subgraphs[0].outputs.append(tensor) }

    mutating func constant(_ value: Float) throws(Failure) -> Int {
        try model.addConstant([value], type: .float32, like: Tensor(name: "", type: .float32, shape: []), suffix: "", to: 0)
    }

    mutating func integers(_ values: [Int]) throws(Failure) -> Int {
        let pattern = Tensor(name: "", type: .int32, shape: [values.count])
        return try model.addConstant(
            values.map { Int32(clamping: $0) }, type: .int32, like: pattern, suffix: "", to: 0)
    }

    mutating func integer(_ value: Int) throws(Failure) -> Int {
        let pattern = Tensor(name: "", type: .int32, shape: [])
        return try model.addConstant([Int32(clamping: value)], type: .int32, like: pattern, suffix: "", to: 0)
    }

    /// Adds an operator and gives its first result, a float tensor.
    mutating func emit(
        _ code: BuiltinOperator, _ inputs: [Int], _ options: Options? = nil
    ) throws(Failure) -> Int {
        try emit(OperatorCode(code), inputs, options ?? Options(code.optionTable), outputs: 1)[0]
    }

    mutating func emit(custom name: String, _ inputs: [Int], outputs: Int = 1) throws(Failure) -> [Int] {
        try emit(OperatorCode(.custom, custom: name), inputs, .none, outputs: outputs)
    }

    private mutating func emit(
        _ code: OperatorCode, _ inputs: [Int], _ options: Options, outputs: Int
    ) throws(Failure) -> [Int] {
        guard let definition = OperatorRegistry.definition(code) else {
            throw .unsupported("\(model.origin): \(code.name) is not supported")
        }
        let infos = inputs.map { tensor -> TensorInfo? in
            let description = model.subgraphs[0].tensors[tensor]
            return TensorInfo(
                name: description.name, type: description.type, shape: description.shape,
                constant: model.constant(0, tensor))
        }
        let inference = ShapeInference(
            name: code.name, version: code.version, options: options, inputs: infos, outputCount: outputs)
        guard let shapes = try definition.shapes(inference), shapes.count >= outputs else {
            throw .unsupported("\(model.origin): the shape of the result of \(code.name) is not known")
        }
        let results = shapes[..<outputs].map {
            model.add(Tensor(name: "", type: .float32, shape: $0), to: 0)
        }
        let index = model.operatorCodes.firstIndex(of: code) ?? model.operatorCodes.count
        if index == model.operatorCodes.count { model.operatorCodes.append(code) }
        model.subgraphs[0].operators.append(
            Operator(opcode: index, inputs: inputs, outputs: results, options: options))
        return results
    }

    // MARK: Words of losses

    mutating func add(_ a: Int, _ b: Int) throws(Failure) -> Int { try emit(.add, [a, b]) }
    mutating func subtract(_ a: Int, _ b: Int) throws(Failure) -> Int { try emit(.sub, [a, b]) }
    mutating func multiply(_ a: Int, _ b: Int) throws(Failure) -> Int { try emit(.mul, [a, b]) }
    mutating func scale(_ x: Int, _ factor: Float) throws(Failure) -> Int {
        factor == 1 ? x : try multiply(x, try constant(factor))
    }

    mutating func sum(_ x: Int, axes: [Int], keepsDimensions: Bool = false) throws(Failure) -> Int {
        let options = Options(.reducer, [.int(keepsDimensions ? 1 : 0)])
        return try emit(.sum, [x, try integers(axes)], options)
    }

    /// The mean of everything but dimension 0.
    mutating func meanOfSamples(_ x: Int) throws(Failure) -> Int {
        let rank = shape(x).count
        guard rank > 1 else { return x }
        return try emit(.mean, [x, try integers(Array(1..<rank))], Options(.reducer))
    }
}
