import Kernels
import Model

/// What the operators with two inputs that broadcast have in common.
struct Binary {
    let op: Preparation
    let a: TensorInfo
    let b: TensorInfo
    let output: TensorInfo
    let shape: Broadcast
    let activation: FusedActivation

    /// `activationField`: the option that holds the fused activation, if the operator has one. Both inputs have one
    /// type, unless `mixesTypes`; the output has that of the first, or `result`.
    init(
        _ op: Preparation, activationField: Int? = nil, mixesTypes: Bool = false, result: TensorType? = nil
    ) throws(Failure) {
        self.op = op
        a = try op.input(0)
        b = try op.input(1)
        output = try op.output()
        if !mixesTypes { try op.requireType(a.type, of: b) }
        try op.requireType(result ?? a.type, of: output)
        guard let expected = broadcast(a.shape, b.shape), expected == output.shape else {
            throw op.invalid("\(a.described) and \(b.described) do not broadcast to \(output.described)")
        }
        shape = Broadcast(a.shape, b.shape, to: output.shape)
        activation =
            try activationField.map { field throws(Failure) in
                try FusedActivation(option: op.options.int(field), operator: op.name)
            } ?? .none
        guard activation.isClamp else {
            throw op.unsupported("fused activation \(activation.name) is not supported")
        }
    }

    static func shapes(_ op: borrowing ShapeInference) throws(Failure) -> [[Int]]? {
        let (a, b) = (try op.input(0), try op.input(1))
        guard let shape = broadcast(a.shape, b.shape) else {
            throw op.invalid("\(a.described) and \(b.described) do not broadcast to one shape")
        }
        return [shape]
    }

    /// The kernel for float32.
    func float(_ function: BinaryFunction) throws(Failure) -> Kernel {
        let (shape, clamp) = (shape, activation.floatRange)
        if a.shape == b.shape { op.finish = try .function(function, clamp: clamp) }
        return { io in
            var y = io.output(as: Float.self)
            Elementwise.apply(function, shape, io.input(0), io.input(1), &y, clamp: clamp, pool: io.pool)
        }
    }

    /// y = f(a, b), one element after the other.
    func map<A: BitwiseCopyable, B: BitwiseCopyable, Y: BitwiseCopyable>(
        _ function: @escaping (A, B) -> Y
    ) -> Kernel {
        let shape = shape
        return { io in
            var y = io.output(as: Y.self)
            shape.map(io.input(0, as: A.self), io.input(1, as: B.self), &y, function)
        }
    }

    /// The kernel for comparisons, and for whole numbers, clamped by the activation.
    func combine(_ function: Combination.Function) -> Kernel {
        kernel(Combination(function, a.type, clamp: activation.floatRange))
    }

    func kernel(_ combination: Combination) -> Kernel {
        let shape = shape
        return { io in
            var y = io.output(as: UInt8.self)
            Elementwise.apply(combination, shape, io.input(0), io.input(1), &y, pool: io.pool)
        }
    }

    /// Whole numbers one after the other, clamped by the activation.
    func integer<T: FixedWidthInteger & BitwiseCopyable>(_ function: @escaping (T, T) -> T) -> Kernel {
        let (low, high) = activation.floatRange
        let minimum = low.isFinite ? T(truncatingIfNeeded: Int(low)) : T.min
        let maximum = high.isFinite ? T(truncatingIfNeeded: Int(high)) : T.max
        return map { a, b in min(maximum, max(minimum, function(a, b))) }
    }

    /// Values of the quantized output that the activation lets pass.
    func outputRange() throws(Failure) -> (minimum: Int, maximum: Int) {
        guard let range = activation.integerRange(of: output) else {
            throw op.invalid(
                "fused activation \(activation.name) cannot be expressed in the scale of \(output.described)")
        }
        return range
    }

    func affines() throws(Failure) -> (a: Affine, b: Affine, y: Affine) {
        (try op.affine(a), try op.affine(b), try op.affine(output))
    }

    /// Through float and back: the fast form of quantized operators that have no kernels of their own.
    func throughFloat<T: QuantizedInteger>(_ function: BinaryFunction, _ type: T.Type) throws(Failure) -> Kernel {
        try throughFloat(function, type, type)
    }

    func throughFloat<T: QuantizedInteger, B: QuantizedInteger>(
        _ function: BinaryFunction, _ type: T.Type, _ typeB: B.Type
    ) throws(Failure) -> Kernel {
        let (a, b, y) = try affines()
        let (minimum, maximum) = try outputRange()
        let shape = shape
        let inputs = (a: a.quantizer, b: b.quantizer)
        let target = y.quantizer
        return { io in
            var y = io.output(as: T.self)
            Elementwise.apply(
                function, shape, io.input(0), io.input(1, as: B.self), &y, from: inputs, to: target, minimum: minimum,
                maximum: maximum, pool: io.pool)
        }
    }

    /// The reference form: stored values to a stored value.
    func reference<T: QuantizedInteger>(
        _ type: T.Type, _ function: @escaping (Int32, Int32) -> Int32
    ) -> Kernel {
        map { (a: T, b: T) in T(truncatingIfNeeded: function(Int32(a), Int32(b))) }
    }
}

extension Broadcast {
    /// y = f(a, b), one element after the other.
    @inline(__always)
    func map<A: BitwiseCopyable, B: BitwiseCopyable, Y: BitwiseCopyable>(
        _ a: Span<A>, _ b: Span<B>, _ y: inout MutableSpan<Y>, _ function: (A, B) -> Y
    ) {
        let steps = form.steps
        for run in 0..<runs {
            let start = start(ofRun: run)
            for index in 0..<length {
                y[run * length + index] = function(a[start.a + index * steps.a], b[start.b + index * steps.b])
            }
        }
    }
}

extension OperatorDefinition {
    /// An operator with two inputs that broadcast, and one output.
    static func binary(
        _ code: BuiltinOperator, maxVersion: Int, quantization: QuantizationRule = .floatOnly,
        activationField: Int? = nil, mixesTypes: Bool = false, inPlace: Bool = true,
        result: TensorType? = nil, _ prepare: @escaping @Sendable (Binary) throws(Failure) -> Kernel
    ) -> OperatorDefinition {
        OperatorDefinition(
            code, maxVersion: maxVersion, quantization: quantization, inPlace: inPlace, shapes: Binary.shapes
        ) { op throws(Failure) in
            try prepare(Binary(op, activationField: activationField, mixesTypes: mixesTypes, result: result))
        }
    }
}
