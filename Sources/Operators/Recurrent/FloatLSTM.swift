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
    /// Of int8 weights, by input; empty for float ones.
    private let scales: [Float]
    private let asymmetric: Bool

    private var cells: Int { shape.cells }
    private var isHybrid: Bool { !scales.isEmpty }

    init(_ op: Preparation, _ shape: LSTMShape) throws(Failure) {
        self.shape = shape
        let isHybrid = try op.input(Input.inputWeights + 1).type == .int8
        let weights: TensorType = isHybrid ? .int8 : .float32
        try shape.require(op) { index in
            let isWeight = Input.inputWeights..<Input.bias ~= index || index == Input.projection
            return isWeight ? weights : .float32
        }
        for output in op.outputs where output.type != .float32 { throw op.unsupportedTypes() }
        var scales: [Float] = []
        if isHybrid {
            for index in 0...Input.projection {
                guard op.hasInput(index), try op.input(index).type == .int8 else {
                    scales.append(0)
                    continue
                }
                scales.append(try WeightQuantization(op, op.input(index), channels: 1, dimension: 0).scales[0])
            }
        }
        self.scales = scales
        activation = try FusedActivation(option: op.options.int(Field.activation), operator: op.name)
        guard activation != .signBit else { throw op.unsupported("activation sign") }
        cellClip = op.options.float(Field.cellClip)
        projectionClip = op.options.float(Field.projectionClip)
        asymmetric = op.options.bool(Field.asymmetric)
    }

    func kernel(_ op: Preparation) -> Kernel {
        let gates = (0..<4).map { _ in op.scratch(bytes: 4 * cells) }
        let bytes = op.scratch(bytes: isHybrid ? max(shape.inputs, shape.outputs, cells) : 0)
        let showsCells = op.outputs.count > 1
        return { io in
            shape.forEachStep { sample, place in
                multiply(Input.sequence, place, shape.inputs, Input.inputWeights, io, gates, bytes)
                multiply(Input.outputState, sample, shape.outputs, Input.recurrentWeights, io, gates, bytes)
                for gate in shape.gates where gate < 3 { finish(gate, io, gates[gate], sample) }
                updateCell(io, gates, sample)
                finish(3, io, gates[3], sample)
                emit(io, gates[3], bytes, sample, place)
                if showsCells { show(io, sample, place) }
            }
        }
    }

    // MARK: Products

    /// Adds the products of row `row` of an input with the weights of each gate to what is there; those of the sequence
    /// come first.
    @inline(never)
    private func multiply(
        _ input: Int, _ row: Int, _ depth: Int, _ weights: Int, _ io: borrowing Invocation, _ gates: [Scratch],
        _ bytes: Scratch
    ) {
        let x = io.input(input, as: Float.self)
        let quantized = quantize(x, row &* depth, depth, io, bytes)
        for gate in shape.gates {
            var y = io.scratch(gates[gate], as: Float.self)
            if input == Input.sequence {
                let bias = io.input(Input.bias + gate, as: Float.self)
                for i in 0..<cells { y[i] = shape.isNormalized ? 0 : bias[i] }
            }
            for i in 0..<cells { y[i] += product(weights + gate, i, x, row &* depth, depth, io, bytes, quantized) }
        }
    }

    private func quantize(
        _ x: Span<Float>, _ start: Int, _ count: Int, _ io: borrowing Invocation, _ bytes: Scratch
    ) -> DynamicQuantization? {
        guard isHybrid else { return nil }
        var q = io.scratch(bytes, as: Int8.self)
        return DynamicQuantization(x, from: start, count: count, asymmetric: asymmetric, into: &q)
    }

    /// One row of weights times a row of floats, or of what they were quantized to.
    @inline(never)
    private func product(
        _ weights: Int, _ i: Int, _ x: Span<Float>, _ start: Int, _ depth: Int, _ io: borrowing Invocation,
        _ bytes: Scratch, _ quantized: DynamicQuantization?
    ) -> Float {
        guard let quantized else { return dot(io.input(weights), i &* depth, x, start, count: depth) }
        let q = io.written(bytes, as: Int8.self)
        let sum = dot(io.input(weights), i &* depth, q, 0, count: depth, zeroPoint: quantized.zeroPoint)
        return Float(sum) * (quantized.scale * scales[weights])
    }

    // MARK: Elements

    /// From the sums of a gate to its value: peepholes, normalization, activation.
    @inline(never)
    private func finish(_ gate: Int, _ io: borrowing Invocation, _ scratch: Scratch, _ sample: Int) {
        var y = io.scratch(scratch, as: Float.self)
        if shape.hasPeepholes, gate != 2 {
            let c = io.input(Input.cellState, as: Float.self)
            for i in 0..<cells { y[i] += peephole(gate, i, io) * c[sample &* cells &+ i] }
        }
        if shape.isNormalized {
            let weights = io.input(Input.normalization + gate, as: Float.self)
            normalize(&y, weights, io.input(Input.bias + gate, as: Float.self))
        }
        for i in 0..<cells { y[i] = gate == 2 ? activation.apply(y[i]) : 1 / (1 + Real.exp(-y[i])) }
    }

    private func peephole(_ gate: Int, _ i: Int, _ io: borrowing Invocation) -> Float {
        let index = LSTMShape.peephole(gate)
        return isHybrid
            ? scales[index] * Float(io.input(index, as: Int8.self)[i]) : io.input(index, as: Float.self)[i]
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
    private func updateCell(_ io: borrowing Invocation, _ gates: [Scratch], _ sample: Int) {
        let input = io.written(gates[0], as: Float.self)
        let forget = io.written(gates[1], as: Float.self)
        let cell = io.written(gates[2], as: Float.self)
        var c = io.variable(Input.cellState, as: Float.self)
        for i in 0..<cells {
            let gain = shape.gates.lowerBound == 0 ? input[i] : 1 - forget[i]
            let value = forget[i] * c[sample &* cells &+ i] + gain * cell[i]
            c[sample &* cells &+ i] = cellClip > 0 ? min(max(value, -cellClip), cellClip) : value
        }
    }

    /// The output of a step, which is also the output state of the next.
    @inline(never)
    private func emit(_ io: borrowing Invocation, _ gate: Scratch, _ bytes: Scratch, _ sample: Int, _ place: Int) {
        let c = io.input(Input.cellState, as: Float.self)
        var o = io.scratch(gate, as: Float.self)
        for i in 0..<cells { o[i] *= activation.apply(c[sample &* cells &+ i]) }
        let quantized = shape.hasProjection ? quantize(o.span, 0, cells, io, bytes) : nil
        var h = io.variable(Input.outputState, as: Float.self)
        var y = io.output(as: Float.self)
        for i in 0..<shape.outputs {
            var value = shape.hasProjection ? 0 : o[i]
            if shape.hasProjection {
                value = product(Input.projection, i, o.span, 0, cells, io, bytes, quantized)
                if shape.hasProjectionBias { value += io.input(Input.projectionBias, as: Float.self)[i] }
                if projectionClip > 0 { value = min(max(value, -projectionClip), projectionClip) }
            }
            h[sample &* shape.outputs &+ i] = value
            y[place &* shape.outputs &+ i] = value
        }
    }

    private func show(_ io: borrowing Invocation, _ sample: Int, _ place: Int) {
        let c = io.input(Input.cellState, as: Float.self)
        var all = io.output(1, as: Float.self)
        for i in 0..<cells { all[place &* cells &+ i] = c[sample &* cells &+ i] }
    }
}
