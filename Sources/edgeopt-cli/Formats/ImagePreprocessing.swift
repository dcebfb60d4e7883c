import ArgumentParser
import CEdgeOpt
import CFormats
import Glibc

/// From a JPEG or PNG file to a model's input: crop, resize, then (value - mean) / std.
struct ImagePreprocessing: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Subtracted from pixel values 0...255: one number, or one for each channel.",
            discussion: "Default: 127.5 for float inputs, 0 for integer inputs that take pixels as they are.",
            valueName: "m[,m,m]"))
    var mean: NumberList?

    @Option(
        help: ArgumentHelp(
            "Then divided by this. Default: 127.5 for float inputs, 1 for integer inputs.", valueName: "s[,s,s]"))
    var std: NumberList?

    @Option(help: ArgumentHelp("Height and width, where the model leaves them open.", valueName: "h[,w]"))
    var size: NumberList?

    @Option(help: "Which central square share of the picture is used; 1: all of its shorter side.")
    var crop: Double = 0.875

    func validate() throws {
        guard crop > 0, crop <= 1 else { throw ValidationError("--crop is \(crop), expected above 0 and up to 1") }
        if std?.values.contains(0) == true { throw ValidationError("--std must not be 0") }
    }

    /// The shape [1, height, width, channels] of an image input.
    func shape(of input: Tensor) throws -> [Int] {
        guard input.shape.count == 4, [1, 3].contains(input.shape[3]) else {
            throw Failure("input \(input.described) does not take images: expected [1,height,width,3] or [...,1]")
        }
        var (height, width) = (input.shape[1], input.shape[2])
        if let size = size?.values {
            (height, width) = (Int(size[0]), Int(size[size.count > 1 ? 1 : 0]))
        } else if input.shapeSignature[1] < 0 || input.shapeSignature[2] < 0 {
            throw Failure("input \(input.described) leaves the picture's size open: give --size")
        }
        guard height > 0, width > 0 else { throw Failure("--size is \(height),\(width), expected positive numbers") }
        return [1, height, width, input.shape[3]]
    }

    /// One image as the bytes of `input` in that shape.
    func load(_ path: String, for input: Tensor) throws -> NumericArray {
        let shape = try shape(of: input)
        guard let type = ElementType(input.type) else { throw Failure("input \(input.described) does not take images") }
        let pixels = try resized(path, height: shape[1], width: shape[2], channels: shape[3])
        return NumericArray(shape: shape, type: type, bytes: try normalized(pixels, channels: shape[3], as: type))
    }

    /// Arrays are taken as they are, but where --mean or --std is given: then as pictures.
    func scaled(_ array: NumericArray, for input: Tensor) throws -> NumericArray {
        let type = try elementType(of: input)
        guard mean != nil || std != nil, !type.isInteger else { return array }
        let channels = input.shape.count == 4 ? input.shape[3] : 1
        let bytes = try normalized(array.values().map { Float($0) }, channels: channels, as: type)
        return NumericArray(shape: array.shape, type: type, bytes: bytes)
    }

    /// (pixel - mean) / std of values 0...255.
    func normalized(_ pixels: [Float], channels: Int, as type: ElementType) throws -> [UInt8] {
        let isFloat = [.float32, .float16].contains(type)
        // int8 inputs of converted image models are the bytes shifted by 128.
        let means = mean?.values ?? [isFloat ? 127.5 : type == .int8 ? 128 : 0]
        let stds = std?.values ?? [isFloat ? 127.5 : 1]
        for (option, count) in [("--mean", means.count), ("--std", stds.count)] where count != 1 && count != channels {
            throw Failure("\(option) has \(count) numbers, expected one, or one for each of \(channels) channels")
        }
        var result = [UInt8](repeating: 0, count: pixels.count * type.size)
        result.withUnsafeMutableBytes { bytes in
            for (index, pixel) in pixels.enumerated() {
                let channel = index % channels
                let value = (Double(pixel) - means[channel % means.count]) / stds[channel % stds.count]
                type.store(value, bytes, index * type.size)
            }
        }
        return result
    }

    /// The central square, resized by bilinear interpolation. Row y of the result is taken at y * scale, as TFLite's own
    /// evaluation does, so that its accuracies can be compared.
    private func resized(_ path: String, height: Int, width: Int, channels: Int) throws -> [Float] {
        var image = formats_image()
        var message = [CChar](repeating: 0, count: 256)
        guard formats_read_image(path, Int32(channels), &image, &message, message.count) else {
            throw Failure("\(path): \(string(message))")
        }
        defer { free(image.pixels) }
        let pixels = UnsafeBufferPointer(start: image.pixels, count: Int(image.width) * Int(image.height) * channels)
        let imageWidth = Int(image.width)
        let side = max(1, Int((crop * Double(min(image.width, image.height))).rounded()))
        let top = (Int(image.height) - side + 1) / 2
        let left = (imageWidth - side + 1) / 2
        let (scaleY, scaleX) = (Float(side) / Float(height), Float(side) / Float(width))

        var result = [Float](repeating: 0, count: height * width * channels)
        for y in 0..<height {
            let sourceY = Float(y) * scaleY
            let (y0, y1) = (min(Int(sourceY), side - 1), min(Int(sourceY) + 1, side - 1))
            for x in 0..<width {
                let sourceX = Float(x) * scaleX
                let (x0, x1) = (min(Int(sourceX), side - 1), min(Int(sourceX) + 1, side - 1))
                let (shareY, shareX) = (sourceY - Float(y0), sourceX - Float(x0))
                for channel in 0..<channels {
                    func pixel(_ y: Int, _ x: Int) -> Float {
                        Float(pixels[((top + y) * imageWidth + left + x) * channels + channel])
                    }
                    let upper = pixel(y0, x0) + (pixel(y0, x1) - pixel(y0, x0)) * shareX
                    let lower = pixel(y1, x0) + (pixel(y1, x1) - pixel(y1, x0)) * shareX
                    result[(y * width + x) * channels + channel] = upper + (lower - upper) * shareY
                }
            }
        }
        return result
    }
}

/// Numbers with commas between them.
struct NumberList: ExpressibleByArgument {
    let values: [Double]

    init?(argument: String) {
        let numbers = argument.split(separator: ",").map { Double($0) }
        guard !numbers.isEmpty, numbers.allSatisfy({ $0.map { abs($0) < 1e6 } ?? false }) else { return nil }
        values = numbers.map { $0! }
    }
}
