import Kernels
import Model

/// What the operators with one input and one output of the same shape have in common: types, tables, loops.
///
/// Fast arithmetic: 8-bit types go through a table of 256 entries, made when the model is compiled from the float
/// function at every input; int16 is brought to float and back (`Elementwise.apply`). Reference arithmetic: the
/// operator's own function of integers, tabulated too where there are 8 bits.
struct Unary {
    /// A stored input value to a stored output value, as the reference kernels do it.
    typealias Reference = (Int32) -> Int32

    let op: Preparation
    let input: TensorInfo
    let output: TensorInfo

    init(_ op: Preparation) throws(Failure) {
        self.op = op
        input = try op.input(0)
        output = try op.output()
        try op.requireType(input.type, of: output)
        guard input.count == output.count else {
            throw op.invalid("\(output.described) must have as many elements as \(input.described)")
        }
    }

    static func shapes(_ op: borrowing ShapeInference) throws(Failure) -> [[Int]]? { [try op.input(0).shape] }

    /// The kernel for float32, and with `reference` for the quantized types.
    @inline(never)
    func kernel(
        _ function: UnaryFunction, reference: ((Affine, Affine) throws(Failure) -> Reference)? = nil
    ) throws(Failure) -> Kernel {
        switch input.type {
        case .float32:
            op.finish = try .function(function)
            return { io in
                var y = io.output(as: Float.self)
                Elementwise.apply(function, io.input(0), &y, pool: io.pool)
            }
        case .int8: return try quantized(Int8.self, function, reference)
        case .uint8: return try quantized(UInt8.self, function, reference)
        case .int16: return try quantized(Int16.self, function, reference)
        default: throw op.unsupportedTypes()
        }
    }

    /// The same, where the reference arithmetic takes the function of the C library for float32.
    @inline(never)
    func kernel(
        _ function: UnaryFunction, library: @escaping (Float) -> Float,
        reference: @escaping (Affine, Affine) throws(Failure) -> Reference
    ) throws(Failure) -> Kernel {
        guard op.arithmetic == .reference, input.type == .float32 else {
            return try kernel(function, reference: reference)
        }
        return Self.map(library)
    }

    private func quantized<T: QuantizedInteger>(
        _ type: T.Type, _ function: UnaryFunction, _ reference: ((Affine, Affine) throws(Failure) -> Reference)?
    ) throws(Failure) -> Kernel {
        guard let reference else { throw op.unsupportedTypes() }
        let (from, to) = (try op.affine(input), try op.affine(output))
        let (source, target) = (from.quantizer, to.quantizer)
        switch (op.arithmetic, T.bitWidth) {
        case (.reference, 8):
            return Self.lookUp(Self.table(type, try reference(from, to)))
        case (.reference, _):
            return Self.map(type, try reference(from, to))
        case (.fast, 8):
            let table = Elementwise.table(function, type, from: source, to: target)
            op.finish = try .lookUp(table)
            return Self.lookUp(table)
        case (.fast, _):
            return { io in
                var y = io.output(as: T.self)
                Elementwise.apply(function, io.input(0), &y, from: source, to: target, pool: io.pool)
            }
        }
    }

    /// Every byte as the function maps it.
    private static func table<T: QuantizedInteger>(_ type: T.Type, _ function: Reference) -> [UInt8] {
        (0..<256).map { UInt8(truncatingIfNeeded: function(Int32(T(truncatingIfNeeded: $0)))) }
    }

    static func lookUp(_ table: [UInt8]) -> Kernel {
        { io in
            var y = io.output(as: UInt8.self)
            Elementwise.lookUp(table.span, io.input(0), &y, pool: io.pool)
        }
    }

    /// One element after the other.
    static func map<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, _ function: @escaping Reference) -> Kernel {
        { io in
            let x = io.input(0, as: T.self)
            var y = io.output(as: T.self)
            for index in 0..<min(x.count, y.count) { y[index] = T(truncatingIfNeeded: function(Int32(x[index]))) }
        }
    }

    /// One element after the other, for types with no kernels.
    static func map<T: BitwiseCopyable>(_ function: @escaping (T) -> T) -> Kernel {
        { io in
            let x = io.input(0, as: T.self)
            var y = io.output(as: T.self)
            for index in 0..<min(x.count, y.count) { y[index] = function(x[index]) }
        }
    }
}

extension Affine {
    var quantizer: Quantizer { Quantizer(scale: scale, zeroPoint: zeroPoint) }
}

extension Preparation {
    /// int16 tensors of the reference kernels are symmetric.
    func requireSymmetric(_ tensors: Affine...) throws(Failure) {
        for tensor in tensors where tensor.zeroPoint != 0 {
            throw invalid("int16 tensors must have zero point 0, found \(tensor.zeroPoint)")
        }
    }
}

extension QuantizationRule {
    /// 8 bits only: other runtimes have no 16-bit form.
    static var byteUnary: QuantizationRule {
        QuantizationRule(activations: [0], output: .calibrated, int16x8: false)
    }
    static var byteBinary: QuantizationRule {
        QuantizationRule(activations: [0, 1], output: .calibrated, int16x8: false)
    }
    /// An output scale that the operator fixes; no 16-bit form if `int16` is nil.
    static func fixedOutput(int8: (scale: Float, zeroPoint: Int), int16: Float?) -> QuantizationRule {
        QuantizationRule(
            activations: [0], output: .fixed(int8: int8, int16: int16 ?? 1 / 32768), int16x8: int16 != nil)
    }
}

extension OperatorDefinition {
    /// An operator with one input and one output of the same shape.
    static func unary(
        _ code: BuiltinOperator, maxVersion: Int, quantization: QuantizationRule = .floatOnly,
        _ prepare: @escaping @Sendable (Unary) throws(Failure) -> Kernel
    ) -> OperatorDefinition {
        OperatorDefinition(
            code, maxVersion: maxVersion, quantization: quantization, inPlace: true, shapes: Unary.shapes
        ) { op throws(Failure) in try prepare(Unary(op)) }
    }
}
