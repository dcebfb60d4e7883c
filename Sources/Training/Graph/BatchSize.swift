import Kernels
import Model
import Operators
import Quantization

extension Model {
    /// The model for batches of `size` samples, whatever first dimension its inputs have, with the shapes of all tensors
    /// of the main subgraph settled and the integers that follow from shapes computed.
    package func withBatchSize(_ size: Int) throws(Failure) -> Model {
        guard size > 0, size < 1 << 24 else {
            throw .invalidArgument("the batch size is \(size), it must be from 1 to \(1 << 24 - 1)")
        }
        var change = try BatchSizeChange(self, size)
        return try change.apply()
    }
}

/// Walks through a graph in the order of execution and gives each tensor the shape it has for the new batch size.
/// Constants that repeat the old batch size (targets of RESHAPE, ends of slices) are made anew.
private struct BatchSizeChange {
    private var model: Model
    /// Shapes as the file states them.
    private let before: [[Int]]
    private let old: Int
    private let new: Int
    private let pool: ThreadPool
    private let weights: PackedWeightCache

    init(_ model: Model, _ size: Int) throws(Failure) {
        self.model = model
        before = model.subgraphs[0].tensors.map { $0.shape }
        new = size
        pool = try ThreadPool(threads: 1)
        weights = try PackedWeightCache()
        let first = model.subgraphs[0].inputs.lazy.map { model.subgraphs[0].tensors[$0] }.first { Self.hasBatch($0) }
        old = first?.shape[0] ?? size
        if first == nil, size != 1 {
            throw .unsupported(
                "\(model.origin): no input has a dimension for samples; the batch size can only be 1, not \(size)")
        }
        if first == nil { return }
        for input in model.subgraphs[0].inputs where Self.hasBatch(model.subgraphs[0].tensors[input]) {
            guard model.subgraphs[0].tensors[input].shape[0] == old else { continue }
            self.model.subgraphs[0].tensors[input].shape[0] = size
        }
    }

    /// A list of numbers is one sample unless the file says that its length may change.
    private static func hasBatch(_ tensor: Tensor) -> Bool {
        guard let first = tensor.shape.first, first > 0 else { return false }
        return tensor.shape.count > 1 || tensor.shapeSignature?.first == -1
    }

    mutating func apply() throws(Failure) -> Model {
        var kept: [Operator] = []
        for index in model.subgraphs[0].operators.indices {
            do throws(Failure) {
                if new != old { try repair(index, &kept) }
                if try !settle(index) { kept.append(model.subgraphs[0].operators[index]) }
            } catch {
                throw Failure(error.status, "\(model.place(0, index)): \(error.message) (batch size \(new))")
            }
        }
        model.subgraphs[0].operators = kept
        for tensor in model.subgraphs[0].tensors.indices { model.subgraphs[0].tensors[tensor].shapeSignature = nil }
        return model
    }

    // MARK: Shapes

    private func info(_ tensor: Int) -> TensorInfo? {
        guard tensor >= 0 else { return nil }
        let description = model.subgraphs[0].tensors[tensor]
        return TensorInfo(
            name: description.name, type: description.type, shape: description.shape,
            quantization: description.quantization, constant: model.constant(0, tensor),
            isVariable: description.isVariable)
    }

    /// Gives the outputs of an operator their shapes. True if its results, not being float, are constants now.
    private mutating func settle(_ index: Int) throws(Failure) -> Bool {
        let op = model.subgraphs[0].operators[index]
        let code = model.operatorCodes[op.opcode]
        guard let definition = OperatorRegistry.definition(code) else {
            throw .unsupported("the operator is not supported")
        }
        let inputs = op.inputs.map { info($0) }
        let inference = ShapeInference(
            name: code.name, version: code.version, options: op.options, customOptions: op.customOptions,
            inputs: inputs, outputCount: op.outputs.count, statedOutputShapes: op.outputs.map { before[$0] })
        guard let shapes = try definition.shapes(inference), shapes.count >= op.outputs.count else {
            throw .unsupported("the shape of its result depends on values; such a graph cannot be trained")
        }
        for (output, shape) in zip(op.outputs, shapes) {
            guard let count = elementCount(shape), count < 1 << 40 else {
                throw .unsupported("its result would have shape \(shape.listed)")
            }
            model.subgraphs[0].tensors[output].shape = shape
        }
        let isKnown = !inputs.isEmpty && inputs.allSatisfy { $0.map { $0.isConstant } ?? true }
        guard isKnown || definition.readsOnlyShapes, !definition.isRandom,
            op.outputs.allSatisfy({
                isIndex(model.subgraphs[0].tensors[$0]) && !model.subgraphs[0].outputs.contains($0)
            })
        else { return false }
        let evaluation = Evaluation(
            definition, version: code.version, options: op.options, customOptions: op.customOptions, pool: pool,
            weights: weights)
        guard let results = try evaluation.evaluate(inputs, outputs: op.outputs.compactMap { info($0) }) else {
            return false
        }
        for (output, result) in zip(op.outputs, results) {
            model.buffers.append(Buffer(result.constant))
            model.subgraphs[0].tensors[output].buffer = model.buffers.count - 1
        }
        return true
    }

    private func isIndex(_ tensor: Tensor) -> Bool {
        tensor.type == .int32 || tensor.type == .int64 || tensor.type == .bool
    }

    // MARK: Constants that repeat the batch size

    /// The dimension of a tensor that has grown with the batch.
    private func batchAxis(_ tensor: Int) -> Int? {
        guard tensor >= 0 else { return nil }
        let shape = model.subgraphs[0].tensors[tensor].shape
        guard tensor < before.count, shape.count == before[tensor].count else { return nil }
        return shape.indices.first { shape[$0] != before[tensor][$0] }
    }

