import Kernels
import Model

/// What SOFTMAX, LOG_SOFTMAX and L2_NORMALIZATION have in common: each row along the last dimension by itself.
struct RowOperator {
    let op: Preparation
    let input: TensorInfo
    let output: TensorInfo
    let depth: Int

    init(_ op: Preparation) throws(Failure) {
        self.op = op
        input = try op.input(0)
        output = try op.output()
        guard let last = input.shape.last else { throw op.invalid("\(input.described) needs a dimension") }
        guard output.count == input.count else {
            throw op.invalid("\(output.described) must have as many elements as \(input.described)")
        }
        depth = last
    }

    func float(_ function: RowFunction) -> Kernel {
        let depth = depth
        return { io in
            var y = io.output(as: Float.self)
            Rows.apply(function, io.input(0), &y, depth: depth, pool: io.pool)
        }
    }

    /// The fast form of quantized types: through float and back.
    func throughFloat<X: QuantizedInteger, Y: QuantizedInteger>(
        _ function: RowFunction, _ from: X.Type, _ to: Y.Type
    ) throws(Failure) -> Kernel {
        let (source, target) = (try op.affine(input).quantizer, try op.affine(output).quantizer)
        let depth = depth
        let rows = op.scratch(bytes: op.threadCount * Rows.elementsTogether(depth) * MemoryLayout<Float>.stride)
        return { io in
            var y = io.output(as: Y.self)
            var memory = io.scratch(rows, as: Float.self)
            Rows.apply(
                function, io.input(0, as: X.self), &y, depth: depth, from: source, to: target, memory: &memory,
                pool: io.pool)
        }
    }

    /// The reference form: `row` gets each row's range of elements.
    func reference<X: BitwiseCopyable, Y: BitwiseCopyable>(
        _ row: @escaping (Range<Int>, borrowing Span<X>, inout MutableSpan<Y>) -> Void
    ) -> Kernel {
        let depth = depth
        return { io in
            let x = io.input(0, as: X.self)
            var y = io.output(as: Y.self)
            guard depth > 0 else { return }
            for start in stride(from: 0, to: min(x.count, y.count) / depth * depth, by: depth) {
                row(start..<(start + depth), x, &y)
            }
        }
    }
}

extension OperatorDefinition {
    static func rows(
        _ code: BuiltinOperator, maxVersion: Int, quantization: QuantizationRule,
        _ prepare: @escaping @Sendable (RowOperator) throws(Failure) -> Kernel
    ) -> OperatorDefinition {
        OperatorDefinition(code, maxVersion: maxVersion, quantization: quantization, shapes: Unary.shapes) {
            op throws(Failure) in try prepare(RowOperator(op))
        }
    }
}
