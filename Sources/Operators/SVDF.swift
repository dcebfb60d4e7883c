import Kernels
import Model

/// SVDF: a layer over the last steps of its inputs whose weights are of low rank (Nakkiran et al., 2015). Each filter
/// multiplies the input, and the products of the last steps, which are the state, with weights in time; a unit is the sum
/// of `rank` filters. Float, float with int8 weights, and int8 with int16 states: the reference kernels' arithmetic.
struct SVDF: Sendable {
    private enum Input {
        static let sequence = 0
        static let features = 1
        static let time = 2
        static let bias = 3
        static let state = 4
    }
    private enum Field {
        static let rank = 0
        static let activation = 1
        static let asymmetric = 2
    }

    static var definition: OperatorDefinition {
        OperatorDefinition(.svdf, maxVersion: 4) { op throws(Failure) in
            let (x, features) = (try op.input(Input.sequence), try op.input(Input.features))
            let rank = op.options.int(Field.rank)
            guard x.rank == 2, features.rank == 2, rank > 0, features.shape[0] % rank == 0 else {
                throw op.invalid("\(x.described) and \(features.described) do not go together with rank \(rank)")
            }
            return [[x.shape[0], features.shape[0] / rank]]
        } prepare: { op throws(Failure) in
            let layer = try SVDF(op)
            switch (try op.input(Input.sequence).type, try op.input(Input.features).type, try op.output().type) {
            case (.float32, .float32, .float32), (.float32, .int8, .float32): return try layer.floatKernel(op)
            case (.int8, .int8, .int8): return try layer.integerKernel(op)
            default: throw op.unsupportedTypes()
            }
        }
    }

    private let batch: Int
    private let inputs: Int
    private let filters: Int
    private let memory: Int
    private let rank: Int
    private let activation: FusedActivation
    private let hasBias: Bool

    private init(_ op: Preparation) throws(Failure) {
        let (x, features) = (try op.input(Input.sequence), try op.input(Input.features))
        let (time, state) = (try op.input(Input.time), try op.input(Input.state))
        (batch, inputs, filters) = (x.shape[0], x.shape[1], features.shape[0])
        rank = op.options.int(Field.rank)
        memory = time.rank == 2 ? time.shape[1] : 0
        hasBias = op.hasInput(Input.bias)
        activation = try FusedActivation(option: op.options.int(Field.activation), operator: op.name)
        guard activation != .signBit else { throw op.unsupported("activation sign") }
        guard features.shape[1] == inputs, memory > 0, state.isVariable,
            try op.output().count == batch * (filters / rank)
        else { throw op.invalid("\(features.described), \(time.described) and the state do not go with the input") }
        try op.require(Input.time, count: filters * memory)
        try op.require(Input.state, count: batch * filters * memory)
        if hasBias { try op.require(Input.bias, count: filters / rank) }
    }

    private func require(_ op: Preparation, _ time: TensorType, _ bias: TensorType, _ state: TensorType) throws(Failure)
    {
        guard try op.input(Input.time).type == time, try op.input(Input.state).type == state else {
            throw op.unsupportedTypes()
        }
        if hasBias, try op.input(Input.bias).type != bias { throw op.unsupportedTypes() }
    }

    // MARK: Float

    private func floatKernel(_ op: Preparation) throws(Failure) -> Kernel {
        let features = try op.input(Input.features)
        try require(op, features.type, .float32, .float32)
        let product = try GateProduct(
            op, Input.features..<Input.features + 1, bias: nil, rows: batch, depth: inputs, columns: filters,
            asymmetric: op.options.bool(Field.asymmetric))
        op.kernelName = product.kernelName
        let scale =
            features.type == .int8
            ? try WeightQuantization(op, op.input(Input.time), channels: 1, dimension: 0).scales[0] : 0
        let made = op.scratch(bytes: 4 * batch * filters)
        let work = op.scratch(bytes: product.scratchByteCount)
        let weights = op.scratch(bytes: scale > 0 ? 4 * filters * memory : 0)
        return { io in
            var products = io.scratch(made, as: Float.self)
            var workspace = io.scratch(work, as: UInt8.self)
            product.run(io.input(Input.sequence), io, &products, &workspace)
            var state = io.variable(Input.state, as: Float.self)
            for i in 0..<batch &* filters { state[(i &+ 1) &* memory &- 1] = products[i] }
            guard scale > 0 else { return sum(io, io.input(Input.time)) }
            let stored = io.input(Input.time, as: Int8.self)
            var real = io.scratch(weights, as: Float.self)
            Conversion.dequantize(stored, &real, scale: scale, zeroPoint: 0, pool: io.pool)
            sum(io, real.span)
        }
    }

