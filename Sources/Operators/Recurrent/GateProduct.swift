import Kernels
import Model

/// Rows of floats times the weights of all gates, or of a projection, plus their bias. Weights that are constant are
/// packed, one product for all of them.
struct GateProduct: Sendable {
    private enum Form: Sendable {
        case float(FloatConvolution)
        case hybrid(HybridConvolution)
        /// Weights as they lie.
        case live
    }

    private let form: Form
    private let rows: Int
    private let depth: Int
    /// Inputs of the operator: a matrix for each gate, [columns, depth].
    private let weights: Range<Int>
    private let bias: Int?
    private let columns: Int
    let scratchByteCount: Int
    var kernelName: String {
        switch form {
        case .float(let layer): layer.kernelName
        case .hybrid(let layer): layer.kernelName
        case .live: ""
        }
    }

    /// `bias`: the input with that of the first matrix.
    init(
        _ op: Preparation, _ weights: Range<Int>, bias: Int?, rows: Int, depth: Int, columns: Int,
        asymmetric: Bool
    ) throws(Failure) {
        (self.weights, self.bias, self.rows, self.depth, self.columns) = (weights, bias, rows, depth, columns)
        let isHybrid = try op.input(weights.lowerBound).type == .int8
        var biases: [Float]? = bias == nil ? nil : []
        for index in weights {
            guard let bias else { continue }
            let part = try op.input(bias + index - weights.lowerBound).bytes?.array(of: Float.self)
            biases = part.flatMap { part in biases.map { $0 + part } }
        }
        let joined = bias == nil || biases != nil ? try op.joined(weights) : nil
        guard let joined else {
            guard !isHybrid else { throw op.unsupported("int8 weights and their bias must be constant") }
            (form, scratchByteCount) = (.live, 0)
            return
        }
        var shape = ConvolutionShape()
        (shape.batch, shape.inputChannels, shape.outputChannels) = (rows, depth, columns * weights.count)
        if isHybrid {
            var scales: [Float] = []
            for index in weights {
                let scale = try WeightQuantization(op, op.input(index), channels: 1, dimension: 0).scales[0]
                scales += [Float](repeating: scale, count: columns)
            }
            let layer = try HybridConvolution(
                shape, weights: HybridWeights(joined, scales: scales), bias: biases, minimum: -.infinity,
                maximum: .infinity, asymmetric: asymmetric, cache: op.weights, threads: op.threadCount)
            (form, scratchByteCount) = (.hybrid(layer), layer.scratchByteCount)
        } else {
            let layer = try FloatConvolution(
                shape, weights: joined, bias: try biases.map { biases throws(Failure) in try Bytes(copying: biases) },
                minimum: -.infinity, maximum: .infinity, cache: op.weights, threads: op.threadCount)
            (form, scratchByteCount) = (.float(layer), layer.scratchByteCount)
        }
    }

    /// `y`: [rows, gates * columns].
    func run(
        _ x: Span<Float>, _ io: borrowing Invocation, _ y: inout MutableSpan<Float>, _ work: inout MutableSpan<UInt8>
    ) {
        switch form {
        case .float(let layer): layer.run(x, &y, scratch: &work, pool: io.pool)
        case .hybrid(let layer): layer.run(x, &y, scratch: &work, pool: io.pool)
        case .live:
            for (gate, index) in weights.enumerated() {
                let w = io.input(index, as: Float.self)
                for i in 0..<rows &* columns {
                    let (row, column) = i.quotientAndRemainder(dividingBy: columns)
                    let start = bias.map { io.input($0 + gate, as: Float.self)[column] } ?? 0
                    y[(row &* weights.count &+ gate) &* columns &+ column] =
                        start + dot(w, column &* depth, x, row &* depth, count: depth)
                }
            }
        }
    }
}

extension Preparation {
    /// Constant matrices, one below the other; nil: one is not constant.
    func joined(_ indices: Range<Int>) throws(Failure) -> Bytes? {
        var parts: [Bytes] = []
        var form: Sentence = "joined"
        for index in indices {
            guard let part = try input(index).bytes else { return nil }
            parts.append(part)
            form = form + " \(digest(part.array(of: UInt8.self)))"
        }
        guard let first = parts.first, parts.count > 1 else { return parts.first }
        let joined = Bytes(
            try weights.derived(first, form: form) { () throws(Failure) in try Bytes(joining: parts).storage })
        for part in parts { part.forget() }
        return joined
    }
}
