import Kernels
import Model

/// STRIDED_SLICE: x[begin:end:stride, ...] with NumPy's rules for negative indices, ellipsis and new dimensions.
enum StridedSlice {
    private enum Field {
        static let beginMask = 0
        static let endMask = 1
        static let ellipsisMask = 2
        static let newAxisMask = 3
        static let shrinkAxisMask = 4
        static let offset = 5
    }

    static var definition: OperatorDefinition {
        OperatorDefinition(.stridedSlice, maxVersion: 8, quantization: .sameScale) { op throws(Failure) in
            guard let box = try box(op) else { return nil }
            return [box.outputShape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let box = try op.known(box(op.inference))
            try op.output(shape: box.outputShape, like: input)
            let strides = rowMajorStrides(input.shape)
            let start = zip(box.begin, strides).reduce(0) { $0 + $1.0 * $1.1 }
            return Moves.one(
                StridedCopy(
                    bits: try op.elementBits(input), counts: box.counts,
                    source: zip(strides, box.step).map { $0 * $1 }, target: rowMajorStrides(box.counts),
                    sourceOffset: box.counts.contains(0) ? 0 : start))
        }.gradient { g throws(Failure) in
            let x = try g.x
            guard let box = try box(g.inference()) else { return [] }
            return [try spread(g.dy.reshape(box.counts), box, to: x.shape)]
        }
    }

    /// One entry for each input dimension, and what that makes of the output.
    private struct Box {
        var begin: [Int] = []
        var counts: [Int] = []
        var step: [Int] = []
        var outputShape: [Int] = []
    }

    private static func box(_ op: ShapeInference) throws(Failure) -> Box? {
        guard let begin = try op.numbers(1, "begin"), let end = try op.numbers(2, "end"),
            let step = try op.numbers(3, "the strides")
        else { return nil }
        guard begin.count == end.count, begin.count == step.count, begin.count < 32 else {
            throw op.invalid("begin, end and strides have \(begin.count), \(end.count) and \(step.count) numbers")
        }
        let shape = try op.input(0).shape
        let newAxes = op.options.int(Field.newAxisMask) & ~op.options.int(Field.ellipsisMask)
        let named = begin.indices.filter { newAxes >> $0 & 1 == 0 }.count
        var box = Box()
        for i in begin.indices {
            if op.options.int(Field.ellipsisMask) >> i & 1 != 0 {
                let expanded = max(0, shape.count - named + 1)
                for _ in 0..<min(expanded, shape.count - box.counts.count) { keep(shape, &box) }
            } else if newAxes >> i & 1 != 0 {
                box.outputShape.append(1)
            } else {
                try slice(op, i, begin[i], end[i], step[i], &box)
            }
        }
        while box.counts.count < shape.count { keep(shape, &box) }
        return box
    }

    /// The elements of a slice back in their places, zeros between them.
    private static func spread(_ dy: Value, _ box: Box, to shape: [Int]) throws(Failure) -> Value {
        var dy = dy
        var (before, after) = (box.begin, shape)
        for axis in shape.indices {
            let (step, count) = (abs(box.step[axis]), box.counts[axis])
            if box.step[axis] < 0, count > 0 {
                dy = try dy.apply(.reverseV2, dy.graph.indices([axis]))
                before[axis] -= (count - 1) * step
            }
            if count == 0 { before[axis] = 0 }
            let extent = count == 0 ? 0 : (count - 1) * step + 1
            if step > 1, count > 1 {
                let (outer, inner) = (Array(dy.shape[..<axis]), Array(dy.shape[(axis + 1)...]))
                let front = [Int](repeating: 0, count: dy.rank + 1)
                var back = front
                back[axis + 1] = step - 1
                dy = try dy.reshape(outer + [count, 1] + inner).pad(front, back).reshape(outer + [count * step] + inner)
                    .slice(Array(front.dropLast()), outer + [extent] + inner)
            }
            after[axis] = shape[axis] - before[axis] - extent
        }
        return try dy.pad(before, after)
    }

    private static func keep(_ shape: [Int], _ box: inout Box) {
        let count = shape[box.counts.count]
        box.begin.append(0)
        box.counts.append(count)
        box.step.append(1)
        box.outputShape.append(count)
    }

    private static func slice(
        _ op: ShapeInference, _ i: Int, _ givenBegin: Int, _ givenEnd: Int, _ step: Int, _ box: inout Box
    ) throws(Failure) {
        let input = try op.input(0)
        let dimension = box.counts.count
        guard dimension < input.rank else { throw op.invalid("more indices than \(input.described) has dimensions") }
        guard step != 0, step.magnitude <= Int(Int32.max) else {
            throw op.invalid("stride \(step) along dimension \(dimension)")
        }
        func has(_ mask: Int) -> Bool { op.options.int(mask) >> i & 1 != 0 }
        let count = input.shape[dimension]
        let (first, last) = step > 0 ? (0, count) : (-1, count - 1)
        func place(_ index: Int) -> Int { min(max(index < 0 ? index &+ count : index, first), last) }

        if has(Field.shrinkAxisMask) {
            let index = has(Field.beginMask) ? 0 : givenBegin < 0 ? givenBegin &+ count : givenBegin
            guard index >= 0, index < count else {
                throw op.invalid("index \(givenBegin) is outside dimension \(dimension) of \(input.described)")
            }
            box.begin.append(index)
            box.counts.append(1)
            box.step.append(1)
            return
        }
        let begin = has(Field.beginMask) ? (step > 0 ? 0 : count - 1) : place(givenBegin)
        // With `offset` the end is a length; begin is small here, so a saturated sum means the same.
        let wanted = op.options.bool(Field.offset) ? min(givenEnd, Int(Int32.max)) &+ begin : givenEnd
        let end = has(Field.endMask) ? (step > 0 ? count : -1) : place(wanted)
        let length = step > 0 ? end - begin : begin - end
        box.begin.append(begin)
        box.counts.append(length <= 0 ? 0 : (length - 1) / abs(step) + 1)
        box.step.append(step)
        box.outputShape.append(box.counts[dimension])
    }
}
