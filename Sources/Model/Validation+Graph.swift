extension Validator {
    /// Indices, options, and the order of execution: nobody reads what a later operator writes, nobody writes what has
    /// a value already.
    func checkOperators(_ index: Int) throws(Failure) {
        let subgraph = model.subgraphs[index]
        let tensors = subgraph.tensors
        var writers = [Int?](repeating: nil, count: tensors.count)
        for (position, operation) in subgraph.operators.enumerated() {
            let part = Part.operation(subgraph: index, index: position)
            try checkIndex(operation.opcode, model.operatorCodes.count, part, "operator code")
            for tensor in operation.inputs {
                try checkIndex(tensor, tensors.count, part, "input tensor", optional: true)
            }
            for tensor in operation.outputs { try checkIndex(tensor, tensors.count, part, "output tensor") }
            for tensor in operation.intermediates {
                try checkIndex(tensor, tensors.count, part, "intermediate tensor", optional: true)
            }
            try checkOptions(operation.options, of: model.operatorCodes[operation.opcode], part)
            for tensor in operation.outputs {
                if let writer = writers[tensor] {
                    throw invalid(part, "its output \(name(tensor, tensors)) is written by operator \(writer) too")
                }
                guard model.data(of: tensors[tensor]) == nil, tensors[tensor].externalBuffer == 0 else {
                    throw invalid(part, "its output \(name(tensor, tensors)) is a constant")
                }
                writers[tensor] = position
            }
        }
        try checkInputsAndOutputs(subgraph, index, writers)
        for (position, operation) in subgraph.operators.enumerated() {
            for tensor in operation.inputs where tensor >= 0 {
                guard let writer = writers[tensor], writer >= position, !tensors[tensor].isVariable else { continue }
                throw invalid(
                    .operation(subgraph: index, index: position),
                    "its input \(name(tensor, tensors)) is written by operator \(writer), which does not run before it")
            }
        }
    }

    private func checkInputsAndOutputs(_ subgraph: Subgraph, _ index: Int, _ writers: [Int?]) throws(Failure) {
        let part = Part.subgraph(index)
        let tensors = subgraph.tensors
        var inputs: Set<Int> = []
        for tensor in subgraph.inputs {
            try checkIndex(tensor, tensors.count, part, "input tensor")
            guard inputs.insert(tensor).inserted else {
                throw invalid(part, "input \(name(tensor, tensors)) is listed twice")
            }
            guard model.data(of: tensors[tensor]) == nil, tensors[tensor].externalBuffer == 0 else {
                throw invalid(part, "input \(name(tensor, tensors)) is a constant")
            }
            if let writer = writers[tensor] {
                throw invalid(part, "input \(name(tensor, tensors)) is written by operator \(writer)")
            }
        }
        for tensor in subgraph.outputs { try checkIndex(tensor, tensors.count, part, "output tensor") }
    }

    /// `validateExecutable` for one subgraph that `checkOperators` found sound.
    func checkValues(_ index: Int) throws(Failure) {
        let subgraph = model.subgraphs[index]
        var hasValue = subgraph.tensors.map { tensor in
            tensor.isVariable || tensor.externalBuffer != 0 || model.data(of: tensor) != nil
                || elementCount(tensor.shape) == 0
        }
        for tensor in subgraph.inputs { hasValue[tensor] = true }
        for (position, operation) in subgraph.operators.enumerated() {
            for tensor in operation.inputs where tensor >= 0 && !hasValue[tensor] {
                throw invalid(
                    .operation(subgraph: index, index: position),
                    "its input \(name(tensor, subgraph.tensors)) has no data, and no operator writes it")
            }
            for tensor in operation.outputs { hasValue[tensor] = true }
        }
        for tensor in subgraph.outputs where !hasValue[tensor] {
            throw invalid(
                .subgraph(index), "output \(name(tensor, subgraph.tensors)) has no data, and no operator writes it")
        }
    }

    func name(_ index: Int, _ tensors: [Tensor]) -> Sentence { "tensor \(index) \"\(tensors[index].name)\"" }

    private func checkOptions(_ options: Options, of code: OperatorCode, _ part: Part) throws(Failure) {
        guard options.table != .none else { return }
        let expected = code.builtin.optionTable
        guard expected == .none || options.table == expected else {
            throw invalid(part, "options of \(expected.schema.name) were expected, found \(options.table.schema.name)")
        }
        let schema = options.table.schema
        guard options.fields.count <= schema.fields.count else {
            throw invalid(part, "\(schema.name) has \(schema.fields.count) fields, found \(options.fields.count)")
        }
        for (field, value) in zip(schema.fields, options.fields) where !field.accepts(value) {
            throw invalid(part, "option \(field.name) of \(schema.name) cannot be \(field.text(value))")
        }
    }
}

extension OptionSchema.Field {
    /// True if the value is of the field's type and inside its range.
    func accepts(_ value: OptionValue) -> Bool {
        switch (value, type.storage, isVector) {
        case (.absent, _, _), (.float, .float, false), (.floats, .float, true), (.string, .string, false),
            (.bytes, .uint8, true):
            true
        case (.float, _, _), (.floats, _, _), (.string, _, _), (.bytes, _, _), (_, .float, _), (_, .string, _),
            (_, .uint8, _):
            false
        case (.int(let number), _, false): accepts(number)
        case (.ints(let numbers), _, true): numbers.allSatisfy { accepts($0) }
        default: false
        }
    }

    private func accepts(_ number: Int64) -> Bool {
        switch type.meaning {
        case .enumeration(let names): return number >= 0 && number < names.count
        case .tensorType: return UInt8(exactly: number).flatMap { TensorType(rawValue: $0) } != nil
        case .plain, .subgraph: break
        }
        switch type.storage {
        case .bool, .uint8: return UInt8(exactly: number) != nil
        case .int8: return Int8(exactly: number) != nil
        case .uint32: return UInt32(exactly: number) != nil
        case .int32: return Int32(exactly: number) != nil
        case .int64: return true
        case .float, .string: return false
        }
    }
}
