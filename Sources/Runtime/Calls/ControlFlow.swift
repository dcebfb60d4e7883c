import Kernels
import Model
import Operators

/// Operators that run other subgraphs or name memory: the Runtime's own, not in the registry.
enum ControlFlow {
    /// What the shape rule needs; `Compiler.call` makes them ready.
    static func definition(_ code: BuiltinOperator) -> OperatorDefinition? {
        switch code {
        case .while, .if, .callOnce, .varHandle, .readVariable, .assignVariable:
            OperatorDefinition(code, maxVersion: 1) { op throws(Failure) in
                guard code == .while else { return op.statedOutputShapes }
                var shapes: [[Int]] = []
                for index in op.inputs.indices { shapes.append(try op.input(index).shape) }
                return shapes
            } prepare: { op throws(Failure) in
                throw op.unsupported("it cannot run by itself")
            }
        default: nil
        }
    }

    /// Input 0 to the variable that is input 1.
    fileprivate static var assignment: OperatorDefinition {
        OperatorDefinition(.assignVariable, maxVersion: 1) { _ throws(Failure) in
            []
        } prepare: { op throws(Failure) in
            let (value, variable) = (try op.input(0), try op.input(1))
            guard value.type == variable.type, value.shape == variable.shape else {
                throw op.unsupported("\(value.described) for the variable \(variable.described)")
            }
            return { io in
                var memory = io.variable(1, as: UInt8.self)
                copyBytes(from: io.input(0), to: &memory)
            }
        }
    }
}

extension GraphBuilder {
    /// VAR_HANDLE gives a variable its name; READ_VARIABLE and ASSIGN_VARIABLE become copies from and to its memory.
    /// False: it is another operator.
    mutating func addResource(
        _ op: Operator, _ code: OperatorCode, place: Int, tensors: [Int]
    ) throws(Failure) -> Bool {
        let inputs = op.inputs.map { $0 < 0 ? -1 : tensors[$0] }
        switch (code.builtin, inputs.count, op.outputs.count) {
        case (.varHandle, 0, 1):
            let name = (op.options.string(0) ?? "") + "/" + (op.options.string(1) ?? "")
            handles.append((tensors[op.outputs[0]], name))
        case (.readVariable, 1, 1):
            let output = tensors[op.outputs[0]]
            let variable = try variable(inputs[0], like: output, place, code)
            graph.nodes.append(.identity(place: place, from: variable, to: output))
        case (.assignVariable, 2, 0):
            let variable = try variable(inputs[0], like: inputs[1], place, code)
            graph.nodes.append(
                Node(
                    place: place, isInlined: false, name: code.name, version: code.version,
                    definition: ControlFlow.assignment, options: op.options, customOptions: nil,
                    inputs: [inputs[1], variable], outputs: []))
        case (.varHandle, _, _), (.readVariable, _, _), (.assignVariable, _, _):
            throw .invalidModel(
                "\(loaded.model.origin): operator \(place), \(code.name), has \(inputs.count) inputs and"
                    + " \(op.outputs.count) outputs")
        default:
            guard inputs.contains(where: { input in handles.contains { $0.tensor == input } }) else { return false }
            throw .unsupported("\(loaded.model.origin): operator \(place), \(code.name), is given a resource handle")
        }
        return true
    }

    /// The graph's tensor for a variable. Type and shape are those of the first tensor it is read to or assigned from.
    private mutating func variable(
        _ handle: Int, like pattern: Int, _ place: Int, _ code: OperatorCode
    ) throws(Failure) -> Int {
        guard pattern >= 0, let name = handles.last(where: { $0.tensor == handle })?.name else {
            throw .unsupported(
                "\(loaded.model.origin): operator \(place), \(code.name), has a handle that no VAR_HANDLE gives")
        }
        if let known = graph.variables.first(where: { $0.name == name }) { return known.tensor }
        var info = graph.tensors[pattern]
        (info.name, info.constant, info.isVariable) = (name, nil, true)
        graph.variables.append((graph.tensors.count, name))
        graph.tensors.append(info)
        graph.hasShape.append(true)
        graph.isShareable.append(false)
        graph.isKept.append(false)
        return graph.tensors.count - 1
    }
}
