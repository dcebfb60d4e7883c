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
