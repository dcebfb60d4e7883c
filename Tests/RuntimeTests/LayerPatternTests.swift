import Model
import Operators
import Testing

@testable import Runtime

/// What layers take up from the operators around them: keeping all tensors keeps all operators apart.
struct LayerPatternTests {
    private static func convolution(padding: Padding, stride: Int, _ code: BuiltinOperator) -> Options {
        var options = Options(code == .conv2D ? .conv2D : .depthwiseConv2D)
        for (field, value) in [(0, padding.rawValue), (1, stride), (2, stride)] { options[field] = .int(Int64(value)) }
        if code == .depthwiseConv2D { options[3] = .int(1) }
        return options
    }

    /// Both paddings after a PAD that fits, and after one that does not.
    @Test(arguments: [TensorType.float32, .int8], [Padding.same, .valid])
    func paddingKeepsTheBits(_ type: TensorType, _ padding: Padding) throws {
        for (margins, isJoined) in [([1, 2, 2, 0], true), ([0, 1, 1, 1], true), ([3, 0, 0, 0], false)] {
            for code in [BuiltinOperator.conv2D, .depthwiseConv2D] {
                var maker = ModelMaker()
                let (height, width) = (9 + margins[0] + margins[1], 8 + margins[2] + margins[3])
                let x = maker.tensor("x", [1, 9, 8, 4])
                let numbers = [0, 0] + margins.map { Int32($0) } + [0, 0]
                let paddings = try maker.constant("p", [4, 2], numbers, .int32)
                let padded = maker.result(.pad, [x, paddings], shape: [1, height, width, 4])
                let (filter, bias) = try maker.weights(
                    code == .conv2D ? [4, 3, 3, 4] : [1, 3, 3, 4], channels: 4, type)
                let output = [height, width].map { padding == .same ? ($0 + 1) / 2 : ($0 - 1) / 2 }
                let y = maker.result(
                    code, [padded, filter, bias], shape: [1] + output + [4],
                    Self.convolution(padding: padding, stride: 2, code))
                if type == .int8 {
                    for tensor in [x, padded] { maker.quantize(tensor, 0.05, -7, .int8) }
                    maker.quantize(y, 0.2, 3, .int8)
                }
                maker.ends([x], [y])
                #expect(try maker.runners() == [isJoined ? "fused" : "CPU", "CPU"])
                let isFloat = type == .float32
                #expect(
                    try maker.bytes(keepAll: false, isFloat: isFloat) == maker.bytes(keepAll: true, isFloat: isFloat))
            }
        }
    }

    /// What is padded takes part in the maximum.
    @Test(arguments: [TensorType.float32, .int8, .uint8], [Padding.same, .valid])
    func paddedMaximaKeepTheBits(_ type: TensorType, _ padding: Padding) throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [1, 7, 7, 20])
        let paddings = try maker.constant("p", [4, 2], [Int32(0), 0, 1, 1, 1, 1, 0, 0], .int32)
        let padded = maker.result(.pad, [x, paddings], shape: [1, 9, 9, 20])
        var options = Options(.pool2D)
        for (field, value) in [(0, padding.rawValue), (1, 2), (2, 2), (3, 3), (4, 3)] {
            options[field] = .int(Int64(value))
        }
        let size = padding == .same ? 5 : 4
        let y = maker.result(.maxPool2D, [padded], shape: [1, size, size, 20], options)
        let zeroPoint = type == .int8 ? 90 : 218  // most numbers are less
        if type != .float32 { for tensor in [x, padded, y] { maker.quantize(tensor, 0.05, zeroPoint, type) } }
        maker.ends([x], [y])
        #expect(try maker.runners() == [padding == .valid ? "fused" : "CPU", "CPU"])
        let isFloat = type == .float32
        #expect(try maker.bytes(keepAll: false, isFloat: isFloat) == maker.bytes(keepAll: true, isFloat: isFloat))
    }

    @Test func paddingThatOthersReadStays() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [1, 7, 7, 4])
        let paddings = try maker.constant("p", [4, 2], [Int32(0), 0, 1, 1, 1, 1, 0, 0], .int32)
        let padded = maker.result(.pad, [x, paddings], shape: [1, 9, 9, 4])
        let (filter, bias) = try maker.weights([4, 3, 3, 4], channels: 4, .float32)
        let y = maker.result(
            .conv2D, [padded, filter, bias], shape: [1, 7, 7, 4],
            Self.convolution(padding: .valid, stride: 1, .conv2D))
        maker.ends([x], [y, padded])
        #expect(try maker.runners() == ["CPU", "CPU"])
    }

    /// A residual sum after every kind of layer, in both orders: 3x3 by Winograd's filtering, 1x1, depthwise, groups.
    @Test(arguments: [TensorType.float32, .int8], [false, true])
    func residualSumsKeepTheBits(_ type: TensorType, _ swapped: Bool) throws {
        let (size, channels) = (15, 36)
        for (code, kernel, inputs) in [
            (BuiltinOperator.conv2D, 3, channels), (.conv2D, 1, channels), (.depthwiseConv2D, 3, channels),
            (.conv2D, 3, 9),
        ] {
            var maker = ModelMaker()
            let shape = [1, size, size, channels]
            let (x, z) = (maker.tensor("x", shape), maker.tensor("z", shape))
            let (filter, bias) = try maker.weights(
                code == .conv2D ? [channels, kernel, kernel, inputs] : [1, kernel, kernel, channels],
                channels: channels, type)
            let middle = maker.result(
                code, [x, filter, bias], shape: shape, Self.convolution(padding: .same, stride: 1, code))
            let code = swapped ? BuiltinOperator.sub : .add
            let y = maker.result(
                code, swapped ? [z, middle] : [middle, z], shape: shape, Options(swapped ? .sub : .add, [.int(1)]))
            if type == .int8 {
                for (tensor, scale, zero) in [(x, Float(0.05), -7), (z, 0.03, 11), (middle, 0.4, 3), (y, 0.3, -60)] {
                    maker.quantize(tensor, scale, zero, .int8)
                }
            }
            maker.ends([x, z], [y])
            #expect(try maker.runners() == ["fused", "CPU"])
            let isFloat = type == .float32
            let apart = try maker.bytes(keepAll: true, isFloat: isFloat)
            #expect(try maker.bytes(keepAll: false, isFloat: isFloat) == apart)
            #expect(try maker.bytes(keepAll: false, isFloat: isFloat, threads: 2) == apart)
        }
    }

    /// A batch normalization of a residual sum, or of a layer, that others read too: 1x1 in chunks of columns, 3x3,
    /// depthwise, groups, products, and channels that blocks of bytes do not divide.
    @Test(arguments: [TensorType.float32, .int8], [false, true])
    func branchesKeepTheBits(_ type: TensorType, _ isSum: Bool) throws {
        for (code, kernel, inputs, channels) in [
            (BuiltinOperator.conv2D, 1, 600, 530), (.conv2D, 3, 70, 70), (.depthwiseConv2D, 3, 130, 130),
            (.conv2D, 3, 35, 140), (.fullyConnected, 1, 40, 100),
        ] {
            var maker = ModelMaker()
            let isImage = code != .fullyConnected
            let (from, to) =
                isImage ? ([1, 9, 8, inputs == 35 ? 140 : inputs], [1, 9, 8, channels]) : ([50, 40], [50, 100])
            let (x, z) = (maker.tensor("x", from), maker.tensor("z", to))
            let (filter, bias) = try maker.weights(
                code == .conv2D
                    ? [channels, kernel, kernel, inputs]
                    : isImage ? [1, kernel, kernel, channels] : [channels, inputs],
                channels: channels, type)
            let layer = maker.result(
                code, [x, filter, bias], shape: to,
                isImage ? Self.convolution(padding: .same, stride: 1, code) : Options(.fullyConnected))
            let sum = isSum ? maker.result(.add, [z, layer], shape: to, Options(.add)) : layer
            let factors = (0..<channels).map { Float($0 % 9) / 7 - 0.6 }
            let shifts = (0..<channels).map { 1 - Float($0 % 50) / 25 }
            let (c, d) =
                type == .float32
                ? (
                    try maker.constant("c", [channels], factors, .float32),
                    try maker.constant("d", [channels], shifts, .float32)
                )
                : (
                    try maker.constant("c", [channels], factors.map { Int8($0 * 100) }, .int8),
                    try maker.constant("d", [channels], shifts.map { Int8($0 * 127) }, .int8)
                )
            let product = maker.result(.mul, [sum, c], shape: to, Options(.mul))
            let scaled = maker.result(.add, [product, d], shape: to, Options(.add, [.int(1)]))
            let y = maker.result(.sub, [sum, scaled], shape: to, Options(.sub))
            if type == .int8 {
                for (tensor, scale, zero) in [
                    (x, Float(0.05), -7), (z, 0.3, 11), (layer, 0.4, 3), (sum, isSum ? 0.5 : 0.4, 3), (c, 0.01, 4),
                    (product, 0.3, -9), (d, 0.1, 0), (scaled, 0.2, -128), (y, 0.6, 1),
                ] { maker.quantize(tensor, scale, zero, .int8) }
            }
            maker.ends(isSum ? [x, z] : [x], [y])
            let isGrouped = code == .conv2D && inputs == 35
            let branch = isGrouped ? ["fused", "CPU"] : ["fused", "fused"]
            #expect(try maker.runners() == (isSum ? ["fused", "CPU"] : ["CPU"]) + branch + ["CPU"])
            let isFloat = type == .float32
            let apart = try maker.bytes(keepAll: true, isFloat: isFloat)
            #expect(try maker.bytes(keepAll: false, isFloat: isFloat) == apart)
            #expect(try maker.bytes(keepAll: false, isFloat: isFloat, threads: 2) == apart)
        }
    }

    @Test(arguments: [TensorType.float32, .int8], [BuiltinOperator.hardSwish, .gelu, .logistic])
    func functionsOfLayersKeepTheBits(_ type: TensorType, _ function: BuiltinOperator) throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [50, 70])
        let (filter, bias) = try maker.weights([33, 70], channels: 33, type)
        let middle = maker.result(.fullyConnected, [x, filter, bias], shape: [50, 33], Options(.fullyConnected))
        let y = maker.result(function, [middle], shape: [50, 33], Options(function == .gelu ? .gelu : .none))
        if type == .int8 {
            for (tensor, scale, zero) in [(x, Float(0.05), -7), (middle, 0.04, 3), (y, 1 / 256, -128)] {
                maker.quantize(tensor, scale, zero, .int8)
            }
        }
        maker.ends([x], [y])
        #expect(try maker.runners() == ["fused", "CPU"])
        let isFloat = type == .float32
        #expect(try maker.bytes(keepAll: false, isFloat: isFloat) == maker.bytes(keepAll: true, isFloat: isFloat))
    }

    @Test(arguments: [TensorType.int8, .int16])
    func otherScalesOfLayersKeepTheBits(_ type: TensorType) throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [50, 70])
        let (filter, bias) = try maker.weights([33, 70], channels: 33, type)
        let middle = maker.result(.fullyConnected, [x, filter, bias], shape: [50, 33], Options(.fullyConnected))
        let y = maker.result(.quantize, [middle], shape: [50, 33])
        let zero = type == .int8 ? 3 : 0
        for (tensor, scale, zeroPoint) in [(x, Float(0.05), -zero), (middle, 0.04, zero), (y, 0.057, 2 * zero)] {
            maker.quantize(tensor, scale, zeroPoint, type)
        }
        maker.ends([x], [y])
        #expect(try maker.runners() == ["fused", "CPU"])
        #expect(try maker.bytes(keepAll: false) == maker.bytes(keepAll: true))
    }

    @Test func resultsThatOthersReadStay() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [2, 8])
        let (filter, bias) = try maker.weights([8, 8], channels: 8, .float32)
        let middle = maker.result(.fullyConnected, [x, filter, bias], shape: [2, 8], Options(.fullyConnected))
        let sum = maker.result(.add, [middle, x], shape: [2, 8])
        let y = maker.result(.mul, [sum, middle], shape: [2, 8])
        maker.ends([x], [y])
        #expect(try maker.runners() == ["CPU", "CPU", "CPU"])
    }

    /// Broadcasting is not element by element.
    @Test func sumsOfOtherShapesStay() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [2, 8])
        let (filter, bias) = try maker.weights([8, 8], channels: 8, .float32)
        let middle = maker.result(.fullyConnected, [x, filter, bias], shape: [2, 8], Options(.fullyConnected))
        let z = maker.tensor("z", [8])
        let y = maker.result(.add, [middle, z], shape: [2, 8])
        maker.ends([x, z], [y])
        #expect(try maker.runners() == ["CPU", "CPU"])
    }

    /// A batch normalization in each of its forms, before an activation.
    @Test(arguments: [BuiltinOperator.conv2D, .depthwiseConv2D, .fullyConnected], 0..<3)
    func scaledLayersAgree(_ code: BuiltinOperator, _ way: Int) throws {
        var maker = ModelMaker()
        let channels = 10
        let isImage = code != .fullyConnected
        let (from, to) = isImage ? ([1, 6, 5, channels], [1, 6, 5, channels]) : ([6, 7], [6, channels])
        let x = maker.tensor("x", from)
        let filter = code == .conv2D ? [channels, 3, 3, 10] : isImage ? [1, 3, 3, channels] : [channels, 7]
        let (weights, bias) = try maker.weights(filter, channels: channels, .float32)
        let factors = try maker.constant("c", [channels], (0..<channels).map { Float($0) / 7 - 0.6 }, .float32)
        let shifts = try maker.constant("d", [1, channels], (0..<channels).map { 1 - Float($0) / 5 }, .float32)
        let layer = maker.result(
            code, way == 0 ? [x, weights] : [x, weights, bias], shape: to,
            isImage ? Self.convolution(padding: .same, stride: 1, code) : Options(.fullyConnected))
        var y = maker.result(
            [BuiltinOperator.mul, .div, .sub][way], way == 2 ? [factors, layer] : [layer, factors], shape: to)
        y = maker.result(way == 1 ? .sub : .add, [y, shifts], shape: to)
        y = maker.result(.relu, [y], shape: to)
        maker.ends([x], [y])
        #expect(try maker.runners() == ["fused", "fused", "CPU", "fused"])
        let fused = try Self.floats(maker.bytes(keepAll: false, isFloat: true))
        let apart = try Self.floats(maker.bytes(keepAll: true, isFloat: true))
        #expect(fused.contains { $0 > 0 })
        #expect(zip(fused, apart).allSatisfy { abs($0 - $1) < 1e-4 * max(1, abs($1)) })
    }

    /// The reference arithmetic keeps its roundings, and so does what others read.
    @Test func scaledLayersStay() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [6, 7])
        let (weights, bias) = try maker.weights([10, 7], channels: 10, .float32)
        let factors = try maker.constant("c", [10], (0..<10).map { Float($0) / 7 }, .float32)
        let layer = maker.result(.fullyConnected, [x, weights, bias], shape: [6, 10], Options(.fullyConnected))
        let y = maker.result(.mul, [layer, factors], shape: [6, 10])
        maker.ends([x], [y, layer])
        #expect(try maker.runners() == ["CPU", "CPU"])
        maker.ends([x], [y])
        var options = Interpreter.Options()
        options.arithmetic = .reference
        let interpreter = try maker.interpreter(options)
        #expect(try (0..<2).map { try interpreter.report($0).decision.runner } == ["CPU", "CPU"])
    }

    /// Convolutions with large images in between, strides, paddings, a function in the middle and a residual sum at the
    /// end, for numbers of lines that do and do not divide the image.
    @Test(arguments: [(96, 1), (129, 2)])
    func cascadesKeepTheBits(_ size: Int, _ stride: Int) throws {
        var maker = ModelMaker()
        let (channels, wide) = (8, 32)
        let half = (size + stride - 1) / stride
        let x = maker.tensor("x", [2, size, size, channels])
        let z = maker.tensor("z", [2, half, half, channels])
        let (first, firstBias) = try maker.weights([wide, 1, 1, channels], channels: wide, .float32)
        var y = maker.result(
            .conv2D, [x, first, firstBias], shape: [2, size, size, wide],
            Self.convolution(padding: .same, stride: 1, .conv2D))
        y = maker.result(.hardSwish, [y], shape: [2, size, size, wide])
        let (second, secondBias) = try maker.weights([1, 3, 3, wide], channels: wide, .float32)
        y = maker.result(
            .depthwiseConv2D, [y, second, secondBias], shape: [2, half, half, wide],
            Self.convolution(padding: .same, stride: stride, .depthwiseConv2D))
        let (third, thirdBias) = try maker.weights([channels, 1, 1, wide], channels: channels, .float32)
        y = maker.result(
            .conv2D, [y, third, thirdBias], shape: [2, half, half, channels],
            Self.convolution(padding: .same, stride: 1, .conv2D))
        y = maker.result(.add, [z, y], shape: [2, half, half, channels])
        maker.ends([x, z], [y])
        #expect(try maker.runners() == ["fused", "fused", "fused", "fused", "CPU"])
        let apart = try maker.bytes(keepAll: true, isFloat: true)
        #expect(try maker.bytes(keepAll: false, isFloat: true) == apart)
        #expect(try maker.bytes(keepAll: false, isFloat: true, threads: 2) == apart)
    }

    /// A few lines at a time would move all but one of those above them.
    @Test func dilatedLayersReadWholeImages() throws {
        var maker = ModelMaker()
        let (size, channels) = (33, 240)
        let x = maker.tensor("x", [1, size, size, 8])
        let (first, firstBias) = try maker.weights([channels, 1, 1, 8], channels: channels, .float32)
        var y = maker.result(
            .conv2D, [x, first, firstBias], shape: [1, size, size, channels],
            Self.convolution(padding: .same, stride: 1, .conv2D))
        let (second, secondBias) = try maker.weights([1, 3, 3, channels], channels: channels, .float32)
        var dilated = Self.convolution(padding: .same, stride: 1, .depthwiseConv2D)
        (dilated[5], dilated[6]) = (.int(6), .int(6))
        y = maker.result(.depthwiseConv2D, [y, second, secondBias], shape: [1, size, size, channels], dilated)
        let (third, thirdBias) = try maker.weights([8, 1, 1, channels], channels: 8, .float32)
        y = maker.result(
            .conv2D, [y, third, thirdBias], shape: [1, size, size, 8],
            Self.convolution(padding: .same, stride: 1, .conv2D))
        maker.ends([x], [y])
        #expect(try maker.runners().first == "CPU")
        #expect(try maker.bytes(keepAll: false, isFloat: true) == maker.bytes(keepAll: true, isFloat: true))
    }

    /// A residual sum with what a layer of the row has computed.
    @Test func cascadesEndWhereOthersRead() throws {
        var maker = ModelMaker()
        let shape = [1, 132, 132, 16]
        let x = maker.tensor("x", shape)
        let (first, firstBias) = try maker.weights([16, 1, 1, 16], channels: 16, .float32)
        let options = Self.convolution(padding: .same, stride: 1, .conv2D)
        let start = maker.result(.conv2D, [x, first, firstBias], shape: shape, options)
        let (second, secondBias) = try maker.weights([1, 3, 3, 16], channels: 16, .float32)
        var y = maker.result(
            .depthwiseConv2D, [start, second, secondBias], shape: shape,
            Self.convolution(padding: .same, stride: 1, .depthwiseConv2D))
        y = maker.result(.conv2D, [y, first, firstBias], shape: shape, options)
        y = maker.result(.add, [start, y], shape: shape)
        maker.ends([x], [y])
        #expect(try maker.runners() == ["CPU", "fused", "fused", "CPU"])
        #expect(try maker.bytes(keepAll: false, isFloat: true) == maker.bytes(keepAll: true, isFloat: true))
    }

    private static func floats(_ bytes: [UInt8]) -> [Float] {
        bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
}
