import Testing

@testable import Model

@Suite struct OptionsTests {
    @Test func everyTableHasItsRow() {
        #expect(OptionTable.allCases.count == 1 + 126 + 23)
        for table in OptionTable.allCases where table != .none {
            // "conv2D" and "Conv2DOptions": the case and the row say the same name.
            #expect(table.schema.name.lowercased() == "\(table)".lowercased() + "options")
        }
    }

    @Test func operatorsKnowTheirTable() {
        #expect(BuiltinOperator.conv2D.optionTable == .conv2D)
        #expect(BuiltinOperator.maxPool2D.optionTable == .pool2D)
        #expect(BuiltinOperator.rightShift.optionTable == .rightShift)
        #expect(BuiltinOperator.stablehloCase.optionTable == .stablehloCase)
        #expect(BuiltinOperator.relu.optionTable == .none)
        #expect(BuiltinOperator(rawValue: 500).optionTable == .none)
        let named = (0..<Int32(BuiltinOperator.count)).map { BuiltinOperator(rawValue: $0).optionTable }
        #expect(Set(named).count == 150, "each table belongs to an operator")
    }

    @Test func absentFieldsHaveTheSchemasDefault() {
        let options = Options(.conv2D)
        #expect(options.int(1) == 0)
        #expect(options.int(4) == 1 && options.int(5) == 1)
        #expect(Options(.add).bool(1) && Options(.bidirectionalSequenceLSTM).bool(4))
        #expect(Options(.unique).tensorType(0) == .int32)
        #expect(Options(.none).int(3) == 0 && Options(.none).float(7) == 0)
    }

    @Test func text() {
        let convolution = Options(.conv2D, [.int(1), .int(2), .int(2), .int(3)])
        #expect(
            convolution.text == "padding=VALID stride_w=2 stride_h=2 fused_activation_function=RELU6 "
                + "dilation_w_factor=1 dilation_h_factor=1 quantized_bias_type=FLOAT32")
        #expect(Options(.reshape, [.ints([-1, 3])]).text == "new_shape=[-1,3]")
        #expect(Options(.reshape).text == "")
        #expect(Options(.softmax, [.float(1)]).text == "beta=1.0")
        #expect(Options(.varHandle, [.absent, .string("v")]).text == "shared_name=\"v\"")
        #expect(
            Options(.stablehloConvolution, [.absent, .absent, .absent, .absent, .ints([1, 0])]).text
                .hasPrefix("window_reversal=[true,false] input_batch_dimension=0"))
    }

    /// Every field of every table, present, survives writing and reading.
    @Test func everyFieldRoundTrips() throws {
        var model = Samples.identity()
        model.subgraphs.append(model.subgraphs[0])
        for code in 0..<Int32(BuiltinOperator.count) {
            let builtin = BuiltinOperator(rawValue: code)
            guard builtin.optionTable != .none else { continue }
            var options = Options(builtin.optionTable)
            for (id, field) in options.table.schema.fields.enumerated() { options[id] = try sample(field) }
            var operation = Operator(opcode: 0, inputs: [0], outputs: [1], options: options)
            if builtin == .callOnce { (operation.inputs, operation.outputs) = ([], []) }
            if builtin == .if || builtin == .stablehloCase { operation.inputs = [0, 0] }
            model.operatorCodes = [OperatorCode(builtin, custom: builtin == .custom ? "c" : nil)]
            model.subgraphs[0].operators = [operation]
            model.subgraphs[1].operators = []
            model.subgraphs[1].inputs = builtin == .callOnce ? [] : [0]
            model.subgraphs[1].outputs = builtin == .callOnce ? [] : [1]
            #expect(try Model.read(model.serialized()) == model, "\(builtin.name)")
        }
    }

    private func sample(_ field: OptionSchema.Field) throws -> OptionValue {
        switch (field.type.storage, field.isVector) {
        case (.float, true): .floats([0, -1.5])
        case (.float, false): .float(0.25)
        case (.string, _): .string("täxt")
        case (.uint8, _): .bytes(try Samples.bytes([UInt8(1), 2, 255]))
        case (.int64, false): .int(-1 << 40)
        case (.int64, true): .ints([1 << 40, -1, 0])
        case (_, true): .ints([1, 1])
        case (.int32, false): if case .plain = field.type.meaning { .int(-7) } else { .int(1) }
        case (_, false): if field.name == "composite_attributes_format" { .int(0) } else { .int(1) }
        }
    }
}
