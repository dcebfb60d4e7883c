import Kernels
import Model

/// A float LSTM layer. With int8 weights what is multiplied by them is quantized first, sample by sample: the other
/// kernel of LiteRT, whose operators of this kind have scales for whole tensors.
struct FloatLSTM: Sendable {
    private typealias Input = UnidirectionalSequenceLSTM.Input
    private typealias Field = UnidirectionalSequenceLSTM.Field

    private let shape: LSTMShape
    private let activation: FusedActivation
    private let cellClip: Float
    private let projectionClip: Float
    /// Of int8 peepholes; 0: they are float.
    private var peepholeScales: [Float] = []
    private let inputProduct: GateProduct
    private let recurrentProduct: GateProduct
    private let projection: GateProduct?

    private var cells: Int { shape.cells }
    /// Sums of a sample.
    private var width: Int { cells * shape.gates.count }

    init(_ op: Preparation, _ shape: LSTMShape) throws(Failure) {
        self.shape = shape
        let isHybrid = try op.input(Input.inputWeights + 1).type == .int8
        let weights: TensorType = isHybrid ? .int8 : .float32
        try shape.require(op) { index in
            let isWeight = Input.inputWeights..<Input.bias ~= index || index == Input.projection
            return isWeight ? weights : .float32
        }
        for output in op.outputs where output.type != .float32 { throw op.unsupportedTypes() }
        for index in Input.peepholes..<Input.bias {
            let scale =
                isHybrid && op.hasInput(index)
                ? try WeightQuantization(op, op.input(index), channels: 1, dimension: 0).scales[0] : 0
            peepholeScales.append(scale)
        }
        activation = try FusedActivation(option: op.options.int(Field.activation), operator: op.name)
        guard activation != .signBit else { throw op.unsupported("activation sign") }
        cellClip = op.options.float(Field.cellClip)
        projectionClip = op.options.float(Field.projectionClip)
        let asymmetric = op.options.bool(Field.asymmetric)
        func inputs(_ first: Int) -> Range<Int> { first + shape.gates.lowerBound..<first + 4 }
        inputProduct = try GateProduct(
            op, inputs(Input.inputWeights), bias: shape.isNormalized ? nil : Input.bias + shape.gates.lowerBound,
            rows: shape.steps * shape.batch, depth: shape.inputs, columns: shape.cells, asymmetric: asymmetric)
        recurrentProduct = try GateProduct(
            op, inputs(Input.recurrentWeights), bias: nil, rows: shape.batch, depth: shape.outputs,
            columns: shape.cells, asymmetric: asymmetric)
        projection =
            shape.hasProjection
            ? try GateProduct(
                op, Input.projection..<Input.projection + 1,
                bias: shape.hasProjectionBias ? Input.projectionBias : nil, rows: shape.batch, depth: shape.cells,
                columns: shape.outputs, asymmetric: asymmetric) : nil
        op.kernelName = inputProduct.kernelName
    }

    func kernel(_ op: Preparation) -> Kernel {
        let products = op.scratch(bytes: 4 * shape.steps * shape.batch * width)
        let recurrent = op.scratch(bytes: 4 * shape.batch * max(width, shape.outputs))
        let hidden = op.scratch(bytes: 4 * shape.batch * cells)
        let work = op.scratch(
            bytes: max(
                inputProduct.scratchByteCount, recurrentProduct.scratchByteCount, projection?.scratchByteCount ?? 0))
        let showsCells = op.outputs.count > 1
        return { io in
            var sums = io.scratch(products, as: Float.self)
            var before = io.scratch(recurrent, as: Float.self)
            var workspace = io.scratch(work, as: UInt8.self)
            inputProduct.run(io.input(Input.sequence), io, &sums, &workspace)
            for time in 0..<shape.steps {
                recurrentProduct.run(io.input(Input.outputState), io, &before, &workspace)
                for sample in 0..<shape.batch {
                    let place = shape.place(sample, time)
                    var gates = sums._mutatingExtracting(place &* width..<(place &+ 1) &* width)
                    step(&gates, before.span, io, hidden, sample)
                    if showsCells { show(io, sample, place) }
                }
                guard let projection else {
                    emit(io.written(hidden), io, time)
                    continue
                }
                projection.run(io.written(hidden), io, &before, &workspace)
                emit(before.span, io, time)
            }
        }
    }

