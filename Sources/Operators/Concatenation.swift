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
        guard op.options.int(activationField) == 0 else { throw op.unsupported("a fused activation is not supported") }
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
        return Moves.gather(copies)
    }
}
