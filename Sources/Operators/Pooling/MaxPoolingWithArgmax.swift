import Kernels
import Model

/// The custom operators MaxPoolingWithArgmax2D and MaxUnpooling2D of MediaPipe's segmentation networks, float32. Where a
/// maximum was is told as a float: its place in the window, row by row. Options, little-endian int32: padding (1 SAME, 2
/// VALID), strides along width and height, width and height of the window, activation as in the schema.
enum MaxPoolingWithArgmax {
    static let name = "MaxPoolingWithArgmax2D"
    static let unpooling = "MaxUnpooling2D"

    /// Of equals the first counts, column by column, as with LiteRT: flat parts of pictures have many.
    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { op throws(Failure) in
            let shape = try windows(op).shape.output
            return [shape, shape]
        } prepare: { op throws(Failure) in
            let windows = try windows(op.inference)
            let (shape, range) = (windows.shape, windows.activation.floatRange)
            guard try op.input(0).type == .float32, op.outputs.count == 2,
                op.outputs.allSatisfy({ $0.type == .float32 && $0.shape == shape.output }),
                windows.activation.isClamp
            else { throw op.unsupportedTypes() }
            return { io in
                let x = io.input(0, as: Float.self)
                var y = io.output(0, as: Float.self)
                var places = io.output(1, as: Float.self)
                let channels = shape.inputChannels
                for first in stride(from: 0, to: y.count, by: max(1, channels)) {
                    let at = shape.position(first)
                    let (top, left) = (
                        at.y &* shape.strideHeight &- shape.paddingTop, at.x &* shape.strideWidth &- shape.paddingLeft
                    )
                    for index in first..<first &+ channels {
                        (y[index], places[index]) = (-Float.greatestFiniteMagnitude, 0.1)
                    }
                    for column in max(0, -left)..<max(0, -left, min(shape.kernelWidth, shape.inputWidth &- left)) {
                        for row in max(0, -top)..<max(0, -top, min(shape.kernelHeight, shape.inputHeight &- top)) {
                            let pixel =
                                (at.image &* shape.inputHeight &+ top &+ row) &* shape.inputWidth &+ left &+ column
                            // Whole numbers are behind the point when it is cut off, whatever became of their last bits.
                            let place = Float(row &* shape.kernelWidth &+ column) + 0.1
                            let from = x.extracting(pixel &* channels..<(pixel &+ 1) &* channels)
                            for channel in 0..<channels where from[channel] > y[first &+ channel] {
                                (y[first &+ channel], places[first &+ channel]) = (from[channel], place)
                            }
                        }
                    }
                    for index in first..<first &+ channels {
                        y[index] = min(max(y[index], range.minimum), range.maximum)
                    }
                }
            }
        }
    }

    /// Inputs: values, and places as pooling gives them. What no value belongs to is 0; a place outside the image counts
    /// for nothing.
    static var inverse: OperatorDefinition {
        OperatorDefinition(.custom, custom: unpooling, maxVersion: 1) { op throws(Failure) in
            [try geometry(op).output]
        } prepare: { op throws(Failure) in
            let shape = try geometry(op.inference)
            let (values, places) = (try op.input(0), try op.input(1))
            guard values.type == .float32, places.type == .float32, places.shape == values.shape,
                try op.output().type == .float32, try op.output().shape == shape.output
            else { throw op.unsupportedTypes() }
            return { io in
                let (x, places) = (io.input(0, as: Float.self), io.input(1, as: Float.self))
                var y = io.output(as: Float.self)
                for index in 0..<y.count { y[index] = 0 }
                var index = 0
                for row in 0..<(shape.batch &* shape.inputHeight) {
                    let (image, y0) = row.quotientAndRemainder(dividingBy: shape.inputHeight)
                    for x0 in 0..<shape.inputWidth {
                        for channel in 0..<shape.inputChannels {
                            defer { index &+= 1 }
                            guard places[index] >= 0, places[index] < 0x1p30 else { continue }
                            let (down, right) = Int(places[index]).quotientAndRemainder(
                                dividingBy: shape.kernelWidth)
                            let at = y0 &* shape.strideHeight &- shape.paddingTop &+ down
                            let column = x0 &* shape.strideWidth &- shape.paddingLeft &+ right
                            guard (0..<shape.outputHeight).contains(at), (0..<shape.outputWidth).contains(column)
                            else { continue }
                            let pixel = (image &* shape.outputHeight &+ at) &* shape.outputWidth &+ column
                            y[pixel &* shape.inputChannels &+ channel] = x[index]
                        }
                    }
                }
            }
        }
    }

    /// As MAX_POOL_2D has them.
    private static func options(_ op: ShapeInference) throws(Failure) -> Options {
        guard let given = op.customOptions?.array(of: Int32.self), given.count >= 6, (1...2).contains(given[0]),
            given[1...4].allSatisfy({ (1...1024).contains($0) })
        else { throw op.invalid("its options are not padding, strides and a window") }
        return Options(.pool2D, [.int(Int64(given[0]) - 1)] + given[1...5].map { .int(Int64($0)) })
    }

    private static func windows(_ op: ShapeInference) throws(Failure) -> PoolingWindows {
        try PoolingWindows(options(op), input: op.input(0), operator: op.name)
    }

    /// Of the image that pooling began with: as large as all windows side by side.
    private static func geometry(_ op: ShapeInference) throws(Failure) -> ConvolutionShape {
        let (options, input) = (try options(op), try op.input(0))
        try requireRank(4, input, operator: op.name)
        var shape = ConvolutionShape()
        (shape.strideWidth, shape.strideHeight) = (options.int(1), options.int(2))
        (shape.kernelWidth, shape.kernelHeight) = (options.int(3), options.int(4))
        (shape.batch, shape.inputHeight, shape.inputWidth) = (input.shape[0], input.shape[1], input.shape[2])
        (shape.inputChannels, shape.outputChannels) = (input.shape[3], input.shape[3])
        let output = try op.checked([
            shape.batch, shape.inputHeight &* shape.kernelHeight, shape.inputWidth &* shape.kernelWidth,
            shape.inputChannels,
        ])
        (shape.outputHeight, shape.outputWidth) = (output[1], output[2])
        shape.paddingTop =
            max(0, (shape.inputHeight - 1) * shape.strideHeight + shape.kernelHeight - shape.outputHeight) / 2
        shape.paddingLeft =
            max(0, (shape.inputWidth - 1) * shape.strideWidth + shape.kernelWidth - shape.outputWidth) / 2
        return shape
    }
}
