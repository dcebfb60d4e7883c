import Kernels
import Model

/// What the reductions have in common. Inputs: tensor, axes (negative ones count from the end). Options: 0 keep the
/// reduced dimensions, as 1.
struct Reducer {
    let op: Preparation
    let input: TensorInfo
    let output: TensorInfo
    let shape: ReductionShape

    init(_ op: Preparation) throws(Failure) {
        self.op = op
        input = try op.input(0)
        output = try op.output()
        try op.requireType(input.type, of: output)
        guard let integers = try op.input(1).integers else {
            throw op.unsupported("the axes must be known when the model is compiled")
        }
        guard let axes = Self.axes(integers, rank: input.rank) else {
            throw op.invalid("axes \(integers) do not fit \(input.described)")
        }
        shape = ReductionShape(input.shape, axes: axes)
        guard shape.outputRuns * shape.outputLength == output.count else {
            throw op.invalid("\(output.described) does not have the shape of \(input.described) without its axes")
        }
    }

    static func shapes(_ op: borrowing ShapeInference) throws(Failure) -> [[Int]]? {
        let input = try op.input(0)
        guard let integers = try op.integers(1) else { return nil }
        guard let axes = axes(integers, rank: input.rank) else {
            throw op.invalid("axes \(integers) do not fit \(input.described)")
        }
        var shape: [Int] = []
        for (axis, size) in input.shape.enumerated() {
            if !axes.contains(axis) { shape.append(size) } else if op.options.bool(0) { shape.append(1) }
        }
        return [shape]
    }

    /// Each axis once, 0 or more; nil if one is out of range. A scalar has no axes, whatever they are.
    static func axes(_ integers: [Int], rank: Int) -> [Int]? {
        var axes: [Int] = []
        for integer in integers where rank > 0 {
            let axis = integer < 0 ? integer + rank : integer
            guard axis >= 0 && axis < rank else { return nil }
            if !axes.contains(axis) { axes.append(axis) }
        }
        return axes
    }

    /// What a reduction needs beside its output, whose elements have at most 32 bits, or 64 if `long`.
    func scratch(long: Bool = false) -> Scratch { op.scratch(bytes: shape.scratchCount * (long ? 8 : 4)) }

    /// The kernel for float32.
    func float(_ reduction: Reduction) -> Kernel {
        let (shape, scratch) = (shape, scratch())
        return { io in
            var y = io.output(as: Float.self)
            var scratch = io.scratch(scratch, as: Float.self)
            reduction.run(shape, io.input(0), &y, scratch: &scratch, pool: io.pool)
        }
    }

    /// The same of integers, or bytes; and products of float32.
    func integer(_ reduction: Reduction) -> Kernel {
        let (shape, type, scratch) = (shape, input.type, scratch(long: input.type == .int64))
        return { io in
            var y = io.output(as: UInt8.self)
            var scratch = io.scratch(scratch, as: UInt8.self)
            reduction.run(shape, type, io.input(0), &y, scratch: &scratch, pool: io.pool)
        }
    }

    /// Elements combined one after the other.
    func fold<X: BitwiseCopyable, Sum, Y: BitwiseCopyable>(
        from start: Sum, _ next: @escaping (Sum, X) -> Sum, finish: @escaping (Sum) -> Y
    ) -> Kernel {
        let shape = shape
        return { io in
            var y = io.output(as: Y.self)
            shape.fold(io.input(0), &y, from: start, next, finish)
        }
    }

    func fold<T: BitwiseCopyable>(_ start: T, _ next: @escaping (T, T) -> T) -> Kernel {
        fold(from: start, next, finish: { $0 })
    }

    /// The same scale for input and output.
    func requireSameScale() throws(Failure) {
        guard try op.affine(input) == op.affine(output) else {
            throw op.invalid("\(input.described) and \(output.described) must have one scale and zero point")
        }
    }
}

extension GradientContext {
    /// The input's shape with the reduced dimensions kept, as 1.
    func reducedShape() throws(Failure) -> [Int] {
        let shape = try x.shape
        let axes = Reducer.axes(try integers(1), rank: shape.count) ?? []
        return shape.indices.map { axes.contains($0) ? 1 : shape[$0] }
    }
}

extension ReductionShape {
    @inline(__always)
    func fold<X: BitwiseCopyable, Sum, Y: BitwiseCopyable>(
        _ x: Span<X>, _ y: inout MutableSpan<Y>, from first: Sum, _ next: (Sum, X) -> Sum, _ finish: (Sum) -> Y
    ) {
        let (inputRuns, outputLength) = (inputRuns, outputLength)
        let taken = reducesRun ? length : 1
        for run in 0..<outputRuns {
            let start = start(ofOutputRun: run)
            for element in 0..<outputLength {
                var sum = first
                for inputRun in 0..<inputRuns {
                    let from = start + offset(ofInputRun: inputRun) + element
                    for index in from..<(from + taken) { sum = next(sum, x[index]) }
                }
                y[run * outputLength + element] = finish(sum)
            }
        }
    }
}

extension OperatorDefinition {
    static func reduction(
        _ code: BuiltinOperator, maxVersion: Int, quantization: QuantizationRule = .floatOnly,
        _ prepare: @escaping @Sendable (Reducer) throws(Failure) -> Kernel
    ) -> OperatorDefinition {
        OperatorDefinition(code, maxVersion: maxVersion, quantization: quantization, shapes: Reducer.shapes) {
            op throws(Failure) in try prepare(Reducer(op))
        }
    }
}
