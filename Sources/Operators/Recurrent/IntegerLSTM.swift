import Kernels
import Model

/// An int8 LSTM layer: int8 activations and weights, int16 cell state whose scale is a power of two. Gates are summed up
/// as Q3.12 numbers, in [-8, 8), and their values are Q0.15 numbers. The output of a cell has the scale of intermediate
/// tensor 4, which without a projection is that of the output.
///
/// Both arithmetics are the reference kernels': what a step rounds the next ones build upon, and a gate saturates after
/// each of its products, so that any other arithmetic soon has other results. Sums beyond 2^24, which only lie within a
/// gate's 16 bits if scales are below 2^-21, are rounded to float32.
struct IntegerLSTM: Sendable {
    private typealias Input = UnidirectionalSequenceLSTM.Input
    private typealias Field = UnidirectionalSequenceLSTM.Field

    private let shape: LSTMShape
    private let step: LSTMStep
    private let inputSums: ByteSums
    private let recurrentSums: ByteSums
    private let hiddenZero: Int32
    private var projection = QuantizedMultiplier(0)
    private var projectionSums: ByteSums?
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
        guard op.intermediates.count == 5 else {
            throw op.invalid("5 intermediate tensors expected, found \(op.intermediates.count)")
        }
        let m = try op.affine(op.intermediates[4])
        hiddenZero = shape.hasProjection ? -m.zero : m.zero
        outputLimit =
            shape.hasProjection
            ? Self.limit(op.options.float(Field.projectionClip) / h.scale, 127) : -128...127
        guard c.zeroPoint == 0,
            var step = LSTMStep(
                cells: shape.cells, isCoupled: shape.gates.lowerBound == 1, cellScale: c.scale,
                cellClip: op.options.float(Field.cellClip), hiddenScale: m.scale)
        else {
            throw op.invalid(
                "cell state \(try op.input(Input.cellState).described) has scale \(c.scale), zero point"
                    + " \(c.zeroPoint); a power of two from 2^-15 to 2^-9 and 0 expected")
        }
        for gate in shape.gates {
            let hasPeephole = shape.hasPeepholes && gate != 2
            step.set(
                gate: gate, input: try Self.scale(op, Input.inputWeights + gate) * x.scale,
                recurrent: try Self.scale(op, Input.recurrentWeights + gate) * h.scale,
                peephole: hasPeephole ? try Self.scale(op, LSTMShape.peephole(gate)) * c.scale : 0)
        }
        self.step = step
        inputSums = try Self.sums(
            op, shape, Input.inputWeights, Input.bias, rows: shape.steps * shape.batch, depth: shape.inputs, x)
        recurrentSums = try Self.sums(
            op, shape, Input.recurrentWeights, nil, rows: shape.batch, depth: shape.outputs, h)
        op.kernelName = inputSums.kernelName
        guard shape.hasProjection else { return }
        projection = QuantizedMultiplier(Double(try Self.scale(op, Input.projection) * m.scale / h.scale))
        // The reference kernels take the zero point of the cells' outputs with the opposite sign.
        let bias =
            shape.hasProjectionBias
            ? try Self.constant(op, Input.projectionBias).array(of: Int32.self)
            : [Int32](repeating: 0, count: shape.outputs)
        projectionSums = try ByteSums(
            rows: shape.batch, depth: shape.cells, Self.constant(op, Input.projection), bias: bias, zeroPoint: -m.zero,
            cache: op.weights, threads: op.threadCount)
    }

    /// Products with the weights of all gates, that of the first being input `weights`.
    private static func sums(
        _ op: Preparation, _ shape: LSTMShape, _ weights: Int, _ bias: Int?, rows: Int, depth: Int, _ x: Affine
    ) throws(Failure) -> ByteSums {
        var biases: [Int32] = []
        for gate in shape.gates {
            biases +=
                try bias.map { bias throws(Failure) in try constant(op, bias + gate).array(of: Int32.self) }
                ?? [Int32](repeating: 0, count: shape.cells)
        }
        guard let joined = try op.joined(weights + shape.gates.lowerBound..<weights + 4) else {
            throw op.unsupported("weights \(try op.input(weights + 1).described) and the others must be constant")
        }
        return try ByteSums(
            rows: rows, depth: depth, joined, bias: biases, zeroPoint: x.zero, cache: op.weights,
            threads: op.threadCount)
    }

    private static func constant(_ op: Preparation, _ index: Int) throws(Failure) -> Bytes {
        let tensor = try op.input(index)
        guard let data = tensor.bytes else {
            throw op.unsupported("weights \(tensor.described) and their bias must be constant")
        }
        return data
    }

    /// What a clip option lets pass; 0 is none.
    static func limit(_ clip: Float, _ largest: Int32) -> ClosedRange<Int32> {
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

    func kernel(_ op: Preparation) -> Kernel {
        let (rows, width) = (shape.steps * shape.batch, step.width)
        let products = op.scratch(bytes: 4 * rows * width)
        let recurrent = op.scratch(bytes: 4 * shape.batch * max(width, shape.outputs))
        let hidden = op.scratch(bytes: 4 * shape.batch * cells)
        let bytes = op.scratch(bytes: shape.hasProjection ? shape.batch * cells : 0)
        let work = op.scratch(
            bytes: max(
                inputSums.scratchByteCount, recurrentSums.scratchByteCount, projectionSums?.scratchByteCount ?? 0))
        return { io in
            guard rows > 0 else { return }
            var workspace = io.scratch(work, as: UInt8.self)
            var sums = io.scratch(products, as: Float.self)
            inputSums.run(io.input(Input.sequence), &sums, scratch: &workspace, pool: io.pool)
            var places = LSTMStep.Places(inputStride: shape.timeMajor ? width : shape.steps &* width)
            for time in 0..<shape.steps {
                var before = io.scratch(recurrent, as: Float.self)
                recurrentSums.run(io.input(Input.outputState), &before, scratch: &workspace, pool: io.pool)
                places.input = time &* (shape.timeMajor ? shape.batch &* width : width)
                var cell = io.variable(Input.cellState, as: Int16.self)
                var made = io.scratch(hidden, as: Int32.self)
                step.run(
                    samples: shape.batch, places, input: sums.span, recurrent: before.span,
                    peepholes: io.input(Input.peepholes), io.input(Input.peepholes + 1),
                    io.input(Input.peepholes + 2), cell: &cell, output: &made, pool: io.pool)
                if let projectionSums {
                    var m = io.scratch(bytes, as: Int8.self)
                    for i in 0..<m.count { m[i] = Self.byte(made[i] &+ hiddenZero) }
                    projectionSums.run(m.span, &before, scratch: &workspace, pool: io.pool)
                }
                emit(made.span, before.span, io, time)
            }
        }
    }

    /// The outputs of a step, which are also the output states of the next: from those of the cells, or from the sums of
    /// the projection.
    @inline(never)
    private func emit(_ hidden: Span<Int32>, _ sums: Span<Float>, _ io: borrowing Invocation, _ time: Int) {
        var h = io.variable(Input.outputState, as: Int8.self)
        var y = io.output(as: Int8.self)
        let outputs = shape.outputs
        for sample in 0..<shape.batch {
            let place = shape.place(sample, time)
            for i in 0..<outputs {
                let from = sample &* outputs &+ i
                var value =
                    shape.hasProjection
                    ? projection.scale(Int32(min(max(sums[from], -0x1p31), 0x1.fffffep30))) &+ output.zero
                    : hidden[from] &+ hiddenZero
                value = min(outputLimit.upperBound, max(outputLimit.lowerBound, Int32(Self.byte(value))))
                h[from] = Int8(value)
                y[place &* outputs &+ i] = Int8(value)
            }
        }
    }

    private static func byte(_ x: Int32) -> Int8 { Int8(min(127, max(-128, x))) }
}
