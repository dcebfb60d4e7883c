import Kernels
import Model

/// TILE: a tensor repeated along each dimension.
enum Tile {
    static var definition: OperatorDefinition {
        OperatorDefinition(.tile, maxVersion: 3, quantization: .sameScale) { op throws(Failure) in
            guard let multiples = try multiples(op) else { return nil }
            let shape = try op.input(0).shape
            return [try op.checked(shape.indices.map { shape[$0] &* multiples[$0] })]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let multiples = try op.known(multiples(op.inference))
            let shape = input.shape.indices.map { input.shape[$0] * multiples[$0] }
            try op.output(shape: shape, like: input)
            let (source, target) = (rowMajorStrides(input.shape), rowMajorStrides(shape))
            return Moves.one(
                StridedCopy(
                    bits: try op.elementBits(input),
                    counts: shape.indices.flatMap { [multiples[$0], input.shape[$0]] },
                    source: shape.indices.flatMap { [0, source[$0]] },
                    target: shape.indices.flatMap { [target[$0] * input.shape[$0], target[$0]] }))
        }.gradient { g throws(Failure) in
            let (x, multiples) = (try g.x, try g.integers(1))
            let shape = x.shape.indices.flatMap { [multiples[$0], x.shape[$0]] }
            return [try g.dy.reshape(shape).sum(x.shape.indices.map { 2 * $0 }, keep: false)]
        }
    }

    private static func multiples(_ op: ShapeInference) throws(Failure) -> [Int]? {
        guard let multiples = try op.numbers(1, "the multiples") else { return nil }
        let input = try op.input(0)
        guard multiples.count == input.rank, multiples.allSatisfy({ $0 >= 0 && $0 <= 1 << 20 }) else {
            throw op.invalid("\(input.described) cannot be repeated \(text(multiples)) times")
        }
        return multiples
    }
}
