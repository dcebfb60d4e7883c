import Kernels
import Model

/// UNIDIRECTIONAL_SEQUENCE_LSTM in float: Hochreiter and Schmidhuber (1997) with forget gates, and as options coupled
/// input and forget gates (no input gate), peepholes, layer normalization and a projection (Sak et al., 2014).
package enum UnidirectionalSequenceLSTM {
    package enum Field {
        package static let activation = 0
        package static let cellClip = 1
        package static let projectionClip = 2
        package static let timeMajor = 3
        package static let diagonal = 5
    }
    package enum Input {
        package static let sequence = 0
        /// The first of four, for the input, forget, cell and output gates; so are the next two and the last.
        package static let inputWeights = 1
        package static let recurrentWeights = 5
        /// The first of three: the cell gate has none.
        package static let peepholes = 9
        package static let bias = 12
        package static let projection = 16
        package static let projectionBias = 17
        package static let outputState = 18
        package static let cellState = 19
        package static let normalization = 20
    }

    static var definition: OperatorDefinition {
        OperatorDefinition(.unidirectionalSequenceLstm, maxVersion: 4) { op throws(Failure) in
            let sequence = try op.input(Input.sequence)
            let state = try op.input(Input.outputState)
            guard sequence.rank == 3, let size = state.shape.last else {
                throw op.invalid("\(sequence.described) must have three dimensions")
            }
            return [[sequence.shape[0], sequence.shape[1], size]]
        } prepare: { op throws(Failure) in
            for index in op.inputs.indices where op.hasInput(index) {
                guard try op.input(index).type == .float32 else { throw op.unsupportedTypes() }
            }
            guard !op.options.bool(Field.diagonal) else { throw op.unsupported("diagonal recurrent weights") }
            let layer = try FloatLSTM(op)
            let gates = (0..<4).map { _ in op.scratch(bytes: 4 * layer.cells) }
            return { io throws(Failure) in layer.run(io, gates) }
        }
    }
}

/// One float LSTM layer: sizes, which of the optional tensors are there, and the step.
struct FloatLSTM: Sendable {
    private typealias Input = UnidirectionalSequenceLSTM.Input
    private typealias Field = UnidirectionalSequenceLSTM.Field

    private let steps: Int
    private let batch: Int
    private let inputs: Int
    let cells: Int
    private let outputs: Int
    private let timeMajor: Bool
    private let hasInputGate: Bool
    private let hasPeepholes: Bool
    private let hasProjection: Bool
    private let hasProjectionBias: Bool
    private let isNormalized: Bool
    private let activation: FusedActivation
    private let cellClip: Float
    private let projectionClip: Float

    init(_ op: Preparation) throws(Failure) {
        let sequence = try op.input(Input.sequence)
        let weights = try op.input(Input.inputWeights + 1)
        timeMajor = op.options.bool(Field.timeMajor)
        guard sequence.rank == 3, weights.rank == 2 else {
            throw op.invalid("\(sequence.described), \(weights.described)")
        }
        (steps, batch) = timeMajor ? (sequence.shape[0], sequence.shape[1]) : (sequence.shape[1], sequence.shape[0])
        inputs = sequence.shape[2]
        cells = weights.shape[0]
        outputs = try op.input(Input.outputState).shape.last ?? 0
        hasInputGate = op.hasInput(Input.inputWeights)
        hasPeepholes = op.hasInput(Input.peepholes + 2)
        hasProjection = op.hasInput(Input.projection)
        hasProjectionBias = op.hasInput(Input.projectionBias)
        isNormalized = op.hasInput(Input.normalization + 3)
        activation = try FusedActivation(option: op.options.int(Field.activation), operator: op.name)
        guard activation != .signBit else { throw op.unsupported("activation sign") }
        cellClip = op.options.float(Field.cellClip)
        projectionClip = op.options.float(Field.projectionClip)
        try check(op)
    }

