import Kernels
import Model

/// BATCH_MATMUL: products of matrices, over leading dimensions that broadcast; adj_x and adj_y transpose the operands.
enum BatchMatmul {
    static var definition: OperatorDefinition {
        OperatorDefinition(.batchMatmul, maxVersion: 4, quantization: .binary) { op throws(Failure) in
            [try geometry(op.options, op.input(0), op.input(1), op.name).output]
        } prepare: { op throws(Failure) in
            let (a, b) = (try op.input(0), try op.input(1))
            let matrices = try geometry(op.options, a, b, op.name)
            switch (a.type, b.type, try op.output().type) {
            case (.float32, .float32, .float32):
                if let kernel = try fastFloat(op, matrices) { return kernel }
                return float(matrices)
            case (.float32, .int8, .float32): return try hybrid(op, matrices)
            case (.int8, .int8, .int8):
                if let kernel = try fastBytes(op, matrices) { return kernel }
                return try integer(op, matrices, Int8.self, Int8.self, wideSums: false)
            case (.int8, .int8, .int32): return sums(matrices)
            case (.int16, .int8, .int16): return try integer(op, matrices, Int16.self, Int8.self, wideSums: true)
            case (.int16, .int16, .int16): return try integer(op, matrices, Int16.self, Int16.self, wideSums: true)
            default: throw op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            let (a, b, dy) = (try g.x, try g.b, try g.dy)
            let (transposesA, transposesB) = (g.options.bool(0), g.options.bool(1))
            return [
                transposesA ? try b.matmul(dy, transposesB, true) : try dy.matmul(b, false, !transposesB),
                transposesB ? try dy.matmul(a, true, transposesA) : try a.matmul(dy, !transposesA, false),
            ]
        }
    }

    private static func geometry(
        _ options: Options, _ a: TensorInfo, _ b: TensorInfo, _ name: String
    ) throws(Failure) -> MatrixBatch {
        try MatrixBatch(a, transposeA: options.bool(0), b, transposeB: options.bool(1), operator: name)
    }

    /// By the matrix product kernel; nil for the reference arithmetic and empty operands.
    private static func fastFloat(_ op: Preparation, _ matrices: MatrixBatch) throws(Failure) -> Kernel? {
        let count = try op.output().count
        guard op.arithmetic == .fast, count > 0, matrices.depth > 0 else { return nil }
        let (columns, depth) = (matrices.columns, matrices.depth)
        let rows = matrices.rowsOfOneProduct(of: count)
        let product = try Matmul(
            rows: rows, columns: columns, depth: depth, transposesA: op.options.bool(0),
            transposesB: op.options.bool(1),
            operands: stride(from: 0, to: count / columns, by: rows).map { matrices.operands(row: $0) },
            threads: op.threadCount)
        op.kernelName = product.kernelName
        let scratch = op.scratch(bytes: product.scratchByteCount)
        return { io throws(Failure) in
            var workspace = io.scratch(scratch, as: UInt8.self)
            var c = io.output(as: Float.self)
            product.run(
                io.input(0, as: Float.self), io.input(1, as: Float.self), &c, scratch: &workspace, pool: io.pool)
        }
    }

    /// The same for bytes. A constant B that all products share is packed once, as the weights of a layer.
    private static func fastBytes(_ op: Preparation, _ matrices: MatrixBatch) throws(Failure) -> Kernel? {
        let count = try op.output().count
        guard op.arithmetic == .fast, count > 0, matrices.depth > 0, !op.options.bool(0) else { return nil }
        let weights = try weights(op, matrices)
        let stage = try weights.outputStage(
            op, input: op.input(0), output: op.output(), activation: .none, reference: .fixedPointOfFloat)
        guard case .single(let scales) = stage.factors else { return nil }
        let requantization = Kernels.Requantization(
            scales: scales, inputZeroPoint: try op.input(0).zeroPoint, weightZeroPoint: weights.zeroPoint,
            outputZeroPoint: stage.zeroPoint, outputMinimum: stage.minimum, outputMaximum: stage.maximum)
        let (columns, depth, rows) = (matrices.columns, matrices.depth, matrices.rowsOfOneProduct(of: count))
        if rows * columns == count, op.options.bool(1), let bytes = try op.input(1).bytes {
            var shape = ConvolutionShape()
            (shape.batch, shape.inputChannels, shape.outputChannels) = (rows, depth, columns)
            return try LinearLayer.launch(
                try ByteConvolution(
                    shape, weights: bytes, weightsAreSigned: true, bias: nil, requantization: requantization,
                    activationsAreSigned: true, cache: op.weights, threads: op.threadCount), op, input: 0)
        }
        let operands = stride(from: 0, to: count / columns, by: rows).map { matrices.operands(row: $0) }
        let product = try ByteMatmul(
            rows: rows, columns: columns, depth: depth, transposesB: op.options.bool(1), operands: operands,
            requantization: requantization, threads: op.threadCount)
        op.kernelName = product.kernelName
        let scratch = op.scratch(bytes: product.scratchByteCount)
        return { io throws(Failure) in
            var workspace = io.scratch(scratch, as: UInt8.self)
            var c = io.output(as: Int8.self)
            product.run(
                io.input(0, as: Int8.self), io.input(1, as: Int8.self), &c, scratch: &workspace, pool: io.pool)
        }
    }

    private static func float(_ matrices: MatrixBatch) -> Kernel {
        { io throws(Failure) in
            let (a, b) = (io.input(0, as: Float.self), io.input(1, as: Float.self))
            var c = io.output(as: Float.self)
            for row in 0..<matrices.rows(in: c.count) {
                let at = matrices.operands(row: row)
                for column in 0..<matrices.columns {
                    c[row * matrices.columns + column] = matrices.sum(
                        a, from: at.a, b, from: at.b + column * matrices.bColumn, start: 0 as Float
                    ) { sum, a, b in sum + a * b }
                }
            }
        }
    }

    /// int8 operands with an int32 result: bare sums, without zero points or scales.
    private static func sums(_ matrices: MatrixBatch) -> Kernel {
        { io throws(Failure) in
            let (a, b) = (io.input(0, as: Int8.self), io.input(1, as: Int8.self))
            var c = io.output(as: Int32.self)
            for row in 0..<matrices.rows(in: c.count) {
                let at = matrices.operands(row: row)
                for column in 0..<matrices.columns {
                    c[row * matrices.columns + column] = matrices.sum(
                        a, from: at.a, b, from: at.b + column * matrices.bColumn, start: 0 as Int32
                    ) { sum, a, b in sum &+ Int32(a) &* Int32(b) }
                }
            }
        }
    }

    /// Scales of B, one for each column of the result.
    private static func weights(_ op: Preparation, _ matrices: MatrixBatch) throws(Failure) -> WeightQuantization {
        let b = try op.input(1)
        return try WeightQuantization(
            op, b, channels: matrices.columns, dimension: op.options.bool(1) ? b.rank - 2 : b.rank - 1)
    }

    private static func integer<A, B>(
        _ op: Preparation, _ matrices: MatrixBatch, _: A.Type, _: B.Type, wideSums: Bool
    ) throws(Failure) -> Kernel
    where A: FixedWidthInteger & BitwiseCopyable, B: FixedWidthInteger & BitwiseCopyable {
        let weights = try weights(op, matrices)
        let stage = try weights.outputStage(
            op, input: op.input(0), output: op.output(), activation: .none, reference: .fixedPointOfFloat)
        let aZero = Int64(try op.input(0).zeroPoint)
        let bZero = Int64(weights.zeroPoint)
        return { io throws(Failure) in
            let (a, b) = (io.input(0, as: A.self), io.input(1, as: B.self))
            var c = io.output(as: A.self)
            for row in 0..<matrices.rows(in: c.count) {
                let at = matrices.operands(row: row)
                for column in 0..<matrices.columns {
                    let sum = matrices.sum(
                        a, from: at.a, b, from: at.b + column * matrices.bColumn, start: 0 as Int64
                    ) { sum, a, b in
                        sum &+ (Int64(a) &- aZero) &* (Int64(b) &- bZero)
                    }
                    c[row * matrices.columns + column] = A(
                        truncatingIfNeeded: stage.quantize(sum, wide: wideSums, channel: column))
                }
            }
        }
    }

    /// Dynamic range: each row of A is quantized on the fly.
    private static func hybrid(_ op: Preparation, _ matrices: MatrixBatch) throws(Failure) -> Kernel {
        let weights = try weights(op, matrices)
        guard weights.zeroPoint == 0 else {
            throw op.unsupported("weights \(try op.input(1).described) of a float product must have zero point 0")
        }
        let asymmetric = op.options.bool(2)
        let gathered = op.scratch(bytes: matrices.depth * MemoryLayout<Float>.stride)
        let quantized = op.scratch(bytes: matrices.depth)
        return { io throws(Failure) in
            let (a, b) = (io.input(0, as: Float.self), io.input(1, as: Int8.self))
            var x = io.scratch(gathered, as: Float.self)
            var q = io.scratch(quantized, as: Int8.self)
            var c = io.output(as: Float.self)
            let gatheredRows = matrices.withContiguousA
            for row in 0..<matrices.rows(in: c.count) {
                let at = matrices.operands(row: row)
                for index in 0..<matrices.depth { x[index] = a[at.a + index * matrices.aDepth] }
                let grid = DynamicQuantization(
                    x.span, from: 0, count: matrices.depth, asymmetric: asymmetric, into: &q)
                for column in 0..<matrices.columns {
                    let sum = gatheredRows.sum(
                        q.span, from: 0, b, from: at.b + column * matrices.bColumn, start: 0 as Int32
                    ) { sum, a, b in sum &+ (Int32(a) &- grid.zeroPoint) &* Int32(b) }
                    c[row * matrices.columns + column] = Float(sum) * weights.scales[column] * grid.scale
                }
            }
        }
    }
}
