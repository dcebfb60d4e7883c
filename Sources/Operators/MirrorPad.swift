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
            try op.output(shape: try paddings.outputShape(op.inference), like: input)
            let edge = op.options.int(mode) == symmetric ? 1 : 0
            let tables = input.shape.indices.map { d in
                table(before: paddings.before[d], count: input.shape[d], after: paddings.after[d], edge: edge)
            }
            let copy = IndexedCopy(elementBytes: try op.elementBytes(input), sourceShape: input.shape, tables: tables)
            return { io in
                var target = io.output(as: UInt8.self)
                copy.run(from: io.input(0), to: &target)
            }
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

    private static func table(before: Int, count: Int, after: Int, edge: Int) -> [Int] {
        (-before..<count + after).map { i in
            i < 0 ? -i - edge : i < count ? i : 2 * count - 2 + edge - i
        }
    }
}