    /// Every tensor has the elements that `run` reads.
    private func check(_ op: Preparation) throws(Failure) {
        func require(_ index: Int, _ count: Int) throws(Failure) {
            let tensor = try op.input(index)
            guard tensor.count == count else { throw op.invalid("\(tensor.described) must have \(count) elements") }
        }
        for gate in (hasInputGate ? 0 : 1)..<4 {
            try require(Input.inputWeights + gate, cells * inputs)
            try require(Input.recurrentWeights + gate, cells * outputs)
            try require(Input.bias + gate, cells)
            if isNormalized { try require(Input.normalization + gate, cells) }
            if hasPeepholes, gate != 2 { try require(peephole(gate), cells) }
        }
        if hasProjection { try require(Input.projection, outputs * cells) }
        if hasProjectionBias { try require(Input.projectionBias, outputs) }
        guard hasProjection || outputs == cells else { throw op.invalid("\(cells) cells for \(outputs) outputs") }
        try require(Input.outputState, batch * outputs)
        try require(Input.cellState, batch * cells)
        guard try op.output().count == steps * batch * outputs else { throw op.invalid("\(try op.output().described)") }
    }

    private func peephole(_ gate: Int) -> Int { Input.peepholes + (gate == 3 ? 2 : gate) }

    func run(_ io: borrowing Invocation, _ gates: [Scratch]) {
        for b in 0..<batch {
            for t in 0..<steps {
                let place = timeMajor ? t &* batch &+ b : b &* steps &+ t
                for gate in (hasInputGate ? 0 : 1)..<3 { compute(gate, io, gates[gate], b, place) }
                updateCell(io, gates, b)
                compute(3, io, gates[3], b, place)
                emit(io, gates[3], b, place)
            }
        }
    }

    /// One gate before and after its activation: W x + R h + p * c + bias.
    private func compute(_ gate: Int, _ io: borrowing Invocation, _ scratch: Scratch, _ b: Int, _ place: Int) {
        let x = io.input(Input.sequence, as: Float.self)
        let w = io.input(Input.inputWeights + gate, as: Float.self)
        let r = io.input(Input.recurrentWeights + gate, as: Float.self)
        let h = io.input(Input.outputState, as: Float.self)
        let bias = io.input(Input.bias + gate, as: Float.self)
        var y = io.scratch(scratch, as: Float.self)
        for i in 0..<cells {
            var sum = isNormalized ? 0 : bias[i]
            sum += dot(w, i &* inputs, x, place &* inputs, count: inputs)
            sum += dot(r, i &* outputs, h, b &* outputs, count: outputs)
            y[i] = sum
        }
        if hasPeepholes, gate != 2 {
            let p = io.input(peephole(gate), as: Float.self)
            let c = io.input(Input.cellState, as: Float.self)
            for i in 0..<cells { y[i] += p[i] * c[b &* cells &+ i] }
        }
        if isNormalized { normalize(&y, io.input(Input.normalization + gate, as: Float.self), bias) }
        for i in 0..<cells { y[i] = gate == 2 ? activate(y[i]) : 1 / (1 + Real.exp(-y[i])) }
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

    private func activate(_ x: Float) -> Float {
        if activation == .tanh { return Real.tanh(x) }
        let (low, high) = activation.floatRange
        return min(max(x, low), high)
    }

    private func updateCell(_ io: borrowing Invocation, _ gates: [Scratch], _ b: Int) {
        let input = io.scratch(gates[0], as: Float.self)
        let forget = io.scratch(gates[1], as: Float.self)
        let cell = io.scratch(gates[2], as: Float.self)
        var c = io.variable(Input.cellState, as: Float.self)
        for i in 0..<cells {
            let gain = hasInputGate ? input[i] : 1 - forget[i]
            let value = forget[i] * c[b &* cells &+ i] + gain * cell[i]
            c[b &* cells &+ i] = cellClip > 0 ? min(max(value, -cellClip), cellClip) : value
        }
    }

    /// The output of a step, which is also the output state of the next.
    private func emit(_ io: borrowing Invocation, _ gate: Scratch, _ b: Int, _ place: Int) {
        let c = io.input(Input.cellState, as: Float.self)
        var o = io.scratch(gate, as: Float.self)
        for i in 0..<cells { o[i] *= activate(c[b &* cells &+ i]) }
        var h = io.variable(Input.outputState, as: Float.self)
        var y = io.output(as: Float.self)
        for i in 0..<outputs {
            var value = hasProjection ? 0 : o[i]
            if hasProjection {
                value = dot(io.input(Input.projection), i &* cells, o.span, 0, count: cells)
                if hasProjectionBias { value += io.input(Input.projectionBias, as: Float.self)[i] }
                if projectionClip > 0 { value = min(max(value, -projectionClip), projectionClip) }
            }
            h[b &* outputs &+ i] = value
            y[place &* outputs &+ i] = value
        }
    }
}
