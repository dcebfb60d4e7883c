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
                if let kernel = try layer(op, matrices) { return kernel }
                if let kernel = try fastFloat(op, matrices) { return kernel }
                return float(matrices)
            case (.float32, .int8, .float32):
                if let kernel = try layer(op, matrices) { return kernel }
                return try hybrid(op, matrices)
            case (.int8, .int8, .int8):
                if let kernel = try layer(op, matrices) { return kernel }
                if let kernel = try fastBytes(op, matrices) { return kernel }
                return try integer(op, matrices)
            case (.int8, .int8, .int32): return try integer(op, matrices)
            case (.int16, .int8, .int16):
                if let kernel = try layer(op, matrices) { return kernel }
                fallthrough
            case (.int16, .int16, .int16):
                if let kernel = try fastShorts(op, matrices) { return kernel }
                return try integer(op, matrices)
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
            transposesB: op.options.bool(1), operands: matrices.products(of: count), threads: op.threadCount)
        op.kernelName = product.kernelName
        let scratch = op.scratch(bytes: product.scratchByteCount)
        return { io throws(Failure) in
            var workspace = io.scratch(scratch, as: UInt8.self)
            var c = io.output(as: Float.self)
            product.run(
                io.input(0, as: Float.self), io.input(1, as: Float.self), &c, scratch: &workspace, pool: io.pool)
        }
    }

    /// A constant B that all products share is packed once, as the weights of a layer; nil: it is none.
    private static func layer(_ op: Preparation, _ matrices: MatrixBatch) throws(Failure) -> Kernel? {
        let (b, count, transposesB) = (try op.input(1), try op.output().count, op.options.bool(1))
        let (columns, depth, rows) = (matrices.columns, matrices.depth, matrices.rowsOfOneProduct(of: count))
        guard op.arithmetic == .fast, count > 0, depth > 0, !op.options.bool(0), rows * columns == count,
            let stored = b.bytes
        else { return nil }
        var shape = ConvolutionShape()
        (shape.batch, shape.inputChannels, shape.outputChannels) = (rows, depth, columns)
        let layer = try LinearLayer(
            op, Windows(shape, .convolution), roles: .init(channelDimension: b.rank - (transposesB ? 2 : 1)),
            conventions: .init(asymmetricInputs: op.options.bool(2)), activation: .none)
        let weights =
            transposesB
            ? stored
            : try op.weights.transposed(stored, rows: depth, columns: columns, elementSize: (b.type.bits ?? 8) / 8)
        let kernel = try layer.fastKernel(weights, nil)
        if kernel != nil { op.packed = stored.storage }
        return kernel
    }

    /// From sums of the fast arithmetic to the output.
    private static func requantization(
        _ op: Preparation, _ weights: WeightQuantization
    ) throws(Failure) -> Kernels.Requantization {
        let stage = try weights.outputStage(
            op, input: op.input(0), output: op.output(), activation: .none, reference: .fixedPointOfFloat)
        guard case .single(let scales) = stage.factors else { throw op.unsupportedTypes() }
        return Kernels.Requantization(
            scales: scales, inputZeroPoint: try op.input(0).zeroPoint, weightZeroPoint: weights.zeroPoint,
            outputZeroPoint: stage.zeroPoint, outputMinimum: stage.minimum, outputMaximum: stage.maximum)
    }

    /// By the product kernel of bytes; nil for the reference arithmetic, a transposed A and empty operands.
    private static func fastBytes(_ op: Preparation, _ matrices: MatrixBatch) throws(Failure) -> Kernel? {
        let count = try op.output().count
        guard op.arithmetic == .fast, count > 0, matrices.depth > 0, !op.options.bool(0) else { return nil }
        let product = try ByteMatmul(
            rows: matrices.rowsOfOneProduct(of: count), columns: matrices.columns, depth: matrices.depth,
            transposesB: op.options.bool(1), operands: matrices.products(of: count),
            requantization: try requantization(op, weights(op, matrices)), threads: op.threadCount)
        op.kernelName = product.kernelName
        let scratch = op.scratch(bytes: product.scratchByteCount)
        return { io throws(Failure) in
            var workspace = io.scratch(scratch, as: UInt8.self)
            var c = io.output(as: Int8.self)
            product.run(
                io.input(0, as: Int8.self), io.input(1, as: Int8.self), &c, scratch: &workspace, pool: io.pool)
        }
    }

    /// The same for 16 bits, whose B must have no zero points.
    private static func fastShorts(_ op: Preparation, _ matrices: MatrixBatch) throws(Failure) -> Kernel? {
        let (count, weights) = (try op.output().count, try weights(op, matrices))
        guard op.arithmetic == .fast, count > 0, matrices.depth > 0, !op.options.bool(0), weights.zeroPoint == 0 else {
            return nil
        }
        let product = try ShortMatmul(
            rows: matrices.rowsOfOneProduct(of: count), columns: matrices.columns, depth: matrices.depth,
            transposesB: op.options.bool(1), hasBytes: try op.input(1).type == .int8,
            operands: matrices.products(of: count), requantization: try requantization(op, weights),
            threads: op.threadCount)
        op.kernelName = ShortMatmul.kernelName
        let scratch = op.scratch(bytes: product.scratchByteCount)
        return { io throws(Failure) in
            var workspace = io.scratch(scratch, as: UInt8.self)
            var c = io.output(as: Int16.self)
            product.run(
                io.input(0, as: Int16.self), io.input(1, as: UInt8.self), &c, scratch: &workspace, pool: io.pool)
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

    /// Scales of B, one for each column of the result.
    private static func weights(_ op: Preparation, _ matrices: MatrixBatch) throws(Failure) -> WeightQuantization {
        let b = try op.input(1)
        return try WeightQuantization(
            op, b, channels: matrices.columns, dimension: op.options.bool(1) ? b.rank - 2 : b.rank - 1)
    }

    /// By the definition. An int32 result has bare sums, without zero points or scales.
    private static func integer(_ op: Preparation, _ matrices: MatrixBatch) throws(Failure) -> Kernel {
        var (stage, aZero, bZero): (OutputStage?, Int64, Int64) = (nil, 0, 0)
        if try op.output().type != .int32 {
            let weights = try weights(op, matrices)
            stage = try weights.outputStage(
                op, input: op.input(0), output: op.output(), activation: .none, reference: .fixedPointOfFloat)
            (aZero, bZero) = (Int64(try op.input(0).zeroPoint), Int64(weights.zeroPoint))
        }
        let (aIsWide, bIsWide) = (try op.input(0).type == .int16, try op.input(1).type == .int16)
        let (count, width) = (try op.output().count, stage == nil ? 4 : aIsWide ? 2 : 1)
        return { [stage, aZero, bZero] io throws(Failure) in
            let (a8, a16) = (io.input(0, as: Int8.self), io.input(0, as: Int16.self))
            let (b8, b16) = (io.input(1, as: Int8.self), io.input(1, as: Int16.self))
            var c = io.output(as: UInt8.self)
            for row in 0..<matrices.rows(in: count) {
                let at = matrices.operands(row: row)
                for column in 0..<matrices.columns {
                    var sum: Int64 = 0
                    for k in 0..<matrices.depth {
                        let i = at.a + k * matrices.aDepth
                        let j = at.b + column * matrices.bColumn + k * matrices.bDepth
                        let b = bIsWide ? Int64(b16[j]) : Int64(b8[j])
                        sum &+= ((aIsWide ? Int64(a16[i]) : Int64(a8[i])) &- aZero) &* (b &- bZero)
                    }
                    let result = stage.map { $0.quantize(sum, wide: aIsWide, channel: column) } ?? Int(sum)
                    storeInteger(result, &c, row * matrices.columns + column, width: width)
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
