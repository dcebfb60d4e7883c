import Kernels
import Model

/// SLICE: the box of the given size that begins at the given place; size -1 is "all that is left".
enum Slice {
    static var definition: OperatorDefinition {
        OperatorDefinition(.slice, maxVersion: 8, quantization: .sameScale) { op throws(Failure) in
            guard let box = try box(op) else { return nil }
            return [box.size]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let (begin, size) = try op.known(box(op.inference))
            try op.output(shape: size, like: input)
            let strides = rowMajorStrides(input.shape)
            let start = zip(begin, strides).reduce(0) { $0 + $1.0 * $1.1 }
            return Moves.one(
                StridedCopy(
                    bits: try op.elementBits(input), counts: size, source: strides, target: rowMajorStrides(size),
                    sourceOffset: start))
        }.gradient { g throws(Failure) in
            let (x, begin) = (try g.x, try g.integers(1))
            return [try g.dy.pad(begin, x.shape.indices.map { x.shape[$0] - begin[$0] - g.y.shape[$0] })]
        }
    }

    private static func box(_ op: ShapeInference) throws(Failure) -> (begin: [Int], size: [Int])? {
        guard let begin = try op.numbers(1, "begin"), let given = try op.numbers(2, "the size") else { return nil }
        let input = try op.input(0)
        guard begin.count == input.rank, given.count == input.rank else {
            throw op.invalid("begin \(text(begin)) and size \(text(given)) do not fit \(input.described)")
        }
        var size = given
        for d in size.indices {
            guard begin[d] >= 0, begin[d] <= input.shape[d], size[d] >= -1 else {
                throw op.invalid("begin \(text(begin)) and size \(text(given)) do not fit \(input.described)")
            }
            if size[d] == -1 { size[d] = input.shape[d] - begin[d] }
            guard size[d] <= input.shape[d] - begin[d] else {
                throw op.invalid("begin \(text(begin)) and size \(text(given)) do not fit \(input.described)")
            }
        }
        return (begin, size)
    }
}
