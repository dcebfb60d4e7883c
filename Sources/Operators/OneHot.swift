import Kernels
import Model

/// ONE_HOT: for each index a vector that has one value at the index and another everywhere else.
enum OneHot {
    private static let axisField = 0

    static var definition: OperatorDefinition {
        OperatorDefinition(.oneHot, maxVersion: 1) { op throws(Failure) in
            guard let (shape, _) = try outputShape(op) else { return nil }
            return [shape]
        } prepare: { op throws(Failure) in
            let (indices, on, off) = (try op.input(0), try op.input(2), try op.input(3))
            let (shape, axis) = try op.known(outputShape(op.inference))
            try op.output(shape: shape, like: on)
            guard off.type == on.type, on.count == 1, off.count == 1 else { throw op.unsupportedTypes() }
            let size = try op.elementBytes(on)
            let (depth, count) = (shape[axis], indices.count)
            let inner = shape[(axis + 1)...].reduce(1, &*)
            let width = indices.type == .int64 ? 8 : 4
            return { io in
                var y = io.output(as: UInt8.self)
                fill(&y, with: io.input(3))
                for i in 0..<count {
                    let index = loadInteger(io.input(0), i, width: width)
                    // An index that fits nowhere marks nothing.
                    guard index >= 0, index < depth else { continue }
                    let place = (i / inner &* depth &+ index) &* inner &+ i % inner
                    copyBytes(io.input(2), at: 0, to: &y, at: place &* size, count: size)
                }
            }
        }
    }

    private static func outputShape(_ op: ShapeInference) throws(Failure) -> (shape: [Int], axis: Int)? {
        let indices = try op.input(0)
        guard indices.type == .int32 || indices.type == .int64 else {
            throw op.invalid("the indices must be integers, not \(indices.described)")
        }
        guard let depth = try op.number(1, "the depth") else { return nil }
        var shape = indices.shape
        let axis = try op.axis(op.options.int(axisField), rank: indices.rank + 1)
        shape.insert(depth, at: axis)
        return (try op.checked(shape), axis)
    }
}
