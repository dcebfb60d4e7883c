import CEdgeOpt
import Model
import Operators
import Runtime

/// A quantization under way: first samples, where the scheme needs them, then the quantized model. One thread at a time.
@safe package final class Quantizer {
    /// What is quantized: the model after the preparing passes.
    private let prepared: Model
    private let options: QuantizerOptions
    private let interpreter: Interpreter?
    /// What the tensors show that the calibrating graph has behind the model's: cell states of LSTM layers, step by step.
    private let shown: [Int]
    private var calibration: Calibration
    private var channelMeans: ChannelMeans
    private let graph = 0

    /// Fails if the model is quantized already, or its shapes are not known.
    package init(_ model: Model, _ options: QuantizerOptions) throws(Failure) {
        try options.validate()
        prepared = try model.preparedForQuantization()
        self.options = options
        guard !prepared.subgraphs.isEmpty else { throw .invalidModel("\(model.origin): the model has no subgraph") }
        try prepared.refuseQuantized()
        calibration = Calibration(
            tensorCount: prepared.subgraphs[graph].tensors.count, method: options.calibration,
            momentum: options.movingAverage)
        channelMeans = ChannelMeans(prepared, graph)
        guard options.scheme.needsCalibration else {
            (interpreter, shown) = (nil, [])
            return
        }
        try prepared.refuseUnknownShapes()
        var settings = Interpreter.Options()
        settings.threadCount = options.threadCount
        settings.isObserved = true
        let (observed, shown) = prepared.showingCellStates()
        self.shown = shown
        interpreter = try Interpreter(try LoadedModel(observed), settings)
    }

    /// The tensors a sample consists of.
    package var inputs: [Tensor] {
        prepared.subgraphs[graph].inputs.map { prepared.subgraphs[graph].tensors[$0] }
    }

    /// Their indices in the subgraph.
    package var inputIndices: [Int] { prepared.subgraphs[graph].inputs }

    package var inputCount: Int { prepared.subgraphs[graph].inputs.count }

    /// Runs one sample through the float model and notes the ranges of all float tensors. `data` has the bytes of each
    /// input, valid until the call returns. A sample that fails leaves no trace.
    package func calibrate(_ data: [Bytes]) throws(Failure) {
        guard let interpreter else { return }
        try check(data)
        let tensors = prepared.subgraphs[graph].tensors
        var ranges = [ValueRange?](repeating: nil, count: tensors.count)
        var means = channelMeans.emptySample
        var poisoned: Int?
        func note(_ tensor: Int, _ data: RawSpan) {
            let place = tensor - tensors.count
            let tensor = shown.indices.contains(place) ? shown[place] : tensor
            guard tensor < tensors.count, tensors[tensor].type == .float32 else { return }
            let values = Span<Float>(_bytes: data)
            ranges[tensor] = ValueRange(of: values)
            channelMeans.observe(tensor, values, &means)
            if ranges[tensor] == nil && poisoned == nil { poisoned = tensor }
        }
        for (index, input) in prepared.subgraphs[graph].inputs.enumerated() {
            if tensors[input].type == .float32 {
                let values = data[index].array(of: Float.self)
                ranges[input] = ValueRange(of: values)
                channelMeans.observe(input, values.span, &means)
                if ranges[input] == nil { poisoned = input }
            }
            try unsafe interpreter.bindInput(index, data[index].baseAddress, byteCount: data[index].count)
        }
        defer { for index in data.indices { try? unsafe interpreter.bindInput(index, nil, byteCount: 0) } }
        interpreter.resetVariables()
        if poisoned == nil { try interpreter.invoke(observing: note) }
        if let poisoned {
            let sample = calibration.sampleCount
            throw .execution(
                "\(prepared.origin): tensor '\(tensors[poisoned].name)' has a value that is NaN or infinite in sample"
                    + " \(sample)")
        }
        calibration.add(withViews(ranges))
        channelMeans.add(means)
    }

    private func check(_ data: [Bytes]) throws(Failure) {
        guard data.count == inputCount else {
            throw .wrongSize("\(prepared.origin): a sample has \(inputCount) inputs, not \(data.count)")
        }
        for (index, tensor) in inputs.enumerated() {
            let wanted = elementCount(tensor.shape).flatMap { tensor.type.byteCount($0) } ?? 0
            guard data[index].count == wanted else {
                throw .wrongSize(
                    "\(prepared.origin): input \(index), tensor '\(tensor.name)' (\(tensor.type.name)), has \(wanted)"
                        + " bytes, not \(data[index].count)")
            }
        }
    }

    /// A view has the values of what it is a view of.
    private func withViews(_ seen: [ValueRange?]) -> [ValueRange?] {
        var ranges = seen
        let subgraph = prepared.subgraphs[graph]
        for op in subgraph.operators {
            guard let input = op.inputs.first, input >= 0, let output = op.outputs.first, output >= 0,
                OperatorRegistry.definition(prepared.operatorCodes[op.opcode])?.isView == true
            else { continue }
            ranges[output] = ranges[output] ?? ranges[input]
        }
        return ranges
    }

    /// The quantized model.
    package func finish() throws(Failure) -> Model {
        switch options.scheme {
        case .float16: return try Float16Scheme.apply(to: prepared, options: options).compacted()
        case .dynamicRange: return try DynamicRangeScheme.apply(to: prepared, options: options).compacted()
        case .int8, .int16x8:
            return try IntegerScheme.apply(plan(), means: channelMeans)
        }
    }

    /// What the integer schemes will do, with the ranges seen so far.
    package func plan() throws(Failure) -> QuantizationPlan {
        guard calibration.sampleCount > 0 else {
            throw Failure(
                EO_NO_CALIBRATION,
                "\(prepared.origin): scheme \(options.scheme.name) needs calibration samples and got none")
        }
        // What the file says of a tensor goes before what was seen.
        let tensors = prepared.subgraphs[graph].tensors
        let ranges = tensors.indices.map { tensors[$0].statedRange ?? calibration.ranges[$0] }
        return QuantizationPlan(prepared, ranges: ranges, options: options)
    }
}

