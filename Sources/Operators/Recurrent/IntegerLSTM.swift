import Kernels
import Model

/// An int8 LSTM layer: int8 activations and weights, int16 cell state whose scale is a power of two. Gates are summed up
/// as Q3.12 numbers, in [-8, 8), and their values are Q0.15 numbers. The output of a cell has the scale of intermediate
/// tensor 4, which without a projection is that of the output.
///
/// Both arithmetics are the reference kernels': what a step rounds the next ones build upon, and a gate saturates after
/// each of its products, so that any other arithmetic soon has other results.
struct IntegerLSTM: Sendable {
    private typealias Input = UnidirectionalSequenceLSTM.Input
    private typealias Field = UnidirectionalSequenceLSTM.Field

    private struct Gate: Sendable {
        var input = QuantizedMultiplier(0)
        var recurrent = QuantizedMultiplier(0)
        var peephole = QuantizedMultiplier(0)
        /// Bias, less what the zero points add to the products.
        var inputBias: [Int32] = []
        var recurrentBias: [Int32] = []
    }

    private let shape: LSTMShape
    private var gates = [Gate](repeating: Gate(), count: 4)
    /// The cell state counts in steps of 2^cellExponent.
    private let cellExponent: Int
    private let cellLimit: ClosedRange<Int32>
    private let hidden: QuantizedMultiplier
    private let hiddenZero: Int32
    private var projection = QuantizedMultiplier(0)
    private var projectionBias: [Int32] = []
    private let output: Affine
    private let outputLimit: ClosedRange<Int32>

    private var cells: Int { shape.cells }

    init(_ op: Preparation, _ shape: LSTMShape) throws(Failure) {
        self.shape = shape
        try shape.require(op) { index in
            switch index {
            case Input.peepholes..<Input.bias, Input.cellState: .int16
            case Input.bias..<Input.projection, Input.projectionBias: .int32
            default: .int8
            }
        }
        guard try op.output().type == .int8 else { throw op.unsupportedTypes() }
        guard !shape.isNormalized else { throw op.unsupported("layer normalization of integers") }
        let (x, h) = (try op.affine(op.input(Input.sequence)), try op.affine(op.input(Input.outputState)))
        let c = try op.affine(op.input(Input.cellState))
        output = h
        // tanh takes 0 to 6 bits before the point.
        guard let exponent = powerOfTwoExponent(c.scale), (-15 ... -9).contains(exponent), c.zeroPoint == 0 else {
            throw op.invalid(
                "cell state \(try op.input(Input.cellState).described) has scale \(c.scale), zero point"
                    + " \(c.zeroPoint); a power of two from 2^-15 to 2^-9 and 0 expected")
        }
        cellExponent = exponent
        guard op.intermediates.count == 5 else {
            throw op.invalid("5 intermediate tensors expected, found \(op.intermediates.count)")
        }
        let m = try op.affine(op.intermediates[4])
        hidden = QuantizedMultiplier(Double(Float(0x1p-30 / Double(m.scale))))
        hiddenZero = shape.hasProjection ? -m.zero : m.zero
        cellLimit = Self.limit(op.options.float(Field.cellClip) / c.scale, 32767)
        outputLimit =
            shape.hasProjection
            ? Self.limit(op.options.float(Field.projectionClip) / h.scale, 127) : -128...127
        for gate in shape.gates {
            let (w, r) = (
                try Self.scale(op, Input.inputWeights + gate), try Self.scale(op, Input.recurrentWeights + gate)
            )
            gates[gate].input = QuantizedMultiplier(Double(w * x.scale / 0x1p-12))
            gates[gate].recurrent = QuantizedMultiplier(Double(r * h.scale / 0x1p-12))
            gates[gate].inputBias = try Self.bias(op, Input.bias + gate, Input.inputWeights + gate, cells, -x.zero)
            gates[gate].recurrentBias = try Self.bias(op, nil, Input.recurrentWeights + gate, cells, -h.zero)
            guard shape.hasPeepholes, gate != 2 else { continue }
            let p = try Self.scale(op, LSTMShape.peephole(gate))
            gates[gate].peephole = QuantizedMultiplier(
                Double(Float(sign: .plus, exponent: exponent, significand: 1) * p / 0x1p-12))
        }
        guard shape.hasProjection else { return }
        projection = QuantizedMultiplier(Double(try Self.scale(op, Input.projection) * m.scale / h.scale))
        projectionBias = try Self.bias(
            op, shape.hasProjectionBias ? Input.projectionBias : nil, Input.projection, shape.outputs, m.zero)
    }

    /// What a clip option lets pass; 0 is none.
    private static func limit(_ clip: Float, _ largest: Int32) -> ClosedRange<Int32> {
        guard clip > 0 else { return -largest - 1...largest }
        let bound = Int32(min(clip, Float(largest)))
        return -bound...bound
    }

    @inline(never)
    private static func scale(_ op: Preparation, _ index: Int) throws(Failure) -> Float {
        let weights = try op.input(index)
        guard weights.zeroPoint == 0 else { throw op.invalid("weights \(weights.described) have a zero point") }
        return try op.affine(weights).scale
    }

    /// The bias (nil: none) plus `factor` times the sum of each row of the weights.
    @inline(never)
    private static func bias(
        _ op: Preparation, _ index: Int?, _ weights: Int, _ rows: Int, _ factor: Int32
    ) throws(Failure) -> [Int32] {
        let tensor = try op.input(weights)
        let bias = try index.map { index throws(Failure) in try op.input(index) }
        guard let data = tensor.constant, data.count == tensor.count, bias == nil || bias?.isConstant == true else {
            throw op.unsupported("weights \(tensor.described) and their bias must be constant")
        }
        var sums = bias?.constant?.array(of: Int32.self) ?? [Int32](repeating: 0, count: rows)
        let values = data.array(of: Int8.self)
        for index in values.indices { sums[index / (values.count / rows)] &+= factor &* Int32(values[index]) }
        return sums
    }

