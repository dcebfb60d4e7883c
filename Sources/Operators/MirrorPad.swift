import Kernels
import Model

/// MIRROR_PAD: margins that continue the tensor as a mirror, whose plane lies on the border element (REFLECT) or behind
/// it (SYMMETRIC).
enum MirrorPad {
    private static let mode = 0
    private static let symmetric = 1

    static var definition: OperatorDefinition {
        OperatorDefinition(.mirrorPad, maxVersion: 3, quantization: .sameScale) { op throws(Failure) in
            guard let paddings = try Paddings(op) else { return nil }
            try check(paddings, op)
            return [try paddings.outputShape(op)]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let paddings = try op.known(Paddings(op.inference))
            try check(paddings, op.inference)
            let shape = try paddings.outputShape(op.inference)
            try op.output(shape: shape, like: input)
            try op.requireIndexed(shape)
            let edge = op.options.int(mode) == symmetric ? 1 : 0
            let tables = input.shape.indices.map { d in
                table(before: paddings.before[d], count: input.shape[d], after: paddings.after[d], edge: edge)
            }
            let copy = IndexedCopy(elementBytes: try op.elementBytes(input), sourceShape: input.shape, tables: tables)
            return { io in
                var target = io.output(as: UInt8.self)
                copy.run(from: io.input(0), to: &target)
            }
        }.gradient { g throws(Failure) in
            let (x, numbers) = (try g.x, try g.integers(1))
            var dy = try g.dy
            for axis in 0..<x.rank {
                dy = try folded(
                    dy, axis: axis, before: numbers[2 * axis], after: numbers[2 * axis + 1],
                    edge: g.options.int(mode) == symmetric ? 0 : 1)
            }
            return [dy]
        }
    }

    /// A margin can be no wider than what it mirrors.
    private static func check(_ paddings: Paddings, _ op: ShapeInference) throws(Failure) {
        let input = try op.input(0)
        let edge = op.options.int(mode) == symmetric ? 0 : 1
        for d in input.shape.indices where max(paddings.before[d], paddings.after[d]) > 0 {
            guard max(paddings.before[d], paddings.after[d]) <= input.shape[d] - edge else {
                throw op.invalid("dimension \(d) of \(input.described) is too small for its padding")
            }
        }
    }

    /// Adds the margins of one dimension to what they mirror.
    private static func folded(
        _ dy: Value, axis: Int, before: Int, after: Int, edge: Int
    ) throws(Failure) -> Value {
        let count = dy.shape[axis] - before - after
        func part(from begin: Int, _ size: Int) throws(Failure) -> Value {
            var (place, shape) = ([Int](repeating: 0, count: dy.rank), dy.shape)
            (place[axis], shape[axis]) = (begin, size)
            return try dy.slice(place, shape)
        }
        func mirrored(_ margin: Value, to begin: Int) throws(Failure) -> Value {
            var (front, back) = ([Int](repeating: 0, count: dy.rank), [Int](repeating: 0, count: dy.rank))
            (front[axis], back[axis]) = (begin, count - begin - margin.shape[axis])
            return try margin.apply(.reverseV2, dy.graph.indices([axis])).pad(front, back)
        }
        var sum = try part(from: before, count)
        if before > 0 { sum = try sum + mirrored(part(from: 0, before), to: edge) }
        if after > 0 { sum = try sum + mirrored(part(from: before + count, after), to: count - edge - after) }
        return sum
    }

    private static func table(before: Int, count: Int, after: Int, edge: Int) -> [Int] {
        (-before..<count + after).map { i in
            i < 0 ? -i - edge : i < count ? i : 2 * count - 2 + edge - i
        }
    }
}
