import Kernels
import Model

/// UNIDIRECTIONAL_SEQUENCE_LSTM: Hochreiter and Schmidhuber (1997) with forget gates, and as options coupled input and
/// forget gates (no input gate), peepholes, layer normalization and a projection (Sak et al., 2014). Float, float with
/// int8 weights, and int8. A second output of the float layer, which no file has, is the cell state after each step.
package enum UnidirectionalSequenceLSTM {
    package enum Field {
        package static let activation = 0
        package static let cellClip = 1
        package static let projectionClip = 2
        package static let timeMajor = 3
        package static let asymmetric = 4
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
        /// Where quantization is simulated, and nowhere else: scales of sequence, output state, cells' outputs and cell
        /// state; then those of the weights and peepholes, in the order of the inputs from the first on.
        package static let scales = 24
        package static let weightScales = 28
        package static let simulatedCount = 39
    }

    static var definition: OperatorDefinition {
        OperatorDefinition(.unidirectionalSequenceLstm, maxVersion: 4, quantization: .byteUnary) { op throws(Failure) in
            let sequence = try op.input(Input.sequence)
            let (state, cells) = (try op.input(Input.outputState), try op.input(Input.inputWeights + 1))
            guard sequence.rank == 3, let size = state.shape.last, cells.rank == 2 else {
                throw op.invalid("\(sequence.described) must have three dimensions")
            }
            return [size, cells.shape[0]].map { [sequence.shape[0], sequence.shape[1], $0] }
        } prepare: { op throws(Failure) in
            guard !op.options.bool(Field.diagonal) else { throw op.unsupported("diagonal recurrent weights") }
            let shape = try LSTMShape(op)
            switch (try op.input(Input.sequence).type, try op.input(Input.inputWeights + 1).type) {
            case (.float32, .float32), (.float32, .int8): return try FloatLSTM(op, shape).kernel(op)
            case (.int8, .int8): return try IntegerLSTM(op, shape).kernel(op)
            default: throw op.unsupportedTypes()
            }
        }
    }
}

/// Sizes of an LSTM layer, and which of the optional tensors are there.
struct LSTMShape: Sendable {
    private typealias Input = UnidirectionalSequenceLSTM.Input
    private typealias Field = UnidirectionalSequenceLSTM.Field

    let steps: Int
    let batch: Int
    let inputs: Int
    let cells: Int
    let outputs: Int
    let timeMajor: Bool
    /// Input, forget, cell, output; the first is missing where it is one less the second.
    let gates: Range<Int>
    let hasPeepholes: Bool
    let hasProjection: Bool
    let hasProjectionBias: Bool
    let isNormalized: Bool

    /// Every tensor has the elements that belong to the layer.
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
        gates = (op.hasInput(Input.inputWeights) ? 0 : 1)..<4
        hasPeepholes = op.hasInput(Input.peepholes + 2)
        hasProjection = op.hasInput(Input.projection)
        hasProjectionBias = op.hasInput(Input.projectionBias)
        isNormalized = op.hasInput(Input.normalization + 3)
        try check(op)
    }

    private func check(_ op: Preparation) throws(Failure) {
        guard hasProjection || outputs == cells else { throw op.invalid("\(cells) cells for \(outputs) outputs") }
        for index in 0..<Input.normalization + 4 where isNeeded(index) || op.hasInput(index) {
            let tensor = try op.input(index)
            let isState = index == Input.outputState || index == Input.cellState
            guard tensor.count == count(index), tensor.isVariable == isState else {
                throw op.invalid(
                    "\(tensor.described) must \(isState ? "be a variable tensor and " : "")have \(count(index)) elements"
                )
            }
        }
        guard try op.output().count == steps * batch * outputs else { throw op.invalid("\(try op.output().described)") }
    }

    /// Elements of an input.
    private func count(_ index: Int) -> Int {
        switch index {
        case Input.sequence: steps * batch * inputs
        case Input.inputWeights..<Input.recurrentWeights: cells * inputs
        case Input.recurrentWeights..<Input.peepholes: cells * outputs
        case Input.projection: outputs * cells
        case Input.projectionBias: outputs
        case Input.outputState: batch * outputs
        case Input.cellState: batch * cells
        default: cells
        }
    }

    private func isNeeded(_ index: Int) -> Bool {
        switch index {
        case Input.inputWeights..<Input.peepholes: gates.contains((index - Input.inputWeights) % 4)
        case Input.peepholes..<Input.bias: hasPeepholes && (index > Input.peepholes || gates.contains(0))
        case Input.bias..<Input.projection: gates.contains(index - Input.bias)
        case Input.normalization...: isNormalized && gates.contains(index - Input.normalization)
        default: index != Input.projection && index != Input.projectionBias
        }
    }

    /// The input that holds the peephole weights of a gate.
    static func peephole(_ gate: Int) -> Int { Input.peepholes + (gate == 3 ? 2 : gate) }

    /// Runs `body` for every step of every sample, with the sample and the place of the step among the sequences.
    @inline(__always)
    func forEachStep(_ body: (_ sample: Int, _ place: Int) -> Void) {
        for sample in 0..<batch {
            for step in 0..<steps { body(sample, place(sample, step)) }
        }
    }

    /// Where among the sequences a step of a sample is.
    @inline(__always)
    func place(_ sample: Int, _ step: Int) -> Int { timeMajor ? step &* batch &+ sample : sample &* steps &+ step }

    /// Fails unless each input that is there has the type.
    @inline(never)
    func require(_ op: Preparation, _ type: (_ index: Int) -> TensorType) throws(Failure) {
        for index in op.inputs.indices where op.hasInput(index) {
            guard try op.input(index).type == type(index) else { throw op.unsupportedTypes() }
        }
    }
}
