import CKernels

/// The element kernels of this machine.
nonisolated(unsafe) let kernelTable = eo_elementwise_best()

/// A float function of one element.
package enum UnaryFunction: Equatable, Sendable {
    case clamp(Float, Float)
    case leakyRelu(Float)
    /// x logistic(b x).
    case swish(Float)
    case hardSwish, exp, elu, logistic, tanh, gelu, geluTanh, sqrt, rsqrt, square, abs, negate, sign
    case floor, ceil, log, sin, cos
    /// Ties to even.
    case round

    var kernel: eo_unary {
        switch self {
        case .clamp: kernelTable.pointee.f32_clamp
        case .leakyRelu: kernelTable.pointee.f32_leaky_relu
        case .hardSwish: kernelTable.pointee.f32_hard_swish
        case .exp: kernelTable.pointee.f32_exp
        case .elu: kernelTable.pointee.f32_elu
        case .logistic: kernelTable.pointee.f32_logistic
        case .swish: kernelTable.pointee.f32_swish
        case .tanh: kernelTable.pointee.f32_tanh
        case .gelu: kernelTable.pointee.f32_gelu
        case .geluTanh: kernelTable.pointee.f32_gelu_tanh
        case .sqrt: kernelTable.pointee.f32_sqrt
        case .rsqrt: kernelTable.pointee.f32_rsqrt
        case .square: kernelTable.pointee.f32_square
        case .abs: kernelTable.pointee.f32_abs
        case .negate: kernelTable.pointee.f32_neg
        case .sign: kernelTable.pointee.f32_sign
        case .floor: kernelTable.pointee.f32_floor
        case .ceil: kernelTable.pointee.f32_ceil
        case .round: kernelTable.pointee.f32_round
        case .log: kernelTable.pointee.f32_log
        case .sin: kernelTable.pointee.f32_sin
        case .cos: kernelTable.pointee.f32_cos
        }
    }

    var parameters: eo_f32_params {
        switch self {
        case .clamp(let low, let high): eo_f32_params(low: low, high: high)
        case .leakyRelu(let slope), .swish(let slope): eo_f32_params(low: slope, high: 0)
        default: eo_f32_params(low: 0, high: 0)
        }
    }
}

/// A float function of two elements.
package enum BinaryFunction: Sendable {
    case add, subtract, multiply, divide, minimum, maximum, squaredDifference
    /// a >= 0: a, else a * b.
    case prelu

    var kernel: eo_binary {
        switch self {
        case .add: kernelTable.pointee.f32_add
        case .subtract: kernelTable.pointee.f32_sub
        case .multiply: kernelTable.pointee.f32_mul
        case .divide: kernelTable.pointee.f32_div
        case .minimum: kernelTable.pointee.f32_min
        case .maximum: kernelTable.pointee.f32_max
        case .squaredDifference: kernelTable.pointee.f32_squared_difference
        case .prelu: kernelTable.pointee.f32_prelu
        }
    }
}

typealias eo_unary = @convention(c) (Int, UnsafeRawPointer, UnsafeMutableRawPointer, UnsafeRawPointer?) -> Void
typealias eo_binary_form =
    @convention(c) (Int, UnsafeRawPointer, UnsafeRawPointer, UnsafeMutableRawPointer, UnsafeRawPointer) -> Void

typealias eo_pool =
    @convention(c) (UnsafePointer<eo_pool_window>, UnsafeRawPointer, UnsafeMutableRawPointer) -> Void

extension Broadcast.Form {
    func kernel(_ kernel: eo_binary) -> eo_binary_form {
        switch self {
        case .vectorVector: kernel.vv
        case .vectorScalar: kernel.vs
        case .scalarVector: kernel.sv
        }
    }
}

