import Kernels
import Model

/// RESIZE_NEAREST_NEIGHBOR: NHWC images at another size, each pixel a copy of one of the input.
enum ResizeNearestNeighbor {
    private static let alignCorners = 0
    private static let halfPixelCenters = 1

    static var definition: OperatorDefinition {
        OperatorDefinition(.resizeNearestNeighbor, maxVersion: 4, quantization: .sameScale) { op throws(Failure) in
            guard let shape = try ImageSize.outputShape(op) else { return nil }
            return [shape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let shape = try op.known(ImageSize.outputShape(op.inference))
            try op.output(shape: shape, like: input)
            guard !shape.contains(0) else { return { _ in } }
            try op.requireIndexed(shape)
            let tables = input.shape.indices.map { d in
                d == 1 || d == 2 ? table(input.shape[d], shape[d], op.options) : Array(0..<shape[d])
            }
            let copy = IndexedCopy(elementBytes: try op.elementBytes(input), sourceShape: input.shape, tables: tables)
            return { io in
                var target = io.output(as: UInt8.self)
                copy.run(from: io.input(0), to: &target)
            }
        }.gradient { g throws(Failure) in
            [try g.resized(by: .resizeNearestNeighbor)]
        }
    }

    private static func table(_ input: Int, _ output: Int, _ options: Options) -> [Int] {
        let isAligned = options.bool(alignCorners)
        let scale =
            isAligned && output > 1 ? Float(input - 1) / Float(output - 1) : Float(input) / Float(output)
        let offset: Float = options.bool(halfPixelCenters) ? 0.5 : 0
        return (0..<output).map { index in
            let place = (Float(index) + offset) * scale
            let nearest = place.rounded(isAligned ? .toNearestOrAwayFromZero : .down)
            return min(max(Int(nearest), 0), input - 1)
        }
    }
}