extension Model {
    /// A model with integer activations or weights has lost what quantization and training start from.
    package func refuseQuantized() throws(Failure) {
        for subgraph in subgraphs {
            for tensor in subgraph.tensors {
                guard let quantization = tensor.quantization,
                    !quantization.scales.isEmpty || quantization.details != nil
                else { continue }
                switch tensor.type {
                case .int8, .uint8, .int16, .int4, .uint4, .int2:
                    throw .invalidModel(
                        "\(origin): the model is already quantized: tensor '\(tensor.name)' is \(tensor.type.name)."
                            + " Expected a float32 model")
                default: continue
                }
            }
        }
    }

    /// The model with the cell states of its float LSTM layers as further outputs of these, which no other runtime knows,
    /// and the variable tensors that hold the states.
    fileprivate func showingCellStates() -> (model: Model, states: [Int]) {
        typealias Input = UnidirectionalSequenceLSTM.Input
        var (model, states): (Model, [Int]) = (self, [])
        for (index, op) in subgraphs[0].operators.enumerated()
        where code(0, index).builtin == .unidirectionalSequenceLstm && op.inputs.count > Input.cellState {
            let cells = model.add(Tensor(name: "", type: .float32, shape: []), to: 0)
            model.subgraphs[0].operators[index].outputs.append(cells)
            states.append(op.inputs[Input.cellState])
        }
        return (model, states)
    }

    /// Calibration needs a shape for every input.
    fileprivate func refuseUnknownShapes() throws(Failure) {
        for input in subgraphs[0].inputs where input >= 0 {
            let tensor = subgraphs[0].tensors[input]
            if tensor.shape.contains(where: { $0 <= 0 }) {
                throw .unsupported(
                    "\(origin): input '\(tensor.name)' has shape \(tensor.shape.listed): a model without elements cannot be"
                        + " calibrated. Give its input a fixed shape first")
            }
        }
    }
}
