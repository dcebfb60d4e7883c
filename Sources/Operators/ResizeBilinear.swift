import Kernels
import Model

/// RESIZE_BILINEAR: NHWC images at another size.
enum ResizeBilinear {
    private static let alignCorners = 2
    private static let halfPixelCenters = 3

    static var definition: OperatorDefinition {
        OperatorDefinition(.resizeBilinear, maxVersion: 4, quantization: .sameScale) { op throws(Failure) in
            guard let shape = try ImageSize.outputShape(op) else { return nil }
            return [shape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let shape = try op.known(ImageSize.outputShape(op.inference))
            try op.output(shape: shape, like: input)
            let (aligned, half) = (op.options.bool(alignCorners), op.options.bool(halfPixelCenters))
            guard !aligned || !half else { throw op.invalid("align_corners and half_pixel_centers exclude each other") }
            guard !shape.contains(0) else { return { _ in } }
            let resize = BilinearResize(
                try element(op, input.type), inputShape: input.shape, outputHeight: shape[1], outputWidth: shape[2],
                alignCorners: aligned, halfPixelCenters: half)
            return { io in
                var target = io.output(as: UInt8.self)
                resize.run(from: io.input(0), to: &target, pool: io.pool)
            }
        }.gradient { g throws(Failure) in
            [try g.resized(by: .resizeBilinear)]
        }
    }

    private static func element(_ op: Preparation, _ type: TensorType) throws(Failure) -> BilinearResize.Element {
        switch type {
        case .float32: return .float32
        case .uint8: return .uint8
        case .int8: return .int8
        case .int16: return .int16
        default: throw op.unsupportedTypes()
        }
    }
}

/// The size input of the resize operators.
enum ImageSize {
    /// nil while the size is known only at run time.
    static func outputShape(_ op: ShapeInference) throws(Failure) -> [Int]? {
        let input = try op.input(0)
        guard let size = try op.numbers(1, "the size") else { return nil }
        guard input.rank == 4, size.count == 2, size.allSatisfy({ $0 >= 0 && $0 <= 1 << 24 }) else {
            throw op.invalid("\(input.described) cannot be resized to \(text(size))")
        }
        let shape = try op.checked([input.shape[0], size[0], size[1], input.shape[3]])
        guard shape.contains(0) || !input.shape.contains(0) else {
            throw op.invalid("\(input.described) has no pixels to resize")
        }
        return shape
    }
}

extension GradientContext {
    /// Resizing is linear, first along one dimension, then along the other: the gradient goes through the transposed
    /// matrices, which are what the operator makes of unit matrices.
    func resized(by code: BuiltinOperator) throws(Failure) -> Value {
        let (x, dy) = (try x, try dy)
        let (height, width, channels) = (x.shape[1], x.shape[2], x.shape[3])
        let rows = try matrix(code, from: height, to: dy.shape[1])
        let columns = try matrix(code, from: width, to: dy.shape[2])
        let narrow = try columns.matmul(dy.reshape([x.shape[0] * dy.shape[1], dy.shape[2], channels]), true, false)
        return try rows.matmul(narrow.reshape([x.shape[0], dy.shape[1], width * channels]), true, false)
            .reshape(x.shape)
    }

    /// How `from` places along one dimension become `to`: [1, to, from].
    private func matrix(_ code: BuiltinOperator, from: Int, to: Int) throws(Failure) -> Value {
        guard from <= 4096 else { throw .unsupported("\(name): has no gradient for images wider than 4096 pixels") }
        var unit = [Float](repeating: 0, count: from * from)
        for place in 0..<from { unit[place * from + place] = 1 }
        let graph = y.graph
        return try graph.constant(unit, [1, from, 1, from]).apply(code, graph.indices([to, 1]), options: options)
            .reshape([1, to, from])
    }
}
