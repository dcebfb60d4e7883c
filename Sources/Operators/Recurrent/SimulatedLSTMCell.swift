import Kernels
import Model

/// edgeopt.simulated_lstm_cell: what an integer LSTM cell makes of the sums of a step, in the place of what a float cell
/// makes of them. Inputs: output and state of the float cell, [samples, cells], to which the gradients go straight through
/// (Bengio et al., 2013); sums of the inputs, bias included, and of the output state (left out: zeros), [samples, gates *
/// cells]; state before (left out: zeros); scales (`Scale`); peepholes of the input, forget and output gates, or none.
/// Sums, state and peepholes are real numbers on the grids of the integers, and brought back to them. Outputs: steps of
/// the output less its zero point, not limited, and the state. Where the float cell is not finite neither are they.
package enum SimulatedLSTMCell {
    package static let name = "edgeopt.simulated_lstm_cell"

    /// Places in the vector of scales. Behind them are those of the input weights of each gate, of the recurrent weights
    /// of each gate, and of the three peepholes, 0 without.
    package enum Scale {
        package static let input = 0
        package static let state = 1
        package static let hidden = 2
        package static let cell = 3
        /// Not a scale: the limit of the cell state, 0 without.
        package static let cellClip = 4
        package static let weights = 5
    }

    private enum Input {
        static let inputSums = 2
        static let recurrentSums = 3
        static let cell = 4
        static let scales = 5
        static let peepholes = 6
    }

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { op throws(Failure) in
            [try op.input(0).shape, try op.input(1).shape]
        } prepare: { op throws(Failure) in
            let shape = try op.input(0).shape
            guard shape.count == 2, op.outputs.count == 2, shape[0] > 0, shape[1] > 0 else {
                throw op.unsupportedTypes()
            }
            let (samples, cells) = (shape[0], shape[1])
            let gates = try op.input(Input.inputSums).count / (samples * cells)
            guard gates == 3 || gates == 4 else { throw op.unsupportedTypes() }
            let (states, sums) = (samples * cells, samples * cells * gates)
            let counts = [states, states, sums, sums, states, Scale.weights + 2 * gates + 3, cells, cells, cells]
            guard op.inputs.count <= counts.count, op.hasInput(Input.scales) else { throw op.unsupportedTypes() }
            for index in op.inputs.indices where op.hasInput(index) {
                guard try op.input(index).type == .float32 else { throw op.unsupportedTypes() }
                try op.require(index, count: counts[index])
            }
            let state = op.scratch(bytes: 2 * samples * cells)
            let hidden = op.scratch(bytes: 4 * samples * cells)
            let peepholes = (0..<3).map { op.scratch(bytes: op.hasInput(Input.peepholes + $0) ? 2 * cells : 0) }
            let (hasCell, hasSums) = (op.hasInput(Input.cell), op.hasInput(Input.recurrentSums))
            return { io throws(Failure) in
                let scales = io.input(Input.scales, as: Float.self)
                let cellScale = scales[Scale.cell]
                guard let step = step(scales, cells: cells, gates: gates) else {
                    throw .execution("the scale of a cell state is \(cellScale), no power of two")
                }
                store(io, hasCell ? Input.cell : nil, cellScale, state)
                for gate in 0..<3 {
                    store(io, Input.peepholes + gate, scales[Scale.weights + 2 * gates + gate], peepholes[gate])
                }
                var words = io.scratch(state, as: Int16.self)
                var steps = io.scratch(hidden, as: Int32.self)
                step.run(
                    samples: samples, LSTMStep.Places(inputStride: gates * cells),
                    input: io.input(Input.inputSums), recurrent: hasSums ? io.input(Input.recurrentSums) : Span(),
                    peepholes: io.written(peepholes[0], as: Int16.self), io.written(peepholes[1], as: Int16.self),
                    io.written(peepholes[2], as: Int16.self), cell: &words, output: &steps, pool: io.pool)
                let (floatHidden, floatCell) = (io.input(0, as: Float.self), io.input(1, as: Float.self))
                var y = io.output(as: Float.self)
                var c = io.output(1, as: Float.self)
                for i in 0..<y.count {
                    y[i] = Float(steps[i]) + (floatHidden[i] - floatHidden[i])
                    c[i] = Float(words[i]) * cellScale + (floatCell[i] - floatCell[i])
                }
            }
        }
        .gradient { g throws(Failure) in [g.outputGradients[0], g.outputGradients[1]] }
    }

    private static func step(_ scales: Span<Float>, cells: Int, gates: Int) -> LSTMStep? {
        let first = 4 - gates
        guard
            var step = LSTMStep(
                cells: cells, isCoupled: first == 1, cellScale: scales[Scale.cell],
                cellClip: scales[Scale.cellClip], hiddenScale: scales[Scale.hidden])
        else { return nil }
        for gate in first..<4 {
            let place = Scale.weights + gate - first
            let peephole = gate == 2 ? 0 : scales[Scale.weights + 2 * gates + min(gate, 2)]
            step.set(
                gate: gate, input: scales[place] * scales[Scale.input],
                recurrent: scales[place + gates] * scales[Scale.state], peephole: peephole * scales[Scale.cell],
                areReal: true)
        }
        return step
    }

    /// An input as int16 numbers; nil: zeros.
    @inline(never)
    private static func store(_ io: borrowing Invocation, _ input: Int?, _ scale: Float, _ scratch: Scratch) {
        var words = io.scratch(scratch, as: Int16.self)
        for i in 0..<words.count {
            let steps = input.map { (io.input($0, as: Float.self)[i] / scale).rounded(.toNearestOrEven) } ?? 0
            words[i] = steps.isNaN ? 0 : Int16(min(max(steps, -32768), 32767))
        }
    }
}
