import Model

/// A tensor of the float model may be needed in several forms: float32 (nil), int8 with these parameters, with those.
/// This keeps them, and puts a QUANTIZE or DEQUANTIZE where one has to be made from another.
struct TensorForms {
    private struct Form {
        let source: Int
        let parameters: Parameters?
        let tensor: Int
        /// False: an output of the model that nobody has computed yet.
        var isDefined: Bool
    }
    private struct Constant {
        let source: Int
        let type: TensorType
        let quantization: Quantization
        let tensor: Int
    }
    private let graph: Int
    private var forms: [Form] = []
    private var constants: [Constant] = []
    /// Tensors whose original index has been given to one of their forms.
    private var taken: [Int] = []

    init(graph: Int) { self.graph = graph }

    /// Gives the original index of an input or output of the model to one form.
    mutating func reserve(_ source: Int, _ parameters: Parameters?, in model: inout Model) {
        guard !taken.contains(source) else { return }
        shape(source, source, parameters, in: &model)
        forms.append(Form(source: source, parameters: parameters, tensor: source, isDefined: false))
        taken.append(source)
    }

    /// Says that a reserved form is there.
    mutating func define(_ source: Int, _ parameters: Parameters?) {
        for index in forms.indices where forms[index].source == source && forms[index].parameters == parameters {
            forms[index].isDefined = true
        }
    }

    /// The tensor in which an operator puts its result.
    mutating func define(_ source: Int, _ parameters: Parameters?, in model: inout Model) -> Int {
        if let index = forms.firstIndex(where: { $0.source == source && $0.parameters == parameters }) {
            forms[index].isDefined = true
            return forms[index].tensor
        }
        let tensor = newTensor(source, parameters, in: &model)
        forms.append(Form(source: source, parameters: parameters, tensor: tensor, isDefined: true))
        return tensor
    }

    /// The tensor in a form, converted if need be; the original where no form is known (constants).
    mutating func tensor(_ source: Int, as parameters: Parameters?, in model: inout Model) throws(Failure) -> Int {
        if let known = existing(source, parameters) { return known }
        guard let from = forms.first(where: { $0.source == source && $0.isDefined }) else { return source }
        let tensor = define(source, parameters, in: &model)
        try appendConversion(from, to: tensor, parameters, in: &model)
        return tensor
    }

    private func existing(_ source: Int, _ parameters: Parameters?) -> Int? {
        forms.first { $0.source == source && $0.parameters == parameters && $0.isDefined }?.tensor
    }

    /// The integer form of a constant, if it has been made.
    func constant(_ source: Int, _ type: TensorType, _ quantization: Quantization) -> Int? {
        constants.first { $0.source == source && $0.type == type && $0.quantization == quantization }?.tensor
    }

    mutating func addConstant(_ source: Int, _ type: TensorType, _ quantization: Quantization, _ tensor: Int) {
        constants.append(Constant(source: source, type: type, quantization: quantization, tensor: tensor))
    }

    /// A tensor that is clamped to the numbers in use before it becomes `tensor`: MAXIMUM, and for int16 MINIMUM. Gives
    /// the tensor to write, and the operators to append behind the one that writes it. Saturation does the rest.
    func clamped(
        _ tensor: Int, _ parameters: Parameters, in model: inout Model
    ) throws(Failure) -> (tensor: Int, operators: [Operator]) {
        var operators: [Operator] = []
        var result = tensor
        func put(_ code: BuiltinOperator, _ bound: Int) throws(Failure) {
            var pattern = model.subgraphs[graph].tensors[tensor]
            pattern.name = pattern.shortName + "_" + code.name.lowercaseASCII
            let raw = model.add(pattern, to: graph)
            let limit = Tensor(name: pattern.name, type: parameters.type, shape: [1])
            let constant =
                parameters.type == .int16
                ? try model.addConstant(
                    [Int16(bound)], type: .int16, like: limit, suffix: "_bound", quantization: parameters.quantization,
                    to: graph)
                : try model.addConstant(
                    [Int8(bound)], type: .int8, like: limit, suffix: "_bound", quantization: parameters.quantization,
                    to: graph)
            let opcode = model.operatorCode(code, version: OperatorVersions.lowest(code, parameters.type))
            operators.insert(
                Operator(
                    opcode: opcode, inputs: [raw, constant], outputs: [result], options: Options(.maximumMinimum)),
                at: 0)
            result = raw
        }
        if parameters.isCutBelow { try put(.maximum, parameters.low) }
        if parameters.isCutAbove { try put(.minimum, parameters.high) }
        return (result, operators)
    }

    private func appendConversion(
        _ from: Form, to tensor: Int, _ parameters: Parameters?, in model: inout Model
    ) throws(Failure) {
        let (tensor, clamps) =
            try parameters.map { (p) throws(Failure) in try clamped(tensor, p, in: &model) } ?? (tensor, [])
        let code: BuiltinOperator = parameters == nil ? .dequantize : .quantize
        let type = parameters?.type == .int16 || from.parameters?.type == .int16 ? TensorType.int16 : .int8
        let opcode = model.operatorCode(code, version: OperatorVersions.lowest(code, type))
        model.subgraphs[graph].operators.append(
            Operator(
                opcode: opcode, inputs: [from.tensor], outputs: [tensor],
                options: Options(parameters == nil ? .dequantize : .quantize)))
        model.subgraphs[graph].operators += clamps
    }

    /// The first form takes the original index and name, the others get new ones.
    private mutating func newTensor(_ source: Int, _ parameters: Parameters?, in model: inout Model) -> Int {
        if !taken.contains(source) {
            taken.append(source)
            shape(source, source, parameters, in: &model)
            return source
        }
        var copy = model.subgraphs[graph].tensors[source]
        copy.name = copy.shortName + (parameters.map { "_\($0.type.name.lowercaseASCII)" } ?? "_float32")
        let tensor = model.add(copy, to: graph)
        shape(tensor, source, parameters, in: &model)
        return tensor
    }

    private func shape(_ tensor: Int, _ source: Int, _ parameters: Parameters?, in model: inout Model) {
        model.subgraphs[graph].tensors[tensor].type = parameters?.type ?? .float32
        model.subgraphs[graph].tensors[tensor].quantization = parameters?.quantization
    }
}