    func kernel(_ op: Preparation) -> Kernel {
        let sums = op.scratch(bytes: 2 * cells)
        let values = (0..<4).map { _ in op.scratch(bytes: 2 * cells) }
        let bytes = op.scratch(bytes: shape.hasProjection ? cells : 0)
        return { io in
            shape.forEachStep { sample, place in
                for gate in shape.gates where gate < 3 { compute(gate, io, sums, values[gate], sample, place) }
                updateCell(io, values, sample)
                compute(3, io, sums, values[3], sample, place)
                let gate = io.written(values[3], as: Int16.self)
                if shape.hasProjection {
                    var m = io.scratch(bytes, as: Int8.self)
                    hide(gate, io, sample, &m, 0)
                    project(m.span, io, sample)
                } else {
                    var h = io.variable(Input.outputState, as: Int8.self)
                    hide(gate, io, sample, &h, sample &* cells)
                }
                let h = io.input(Input.outputState, as: Int8.self)
                var y = io.output(as: Int8.self)
                let outputs = shape.outputs
                for i in 0..<outputs { y[place &* outputs &+ i] = h[sample &* outputs &+ i] }
            }
        }
    }

    // MARK: The step

    /// The value of a gate: its sums in Q3.12, and of them the logistic function or tanh.
    @inline(never)
    private func compute(
        _ gate: Int, _ io: borrowing Invocation, _ sums: Scratch, _ values: Scratch, _ sample: Int, _ place: Int
    ) {
        let (x, h) = (io.input(Input.sequence, as: Int8.self), io.input(Input.outputState, as: Int8.self))
        let w = io.input(Input.inputWeights + gate, as: Int8.self)
        let r = io.input(Input.recurrentWeights + gate, as: Int8.self)
        var y = io.scratch(sums, as: Int16.self)
        let (inputs, outputs) = (shape.inputs, shape.outputs)
        for i in 0..<cells {
            let first = dot(w, i &* inputs, x, place &* inputs, count: inputs) &+ gates[gate].inputBias[i]
            let second = dot(r, i &* outputs, h, sample &* outputs, count: outputs) &+ gates[gate].recurrentBias[i]
            var third: Int32 = 0
            if shape.hasPeepholes, gate != 2 {
                let p = io.input(LSTMShape.peephole(gate), as: Int16.self)[i]
                third = Int32(p) &* Int32(io.input(Input.cellState, as: Int16.self)[sample &* cells &+ i])
            }
            y[i] = sum(first, second, third, gates[gate])
        }
        var value = io.scratch(values, as: Int16.self)
        for i in 0..<cells {
            value[i] = gate == 2 ? FixedPoint16.tanh(y[i], integerBits: 3) : FixedPoint16.logistic(y[i])
        }
    }

    private func sum(_ first: Int32, _ second: Int32, _ third: Int32, _ gate: Gate) -> Int16 {
        var sum = Self.limited(gate.input.scale(first), Self.word)
        sum = Self.limited(sum &+ gate.recurrent.scale(second), Self.word)
        return Int16(Self.limited(sum &+ gate.peephole.scale(third), Self.word))
    }

    @inline(never)
    private func updateCell(_ io: borrowing Invocation, _ values: [Scratch], _ sample: Int) {
        let input = io.written(values[0], as: Int16.self)
        let forget = io.written(values[1], as: Int16.self)
        let cell = io.written(values[2], as: Int16.self)
        var c = io.variable(Input.cellState, as: Int16.self)
        for i in 0..<cells {
            let gain = shape.gates.lowerBound == 0 ? Int32(input[i]) : 32767 &- Int32(forget[i])
            let kept = Int32(forget[i]) &* Int32(c[sample &* cells &+ i])
            let added = gain &* Int32(cell[i])
            let sum = roundingDivideByPowerOfTwo(kept, 15) &+ roundingDivideByPowerOfTwo(added, 30 &+ cellExponent)
            c[sample &* cells &+ i] = Int16(Self.limited(sum, cellLimit))
        }
    }

    /// The output of the cells: the product of the output gate and tanh of the cell state.
    @inline(never)
    private func hide(
        _ gate: Span<Int16>, _ io: borrowing Invocation, _ sample: Int, _ y: inout MutableSpan<Int8>,
        _ start: Int
    ) {
        let c = io.input(Input.cellState, as: Int16.self)
        for i in 0..<cells {
            let state = FixedPoint16.tanh(c[sample &* cells &+ i], integerBits: 15 + cellExponent)
            y[start &+ i] = requantized(Int32(gate[i]) &* Int32(state), hidden, hiddenZero)
        }
    }

    private func project(_ m: Span<Int8>, _ io: borrowing Invocation, _ sample: Int) {
        let w = io.input(Input.projection, as: Int8.self)
        var h = io.variable(Input.outputState, as: Int8.self)
        for i in 0..<shape.outputs {
            let sum = dot(w, i &* cells, m, 0, count: cells) &+ projectionBias[i]
            let value = requantized(sum, projection, output.zero)
            h[sample &* shape.outputs &+ i] = Int8(Self.limited(Int32(value), outputLimit))
        }
    }

    private func requantized(_ sum: Int32, _ factor: QuantizedMultiplier, _ zero: Int32) -> Int8 {
        Int8(Self.limited(factor.scale(sum) &+ zero, -128...127))
    }

    private static var word: ClosedRange<Int32> { -32768...32767 }

    private static func limited(_ x: Int32, _ range: ClosedRange<Int32>) -> Int32 {
        min(range.upperBound, max(range.lowerBound, x))
    }
}
