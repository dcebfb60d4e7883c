import Kernels
import Model

/// REVERSE_V2: the elements along the given dimensions in reverse order.
enum ReverseV2 {
    static var definition: OperatorDefinition {
        OperatorDefinition(.reverseV2, maxVersion: 4, quantization: .sameScale) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            try op.output(shape: input.shape, like: input)
            let axes = try op.known(op.inference.numbers(1, "the axes"))
            let strides = rowMajorStrides(input.shape)
            var source = strides
            var start = 0
            for axis in axes {
                let d = try op.inference.axis(axis, rank: input.rank)
                guard source[d] > 0 else { throw op.invalid("\(text(axes)) names dimension \(d) twice") }
                source[d] = -strides[d]
                start += max(0, input.shape[d] - 1) * strides[d]
            }
            return Moves.one(
                StridedCopy(
                    bits: try op.elementBits(input), counts: input.shape, source: source, target: strides,
                    sourceOffset: start))
        }.gradient { g throws(Failure) in
            [try g.dy.apply(.reverseV2, g.input(1))]
        }
    }
}