/// Functions applied to every element. The output may be the memory of an input. Large tensors are shared among the
/// threads of `pool`; which thread computes an element does not change its bits. Nothing is allocated.
package enum Elementwise {
    /// y = f(x), over as many elements as both have.
    package static func apply(
        _ function: UnaryFunction, _ x: Span<Float>, _ y: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        var parameters = function.parameters
        unary(function.kernel, x, &y, &parameters, pool)
    }

    /// y = table[x], 256 entries; the index is the byte's bits (int8 -1 is entry 255).
    package static func lookUp(
        _ table: Span<UInt8>, _ x: Span<UInt8>, _ y: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        precondition(table.count == 256)
        table.withUnsafeBufferPointer { unary(kernelTable.pointee.x8_lut, x, &y, $0.baseAddress, pool) }
    }

    /// y = clamp(f(a, b)).
    package static func apply(
        _ function: BinaryFunction, _ shape: Broadcast, _ a: Span<Float>, _ b: Span<Float>,
        _ y: inout MutableSpan<Float>, clamp: (minimum: Float, maximum: Float) = (-.infinity, .infinity),
        pool: ThreadPool
    ) {
        var parameters = eo_f32_params(low: clamp.minimum, high: clamp.maximum)
        binary(function.kernel, shape, a, b, &y, &parameters, pool)
    }

    /// y = clamp(round((a - zeroA) * scaleA + (b - zeroB) * scaleB)) + zeroY, one float rounding for each operation,
    /// ties to even. A negative scale subtracts.
    package static func add<T: QuantizedInteger>(
        _ shape: Broadcast, _ a: Span<T>, _ b: Span<T>, _ y: inout MutableSpan<T>, _ arithmetic: QuantizedArithmetic,
        pool: ThreadPool
    ) {
        var parameters = arithmetic.parameters
        binary(T.kernels.add, shape, a, b, &y, &parameters, pool)
    }

    /// y = clamp(round((a - zeroA) * (b - zeroB) * scaleA)) + zeroY, the first product exact.
    package static func multiply<T: QuantizedInteger>(
        _ shape: Broadcast, _ a: Span<T>, _ b: Span<T>, _ y: inout MutableSpan<T>, _ arithmetic: QuantizedArithmetic,
        pool: ThreadPool
    ) {
        var parameters = arithmetic.parameters
        binary(T.kernels.multiply, shape, a, b, &y, &parameters, pool)
    }

    static func unary<X: BitwiseCopyable, Y: BitwiseCopyable>(
        _ kernel: @escaping eo_unary, _ x: Span<X>, _ y: inout MutableSpan<Y>, _ parameters: UnsafeRawPointer?,
        _ pool: ThreadPool
    ) {
        let count = min(x.count, y.count)
        guard count > 0 else { return }
        x.withUnsafeBytes { x in
            y.withUnsafeMutableBytes { y in
                unary(
                    kernel, count, x.baseAddress!, MemoryLayout<X>.stride, y.baseAddress!, MemoryLayout<Y>.stride,
                    parameters, pool)
            }
        }
    }

    @inline(never)
    static func unary(
        _ kernel: @escaping eo_unary, _ count: Int, _ x: UnsafeRawPointer, _ sizeX: Int, _ y: UnsafeMutableRawPointer,
        _ sizeY: Int, _ parameters: UnsafeRawPointer?, _ pool: ThreadPool
    ) {
        if count <= elementsPerPiece { return kernel(count, x, y, parameters) }
        var job = UnaryJob(
            kernel: kernel, x: x, y: y, parameters: parameters, sizeX: sizeX, sizeY: sizeY,
            pieces: .elements(count, pool))
        pool.run(job.pieces.count, &job) { context, piece, _ in
            context.assumingMemoryBound(to: UnaryJob.self).pointee.run(piece)
        }
    }

    static func binary<T: BitwiseCopyable, B: BitwiseCopyable>(
        _ kernel: eo_binary, _ shape: Broadcast, _ a: Span<T>, _ b: Span<B>, _ y: inout MutableSpan<T>,
        _ parameters: UnsafeRawPointer, _ pool: ThreadPool
    ) {
        let (size, sizeB) = (MemoryLayout<T>.stride, MemoryLayout<B>.stride)
        var result = y.mutableBytes
        binary(kernel, shape, a.bytes, b.bytes, &result, (size, sizeB, size), parameters, pool)
    }

    /// The memory must hold what `shape` says, or nothing is done. `sizes`: bytes of an element.
    @inline(never)
    static func binary(
        _ kernel: eo_binary, _ shape: Broadcast, _ a: RawSpan, _ b: RawSpan, _ y: inout MutableRawSpan,
        _ sizes: (a: Int, b: Int, y: Int), _ parameters: UnsafeRawPointer, _ pool: ThreadPool
    ) {
        precondition(y.byteCount >= shape.runs * shape.length * sizes.y)
        guard y.byteCount > 0, a.byteCount > 0, b.byteCount > 0 else { return }
        a.withUnsafeBytes { a in
            b.withUnsafeBytes { b in
                y.withUnsafeMutableBytes { y in
                    let kernel = shape.kernelForm.kernel(kernel)
                    if shape.runs == 1, shape.length <= elementsPerPiece {
                        return kernel(shape.length, a.baseAddress!, b.baseAddress!, y.baseAddress!, parameters)
                    }
                    let job = BinaryJob(
                        kernel: kernel, shape: shape, a: a.baseAddress!, b: b.baseAddress!, y: y.baseAddress!,
                        parameters: parameters, sizes: sizes,
                        pieces: Pieces(
                            shape.runs * shape.length, atMost: elementsPerPiece,
                            unit: shape.length > elementsPerPiece ? cacheLine : max(1, shape.length), pool: pool))
                    withUnsafePointer(to: job) {
                        pool.run(job.pieces.count, $0) { context, piece, _ in
                            context.assumingMemoryBound(to: BinaryJob.self).pointee.run(piece)
                        }
                    }
                }
            }
        }
    }
}