    private mutating func repair(_ index: Int, _ kept: inout [Operator]) throws(Failure) {
        let op = model.subgraphs[0].operators[index]
        let code = model.code(0, index).builtin
        for tensor in op.inputs where tensor >= 0 && model.subgraphs[0].tensors[tensor].isVariable {
            // States have a row for each sample.
            let shape = model.subgraphs[0].tensors[tensor].shape
            if shape.first == old, shape == before[tensor] { model.subgraphs[0].tensors[tensor].shape[0] = new }
        }
        guard let first = op.inputs.first, !op.outputs.isEmpty else { return }
        switch code {
        case .concatenation, .pack: try spread(index, &kept)
        case .transposeConv:
            guard op.inputs.count > 2, let axis = batchAxis(op.inputs[2]) else { return }
            try edit(index, input: 0, axis, to: new)
        case .reshape:
            guard let axis = batchAxis(first) else { return }
            try reshape(index, axis)
        case .broadcastTo:
            guard let axis = batchAxis(first) else { return }
            let skipped = model.subgraphs[0].tensors[op.outputs[0]].shape.count - before[first].count
            let size = model.subgraphs[0].tensors[first].shape[axis]
            try edit(index, input: 1, axis + skipped, to: size)
        case .slice:
            guard let axis = batchAxis(first) else { return }
            try edit(index, input: 2, axis, from: before[first][axis], to: -1)
        case .stridedSlice:
            guard let axis = batchAxis(first) else { return }
            let size = model.subgraphs[0].tensors[first].shape[axis]
            try edit(index, input: 2, axis, from: before[first][axis], to: size)
        default: break
        }
    }

    /// The target of a RESHAPE: the output dimension that begins where the batch dimension of the input begins grows as
    /// the input has.
    private mutating func reshape(_ index: Int, _ axis: Int) throws(Failure) {
        let op = model.subgraphs[0].operators[index]
        let (input, output) = (op.inputs[0], op.outputs[0])
        let leading = before[input][..<axis].reduce(1, &*)
        let size = model.subgraphs[0].tensors[input].shape[axis]
        var target = before[output]
        guard var place = target.indices.first(where: { target[..<$0].reduce(1, &*) == leading }) else { return }
        // Dimensions of 1 belong to the batch only if it was 1.
        while old > 1, place < target.count, target[place] == 1 { place += 1 }
        guard place < target.count, before[input][axis] > 0 else { return }
        let (grown, overflow) = target[place].multipliedReportingOverflow(by: size)
        guard !overflow, grown % before[input][axis] == 0 else { return }
        target[place] = grown / before[input][axis]
        guard elementCount(target) == elementCount(model.subgraphs[0].tensors[input].shape) else { return }
        let shape = target.map { Int32(clamping: $0) }
        let pattern = Tensor(
            name: model.subgraphs[0].tensors[output].name + "/shape", type: .int32, shape: [shape.count])
        let constant = try model.addConstant(shape, type: .int32, like: pattern, suffix: "", to: 0)
        model.subgraphs[0].operators[index].inputs = [input, constant]
        model.subgraphs[0].operators[index].options = .none
    }

    /// Constants that are joined with a batch are repeated for each sample.
    private mutating func spread(_ index: Int, _ kept: inout [Operator]) throws(Failure) {
        let op = model.subgraphs[0].operators[index]
        let joined = op.inputs.filter { $0 >= 0 }
        guard let example = joined.first(where: { batchAxis($0) != nil }), let axis = batchAxis(example) else { return }
        let size = model.subgraphs[0].tensors[example].shape[axis]
        for (place, tensor) in op.inputs.enumerated() where tensor >= 0 && batchAxis(tensor) == nil {
            var tensorShape = model.subgraphs[0].tensors[tensor].shape
            guard tensorShape.count == before[example].count, tensorShape[axis] == 1, size != 1 else { continue }
            tensorShape[axis] = size
            let pattern = Tensor(
                name: model.subgraphs[0].tensors[tensor].name + "/repeated", type: .int32, shape: [tensorShape.count])
            let target = try model.addConstant(
                tensorShape.map { Int32(clamping: $0) }, type: .int32, like: pattern, suffix: "/shape", to: 0)
            var result = pattern
            result.type = model.subgraphs[0].tensors[tensor].type
            result.shape = tensorShape
            let repeated = model.add(result, to: 0)
            kept.append(
                Operator(
                    opcode: model.operatorCode(.broadcastTo, version: 2), inputs: [tensor, target], outputs: [repeated],
                    options: Options(.broadcastTo)))
            model.subgraphs[0].operators[index].inputs[place] = repeated
        }
    }

    /// Replaces a number of a constant index input of an operator; only `old`, if that is given.
    private mutating func edit(
        _ index: Int, input place: Int, _ axis: Int, from old: Int? = nil, to new: Int
    ) throws(Failure) {
        let inputs = model.subgraphs[0].operators[index].inputs
        guard place < inputs.count, inputs[place] >= 0, let present = info(inputs[place])?.integers else { return }
        guard present.indices.contains(axis), old == nil || present[axis] == old, present[axis] != new else { return }
        var numbers = present
        numbers[axis] = new
        let pattern = model.subgraphs[0].tensors[inputs[place]]
        model.subgraphs[0].operators[index].inputs[place] =
            pattern.type == .int64
            ? try model.addConstant(
                numbers.map { Int64($0) }, type: .int64, like: pattern, suffix: "/batch", to: 0)
            : try model.addConstant(
                numbers.map { Int32(clamping: $0) }, type: .int32, like: pattern, suffix: "/batch", to: 0)
    }
}
