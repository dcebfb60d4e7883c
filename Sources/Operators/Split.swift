import Kernels
import Model

/// SPLIT and SPLIT_V: a tensor cut along one dimension, into equal parts or parts of given sizes.
enum Split {
    private static let countField = 0

    /// SPLIT(axis, value).
    static var definition: OperatorDefinition {
        OperatorDefinition(.split, maxVersion: 5, quantization: .split(input: 1)) { op throws(Failure) in
            try equalParts(op)?.shapes(of: op.input(1))
        } prepare: { op throws(Failure) in
            try kernel(op, op.known(equalParts(op.inference)), input: 1)
        }.gradient { g throws(Failure) in
            let axis = try g.integers(0).first ?? 0
            return [nil, try g.joined(axis: axis)]
        }
    }

    /// SPLIT_V(value, sizes, axis).
    static var sized: OperatorDefinition {
        OperatorDefinition(.splitV, maxVersion: 3, quantization: .split(input: 0)) { op throws(Failure) in
            try givenParts(op)?.shapes(of: op.input(0))
        } prepare: { op throws(Failure) in
            try kernel(op, op.known(givenParts(op.inference)), input: 0)
        }.gradient { g throws(Failure) in
            let axis = try g.integers(2).first ?? 0
            return [try g.joined(axis: axis)]
        }
    }

    private struct Parts {
        let axis: Int
        let sizes: [Int]

        func shapes(of input: TensorInfo) -> [[Int]] {
            sizes.map { size in
                var shape = input.shape
                shape[axis] = size
                return shape
            }
        }
    }

    private static func equalParts(_ op: ShapeInference) throws(Failure) -> Parts? {
        guard let axis = try op.number(0, "the axis") else { return nil }
        let input = try op.input(1)
        let dimension = try op.axis(axis, rank: input.rank)
        let count = op.options.int(countField)
        guard count > 0, count == op.outputCount, input.shape[dimension] % count == 0 else {
            throw op.invalid(
                "dimension \(dimension) of \(input.described) cannot be split into \(count) equal parts for "
                    + "\(op.outputCount) outputs")
        }
        return Parts(axis: dimension, sizes: [Int](repeating: input.shape[dimension] / count, count: count))
    }

    private static func givenParts(_ op: ShapeInference) throws(Failure) -> Parts? {
        guard var sizes = try op.numbers(1, "the sizes"), let axis = try op.number(2, "the axis") else { return nil }
        let input = try op.input(0)
        let dimension = try op.axis(axis, rank: input.rank)
        let failure = op.invalid(
            "dimension \(dimension) of \(input.described) cannot be split into \(text(sizes)) for "
                + "\(op.outputCount) outputs")
        let free = sizes.indices.filter { sizes[$0] == -1 }
        guard sizes.count == op.outputCount, free.count <= 1,
            sizes.allSatisfy({ $0 >= -1 && $0 <= input.shape[dimension] })
        else { throw failure }
        let rest = input.shape[dimension] - sizes.reduce(0) { $0 + max(0, $1) }
        if let free = free.first { sizes[free] = rest }
        guard rest >= 0, free.count == 1 || rest == 0 else { throw failure }
        return Parts(axis: dimension, sizes: sizes)
    }

    private static func kernel(_ op: Preparation, _ parts: Parts, input index: Int) throws(Failure) -> Kernel {
        let input = try op.input(index)
        let bits = try op.elementBits(input)
        let source = rowMajorStrides(input.shape)
        var copies: [StridedCopy] = []
        var offset = 0
        let shapes = parts.shapes(of: input)
        for output in shapes.indices {
            try op.output(output, shape: shapes[output], like: input)
            copies.append(
                StridedCopy(
                    bits: bits, counts: shapes[output], source: source, target: rowMajorStrides(shapes[output]),
                    sourceOffset: offset * source[parts.axis]))
            offset += parts.sizes[output]
        }
        return Moves.scatter(copies, input: index)
    }
}

extension GradientContext {
    /// The gradients of all outputs, one after the other along an axis.
    fileprivate func joined(axis: Int) throws(Failure) -> Value {
        var parts: [Value?] = []
        for index in outputs.indices { parts.append(try gradient(index)) }
        return try y.graph.emit(
            OperatorCode(.concatenation), parts, Options(.concatenation, [.int(Int64(axis))]))[0]
    }
}

extension QuantizationRule {
    fileprivate static func split(input: Int) -> QuantizationRule {
        QuantizationRule(activations: [input], output: .sameAsInput)
    }
}