/// Factors and bounds of a quantized addition or multiplication. The scales are finite; zero points and bounds are
/// values of the quantized type.
package struct QuantizedArithmetic: Sendable {
    package var zeroA = 0
    package var zeroB = 0
    package var zeroY = 0
    package var scaleA: Float
    package var scaleB: Float = 0
    package var minimum: Int
    package var maximum: Int

    package init(scaleA: Float, scaleB: Float = 0, zeros: (a: Int, b: Int, y: Int), minimum: Int, maximum: Int) {
        self.scaleA = scaleA
        self.scaleB = scaleB
        (zeroA, zeroB, zeroY) = zeros
        self.minimum = minimum
        self.maximum = maximum
    }

    var parameters: eo_quantized_binary_params {
        eo_quantized_binary_params(
            zero_a: Int32(zeroA), zero_b: Int32(zeroB), zero_y: Int32(zeroY), scale_a: scaleA, scale_b: scaleB,
            low: Float(minimum - zeroY), high: Float(maximum - zeroY))
    }
}

private struct UnaryJob {
    let kernel: eo_unary
    let x: UnsafeRawPointer
    let y: UnsafeMutableRawPointer
    let parameters: UnsafeRawPointer?
    let sizeX: Int
    let sizeY: Int
    let pieces: Pieces

    func run(_ piece: Int) {
        let part = pieces[piece]
        kernel(part.count, x + part.lowerBound * sizeX, y + part.lowerBound * sizeY, parameters)
    }
}

private struct BinaryJob {
    let kernel: eo_binary_form
    let shape: Broadcast
    let a: UnsafeRawPointer
    let b: UnsafeRawPointer
    let y: UnsafeMutableRawPointer
    let parameters: UnsafeRawPointer
    /// Bytes of an element.
    let sizes: (a: Int, b: Int, y: Int)
    /// Of the elements; no short run is cut.
    let pieces: Pieces

    func run(_ piece: Int) {
        let (elements, length) = (pieces[piece], shape.length)
        switch shape.joint((sizes.a, sizes.b), bytes: Self.writtenBytes) {
        case .repeated(let operand, let neighbours) where elements.count > length:
            let end = elements.upperBound / length
            var run = elements.lowerBound / length
            while run < end {
                let next = min(end, (run / neighbours + 1) * neighbours)
                runTogether(run..<next, repeating: operand)
                run = next
            }
            return
        case .spread(let operand):
            return runTogether(elements.lowerBound / length..<elements.upperBound / length, spreading: operand)
        default: break
        }
        var element = elements.lowerBound
        while element < elements.upperBound {
            let start = element % length
            let count = min(elements.upperBound - element, length - start)
            run(element / length, from: start, count: count)
            element += count
        }
    }

    /// What Swift still puts on the stack, with an alignment of 16 at most.
    private static let writtenBytes = 1024

    /// One operand the same in all runs (three numbers for the colours of each pixel).
    private func runTogether(_ runs: Range<Int>, repeating operand: Broadcast.Operand) {
        let start = shape.start(ofRun: runs.lowerBound)
        let first = (a: a + start.a * sizes.a, b: b + start.b * sizes.b)
        withUnsafeTemporaryAllocation(byteCount: Self.writtenBytes, alignment: 16) { row in
            let runSize = shape.length * (operand == .a ? sizes.a : sizes.b)
            let together = min(Self.writtenBytes / runSize, runs.count)
            eo_fill(together * runSize, runSize, operand == .a ? first.a : first.b, row.baseAddress!)
            for index in stride(from: 0, to: runs.count, by: together) {
                let place = index * shape.length
                run(
                    min(together, runs.count - index), writtenOut: operand, row.baseAddress!,
                    other: operand == .a ? first.b + place * sizes.b : first.a + place * sizes.a,
                    to: runs.lowerBound + index)
            }
        }
    }

    /// Of one operand the next element in each run (the mean of each row).
    private func runTogether(_ runs: Range<Int>, spreading operand: Broadcast.Operand) {
        let length = shape.length
        let (column, size) = operand == .a ? (a, sizes.a) : (b, sizes.b)
        let (rows, rowSize) = operand == .a ? (b, sizes.b) : (a, sizes.a)
        withUnsafeTemporaryAllocation(byteCount: Self.writtenBytes, alignment: 16) { row in
            let together = Self.writtenBytes / (length * size)
            for first in stride(from: runs.lowerBound, to: runs.upperBound, by: together) {
                let count = min(together, runs.upperBound - first)
                eo_spread(count, length, size, column + first * size, row.baseAddress!)
                run(count, writtenOut: operand, row.baseAddress!, other: rows + first * length * rowSize, to: first)
            }
        }
    }

    private func run(
        _ count: Int, writtenOut operand: Broadcast.Operand, _ row: UnsafeMutableRawPointer,
        other: UnsafeRawPointer, to run: Int
    ) {
        let row = UnsafeRawPointer(row)
        kernel(
            count * shape.length, operand == .a ? row : other, operand == .a ? other : row,
            y + run * shape.length * sizes.y, parameters)
    }

    private func run(_ index: Int, from start: Int, count: Int) {
        let (startA, startB) = shape.start(ofRun: index)
        let steps = shape.form.steps
        kernel(
            count, a + (startA + start * steps.a) * sizes.a, b + (startB + start * steps.b) * sizes.b,
            y + (index * shape.length + start) * sizes.y, parameters)
    }
}