    /// One step of one sample: from its sums to its cell state and the outputs of its cells.
    @inline(never)
    private func step(
        _ sums: inout MutableSpan<Float>, _ recurrent: Span<Float>, _ io: borrowing Invocation, _ hidden: Scratch,
        _ sample: Int
    ) {
        Elementwise.accumulate(recurrent.extracting(sample &* width..<(sample &+ 1) &* width), &sums)
        let first = shape.gates.lowerBound
        for gate in first..<3 { finish(gate, io, &sums, sample) }
        updateCell(io, sums.span, sample)
        finish(3, io, &sums, sample)
        var y = io.scratch(hidden, as: Float.self)
        var own = y._mutatingExtracting(sample &* cells..<(sample &+ 1) &* cells)
        let c = io.input(Input.cellState, as: Float.self).extracting(sample &* cells..<(sample &+ 1) &* cells)
        if activation == .tanh {
            Elementwise.apply(.tanh, c, &own, pool: io.pool)
        } else {
            for i in 0..<cells { own[i] = activation.apply(c[i]) }
        }
        let output = (3 &- first) &* cells
        for i in 0..<cells { own[i] *= sums[output &+ i] }
    }

    /// From the sums of a gate to its value: peepholes, normalization, activation.
    @inline(never)
    private func finish(_ gate: Int, _ io: borrowing Invocation, _ sums: inout MutableSpan<Float>, _ sample: Int) {
        let start = (gate &- shape.gates.lowerBound) &* cells
        var y = sums._mutatingExtracting(start..<start &+ cells)
        if shape.hasPeepholes, gate != 2 {
            let c = io.input(Input.cellState, as: Float.self)
            for i in 0..<cells { y[i] += peephole(gate, i, io) * c[sample &* cells &+ i] }
        }
        if shape.isNormalized {
            let weights = io.input(Input.normalization + gate, as: Float.self)
            normalize(&y, weights, io.input(Input.bias + gate, as: Float.self))
        }
        if gate == 2, activation != .tanh {
            for i in 0..<cells { y[i] = activation.apply(y[i]) }
        } else {
            // Each element is read before it is written.
            let x = unsafe _overrideLifetime(y.span, copying: ())
            Elementwise.apply(gate == 2 ? .tanh : .logistic, x, &y, pool: io.pool)
        }
    }

    private func peephole(_ gate: Int, _ i: Int, _ io: borrowing Invocation) -> Float {
        let index = LSTMShape.peephole(gate)
        let scale = peepholeScales[index - Input.peepholes]
        return scale > 0 ? scale * Float(io.input(index, as: Int8.self)[i]) : io.input(index, as: Float.self)[i]
    }

    private func normalize(_ y: inout MutableSpan<Float>, _ weights: Span<Float>, _ bias: Span<Float>) {
        var (sum, squares): (Float, Float) = (0, 0)
        for i in 0..<cells {
            sum += y[i]
            squares += y[i] * y[i]
        }
        let mean = sum / Float(cells)
        let variance = squares / Float(cells) - mean * mean
        let scale = 1 / (variance == 0 ? 1e-8 : variance).squareRoot()
        for i in 0..<cells { y[i] = (y[i] - mean) * scale * weights[i] + bias[i] }
    }

    @inline(never)
    private func updateCell(_ io: borrowing Invocation, _ gates: Span<Float>, _ sample: Int) {
        let isCoupled = shape.gates.lowerBound == 1
        let (forget, cell) = (isCoupled ? 0 : cells, isCoupled ? cells : 2 &* cells)
        var c = io.variable(Input.cellState, as: Float.self)
        for i in 0..<cells {
            let gain = isCoupled ? 1 - gates[i] : gates[i]
            let value = gates[forget &+ i] * c[sample &* cells &+ i] + gain * gates[cell &+ i]
            c[sample &* cells &+ i] = cellClip > 0 ? min(max(value, -cellClip), cellClip) : value
        }
    }

    /// The outputs of a step, which are also the output states of the next.
    @inline(never)
    private func emit(_ values: Span<Float>, _ io: borrowing Invocation, _ time: Int) {
        var h = io.variable(Input.outputState, as: Float.self)
        var y = io.output(as: Float.self)
        let outputs = shape.outputs
        let limit = shape.hasProjection && projectionClip > 0 ? projectionClip : .infinity
        for sample in 0..<shape.batch {
            let place = shape.place(sample, time)
            for i in 0..<outputs {
                let value = min(max(values[sample &* outputs &+ i], -limit), limit)
                h[sample &* outputs &+ i] = value
                y[place &* outputs &+ i] = value
            }
        }
    }

    private func show(_ io: borrowing Invocation, _ sample: Int, _ place: Int) {
        let c = io.input(Input.cellState, as: Float.self)
        var all = io.output(1, as: Float.self)
        for i in 0..<cells { all[place &* cells &+ i] = c[sample &* cells &+ i] }
    }
}
