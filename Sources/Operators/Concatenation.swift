import Kernels
import Model

/// CONCATENATION: tensors joined along one dimension.
enum Concatenation {
    private static let axisField = 0
    private static let activationField = 1

    static var definition: OperatorDefinition {
        OperatorDefinition(
            .concatenation, maxVersion: 7,
            quantization: QuantizationRule(activations: [0], allInputs: true, output: .sameAsInput)
        ) { op throws(Failure) in
            [try outputShape(op)]
        } prepare: { op throws(Failure) in
            try prepare(op)
        }.gradient { g throws(Failure) in
            let dy = try g.beforeActivation(activationField)
            var begin = [Int](repeating: 0, count: dy.rank)
            let given = g.options.int(axisField)
            let axis = given < 0 ? given + dy.rank : given
            var parts: [Value?] = []
            for index in g.inputs.indices {
                let shape = try g.input(index).shape
                parts.append(g.needs(index) ? try dy.slice(begin, shape) : nil)
                begin[axis] += shape[axis]
            }
            return parts
        }
    }

    private static func outputShape(_ op: ShapeInference) throws(Failure) -> [Int] {
        let first = try op.input(0)
        let axis = try op.axis(op.options.int(axisField), rank: first.rank)
        var shape = first.shape
        for index in op.inputs.indices.dropFirst() {
            let input = try op.input(index)
            var expected = input.shape
            if axis < expected.count { expected[axis] = first.shape[axis] }
            guard expected == first.shape, input.type == first.type else {
                throw op.invalid("\(input.described) does not continue \(first.described) along dimension \(axis)")
            }
            shape[axis] += input.shape[axis]
        }
        return try op.checked(shape)
    }

    private static func prepare(_ op: Preparation) throws(Failure) -> Kernel {
        let first = try op.input(0)
        let shape = try outputShape(op.inference)
        try op.output(shape: shape, like: first)
        let axis = try op.inference.axis(op.options.int(axisField), rank: shape.count)
        let target = rowMajorStrides(shape)
        let bits = try op.elementBits(first)
        var copies: [StridedCopy] = []
        var offset = 0
        for index in op.inputs.indices {
            let input = try op.input(index)
            copies.append(
                StridedCopy(
                    bits: bits, counts: input.shape, source: rowMajorStrides(input.shape), target: target,
                    targetOffset: offset * target[axis]))
            offset += input.shape[axis]
        }
        let joined = try rescaled(op, copies) ?? Moves.gather(copies)
        return try clamped(op, joined)
    }

    /// `joined` and then the fused activation, where there is one.
    private static func clamped(_ op: Preparation, _ joined: @escaping Kernel) throws(Failure) -> Kernel {
        let activation = try FusedActivation(option: op.options.int(activationField), operator: op.name)
        guard activation != .none else { return joined }
        let output = try op.output()
        if output.type == .float32, activation.isClamp {
            let (low, high) = activation.floatRange
            return clamp(joined, low, high)
        }
        guard output.scale > 0, let (low, high) = activation.integerRange(of: output) else {
            throw op.unsupported("fused activation \(op.options.int(activationField)) of \(output.described)")
        }
        switch output.type {
        case .int8: return clamp(joined, Int8(clamping: low), Int8(clamping: high))
        case .uint8: return clamp(joined, UInt8(clamping: low), UInt8(clamping: high))
        default: return clamp(joined, Int16(clamping: low), Int16(clamping: high))
        }
    }

    private static func clamp<T: Comparable & BitwiseCopyable>(
        _ joined: @escaping Kernel, _ low: T, _ high: T
    ) -> Kernel {
        return { io throws(Failure) in
            try joined(io)
            var y = io.output(as: T.self)
            for i in 0..<y.count { y[i] = min(max(y[i], low), high) }
        }
    }

    /// Quantized inputs of another scale than the output's; nil where there are none.
    private static func rescaled(_ op: Preparation, _ copies: [StridedCopy]) throws(Failure) -> Kernel? {
        let output = try op.output()
        guard [.int8, .uint8, .int16].contains(output.type), output.scale > 0 else { return nil }
        var changes: [Change?] = []
        for index in op.inputs.indices {
            let input = try op.input(index)
            let isSame = input.scale == output.scale && input.zeroPoint == output.zeroPoint
            guard !isSame, input.scale != 0 else {
                changes.append(nil)
                continue
            }
            let scale = input.scale * (1 / output.scale)
            let bias = -Float(input.zeroPoint) * scale
            guard scale.isFinite, bias.isFinite else {
                throw op.invalid("\(input.described) cannot be brought to the scale of \(output.described)")
            }
            let formula = Formula(scale: scale, bias: bias, zeroPoint: Float(output.zeroPoint))
            let block = op.scratch(bytes: input.type.byteCount(input.count) ?? 0)
            changes.append(Change(formula: formula, table: formula.table(output.type), block: block))
        }
        guard changes.contains(where: { $0 != nil }) else { return nil }
        return { io in
            var y = io.output(as: UInt8.self)
            for index in 0..<copies.count {
                guard let change = changes[index] else {
                    copies[index].run(from: io.input(index), to: &y, pool: io.pool)
                    continue
                }
                change.apply(io, index)
                copies[index].run(from: io.written(change.block), to: &y, pool: io.pool)
            }
        }
    }

    /// An input brought to the output's scale, in scratch memory.
    private struct Change: Sendable {
        let formula: Formula
        /// The results for all bytes; empty for int16.
        let table: [UInt8]
        let block: Scratch

        func apply(_ io: borrowing Invocation, _ input: Int) {
            guard table.isEmpty else {
                var y = io.scratch(block, as: UInt8.self)
                return Elementwise.lookUp(table.span, io.input(input), &y, pool: io.pool)
            }
            let x = io.input(input, as: Int16.self)
            var y = io.scratch(block, as: Int16.self)
            for i in 0..<x.count { y[i] = formula(x[i]) }
        }
    }

    /// The float formula of the reference kernels, which both kinds of arithmetic use here.
    private struct Formula: Sendable {
        let scale: Float
        let bias: Float
        let zeroPoint: Float

        func callAsFunction<T: FixedWidthInteger>(_ x: T) -> T {
            let value = (Float(x) * scale + bias).rounded(.toNearestOrAwayFromZero) + zeroPoint
            return T(min(max(value, Float(T.min)), Float(T.max)))
        }

        func table(_ type: TensorType) -> [UInt8] {
            switch type {
            case .int8: (0..<256).map { UInt8(bitPattern: self(Int8(truncatingIfNeeded: $0))) }
            case .uint8: (0..<256).map { self(UInt8(truncatingIfNeeded: $0)) }
            default: []
            }
        }
    }
}