    /// The units of the state as it is now, which then moves on.
    @inline(never)
    private func sum(_ io: borrowing Invocation, _ time: Span<Float>) {
        var y = io.output(as: Float.self)
        let state = io.input(Input.state, as: Float.self)
        let units = filters / rank
        for i in 0..<batch &* units {
            var sum: Float = hasBias ? io.input(Input.bias, as: Float.self)[i % units] : 0
            for part in 0..<rank {
                let filter = i % units &* rank &+ part
                let first = (i / units &* filters &+ filter) &* memory
                sum += dot(time, filter &* memory, state, first, count: memory)
            }
            y[i] = activation.apply(sum)
        }
        var moving = io.variable(Input.state, as: Float.self)
        FilterState.moveOn(&moving, length: memory)
    }

    // MARK: Integers

    /// The fused activation is in the range of the output: nothing else limits it.
    private func integerKernel(_ op: Preparation) throws(Failure) -> Kernel {
        try require(op, .int16, .int32, .int16)
        let (x, y) = (try op.affine(op.input(Input.sequence)), try op.affine(op.output()))
        let (w, t) = (try op.affine(op.input(Input.features)), try op.affine(op.input(Input.time)))
        let s = try op.affine(op.input(Input.state))
        let first = QuantizedMultiplier(Double(x.scale * w.scale / s.scale))
        let second = QuantizedMultiplier(Double(s.scale * t.scale / y.scale))
        let product = try byteSums(op, zeroPoint: x.zero)
        let made = op.scratch(bytes: product == nil ? 0 : 4 * batch * filters)
        let work = op.scratch(bytes: product?.scratchByteCount ?? 0)
        let sums = op.scratch(bytes: 8 * filters)
        return { io in
            var products = io.scratch(made, as: Float.self)
            var workspace = io.scratch(work, as: UInt8.self)
            product?.run(io.input(Input.sequence), &products, scratch: &workspace, pool: io.pool)
            var state = io.variable(Input.state, as: Int16.self)
            for i in 0..<batch &* filters {
                let sum = product == nil ? featureSum(io, i, zeroPoint: x.zero) : Int32(products[i])
                state[(i &+ 1) &* memory &- 1] = Int16(clamping: first.scale(sum))
            }
            var output = io.output(as: Int8.self)
            let units = filters / rank
            for row in 0..<batch {
                var totals = io.scratch(sums, as: Int64.self)
                FilterState.products(
                    io.input(Input.time), state.span, from: row &* filters &* memory, length: memory, &totals)
                for unit in 0..<units {
                    var sum: Int32 = hasBias ? io.input(Input.bias, as: Int32.self)[unit] : 0
                    for part in 0..<rank { sum &+= Int32(truncatingIfNeeded: totals[unit &* rank &+ part]) }
                    output[row &* units &+ unit] = Int8(clamping: second.scale(sum) &+ y.zero)
                }
            }
            FilterState.moveOn(&state, length: memory)
        }
    }

    /// Inputs whose sums of products with int8 weights fit 24 bits.
    private static let mostInputs = 512

    /// The product of the features; nil if its sums would not be exact, or the weights are not constant.
    private func byteSums(_ op: Preparation, zeroPoint: Int32) throws(Failure) -> ByteSums? {
        guard let weights = try op.input(Input.features).bytes, batch > 0, filters > 0, inputs > 0,
            inputs <= Self.mostInputs
        else { return nil }
        let product = try ByteSums(
            rows: batch, depth: inputs, weights, bias: [Int32](repeating: 0, count: filters), zeroPoint: zeroPoint,
            cache: op.weights, threads: op.threadCount)
        op.kernelName = product.kernelName
        return product
    }

    /// One of its sums, by the definition.
    private func featureSum(_ io: borrowing Invocation, _ index: Int, zeroPoint: Int32) -> Int32 {
        let (row, filter) = index.quotientAndRemainder(dividingBy: filters)
        return dot(
            io.input(Input.features, as: Int8.self), filter &* inputs, io.input(Input.sequence), row &* inputs,
            count: inputs, zeroPoint: zeroPoint)
    }
}
