import Kernels
import Model
import Testing

@testable import Operators

/// Geometry of a test convolution.
struct TestWindow: Sendable, CustomStringConvertible {
    var padding: Padding = .same
    var kernel = (height: 1, width: 1)
    var stride = (height: 1, width: 1)
    var dilation = (height: 1, width: 1)
    var image = (batch: 1, height: 5, width: 4)
    var channels = 2
    /// Output channels for each input channel (depthwise), or in all.
    var outputs = 3
    var groups = 1

    var description: String {
        "\(padding) \(kernel) stride \(stride) dilation \(dilation) image \(image) \(channels)->\(outputs)/\(groups)"
    }

    static let all: [TestWindow] = {
        var windows: [TestWindow] = []
        for padding in [Padding.same, .valid] {
            for kernel in [(1, 1), (3, 3), (2, 3), (3, 1)] {
                for stride in [(1, 1), (2, 2), (1, 3)] {
                    for dilation in [(1, 1), (2, 1)] {
                        windows.append(
                            TestWindow(padding: padding, kernel: kernel, stride: stride, dilation: dilation))
                    }
                }
            }
        }
        windows += [
            TestWindow(kernel: (3, 3), image: (2, 4, 4), channels: 4, outputs: 6, groups: 2),
            TestWindow(padding: .valid, kernel: (2, 2), image: (1, 3, 3), channels: 3, outputs: 3, groups: 3),
            TestWindow(kernel: (3, 3), image: (2, 4, 5), channels: 5, outputs: 10, groups: 5),
            TestWindow(kernel: (5, 5), image: (1, 6, 5), channels: 20, outputs: 20, groups: 20),
            TestWindow(kernel: (1, 1), image: (3, 2, 2), channels: 17, outputs: 33),
            TestWindow(kernel: (5, 5), image: (1, 2, 3), channels: 1, outputs: 1),
        ]
        return windows
    }()

    /// Output size and padding before, from the definition of SAME and VALID.
    func axis(_ input: Int, _ kernel: Int, _ stride: Int, _ dilation: Int) -> (size: Int, before: Int) {
        let extent = dilation * (kernel - 1) + 1
        guard padding == .same else { return ((input - extent) / stride + 1, 0) }
        let size = Int((Double(input) / Double(stride)).rounded(.up))
        return (size, max(0, stride * (size - 1) + extent - input) / 2)
    }

    var rows: (size: Int, before: Int) { axis(image.height, kernel.height, stride.height, dilation.height) }
    var columns: (size: Int, before: Int) { axis(image.width, kernel.width, stride.width, dilation.width) }

    /// (input pixel, tap) of an output pixel.
    func taps(_ image: Int, _ y: Int, _ x: Int) -> [(pixel: Int, tap: Int)] {
        var taps: [(Int, Int)] = []
        for tapY in 0..<kernel.height {
            for tapX in 0..<kernel.width {
                let row = y * stride.height + tapY * dilation.height - rows.before
                let column = x * stride.width + tapX * dilation.width - columns.before
                guard (0..<self.image.height).contains(row), (0..<self.image.width).contains(column) else { continue }
                taps.append(
                    ((image * self.image.height + row) * self.image.width + column, tapY * kernel.width + tapX))
            }
        }
        return taps
    }
}

private let activations: [FusedActivation] = [.none, .relu, .reluN1To1, .relu6]

@Suite struct ConvolutionTests {
    @Test(arguments: LinearScheme.all)
    func conv2D(scheme: LinearScheme) throws {
        for (number, window) in TestWindow.all.enumerated() {
            try Self.convolution(scheme, window, activations[number % 4], seed: UInt64(number)).check()
        }
    }

    @Test(arguments: LinearScheme.all)
    func depthwiseConv2D(scheme: LinearScheme) throws {
        for (number, window) in TestWindow.all.enumerated() where window.groups == 1 && window.channels < 17 {
            try Self.depthwise(scheme, window, activations[number % 4], seed: UInt64(number)).check()
        }
    }

    @Test(arguments: LinearScheme.all)
    func transposeConv(scheme: LinearScheme) throws {
        for (number, window) in TestWindow.all.enumerated()
        where window.groups == 1 && window.dilation == (1, 1) && window.channels < 17 {
            try Self.transposed(scheme, window, activations[number % 4], seed: UInt64(number)).check()
        }
    }

    /// Constant weights are packed for a micro-kernel, whose name is reported.
    @Test(arguments: LinearScheme.all)
    func microKernelsAreChosen(scheme: LinearScheme) throws {
        let window = TestWindow(kernel: (3, 3), stride: (2, 2))
        for layer in [
            try Self.convolution(scheme, window, .relu, seed: 1), try Self.depthwise(scheme, window, .none, seed: 3),
            try Self.transposed(scheme, window, .none, seed: 1),
        ] {
            for arithmetic in [Arithmetic.fast, .reference] {
                let op = Preparation(
                    name: layer.label, version: 1, options: layer.options,
                    inputs: layer.arrange(layer.input.info, layer.filter.info, layer.bias?.info),
                    outputs: [layer.outputInfo()], arithmetic: arithmetic, weights: try PackedWeightCache())
                _ = try layer.definition.prepare(op)
                #expect(op.kernelName.isEmpty == (arithmetic == .reference), "\(layer.label)")
            }
        }
    }

    /// Filters OHWI; output channel o of group g sees the group's input channels.
    static func convolution(
        _ scheme: LinearScheme, _ window: TestWindow, _ activation: FusedActivation, seed: UInt64
    ) throws -> LinearCase {
        let (height, width, outputs) = (window.rows.size, window.columns.size, window.outputs)
        let groupInputs = window.channels / window.groups
        let taps = window.kernel.height * window.kernel.width
        let tensors = try LinearTensors(
            scheme, input: [window.image.batch, window.image.height, window.image.width, window.channels],
            filter: [outputs, window.kernel.height, window.kernel.width, groupInputs], channels: outputs, dimension: 0,
            seed: seed)
        return LinearCase(
            label: "CONV_2D \(scheme), \(window), \(activation)", definition: Conv2D.definition,
            options: Options(
                .conv2D,
                [
                    .int(Int64(window.padding.rawValue)), .int(Int64(window.stride.width)),
                    .int(Int64(window.stride.height)), .int(Int64(activation.rawValue)),
                    .int(Int64(window.dilation.width)), .int(Int64(window.dilation.height)),
                    scheme.activation == .int16 && scheme.bias == .int32 ? .int(2) : .absent,
                ]), scheme: scheme, activation: activation, input: tensors.input, filter: tensors.filter,
            bias: tensors.bias, outputShape: [window.image.batch, height, width, outputs], channels: outputs,
            products: { index in
                let (pixel, channel) = (index / outputs, index % outputs)
                let group = channel / (outputs / window.groups)
                return window.taps(pixel / width / height, pixel / width % height, pixel % width).flatMap { tap in
                    (0..<groupInputs).map { inner in
                        (
                            tap.pixel * window.channels + group * groupInputs + inner,
                            (channel * taps + tap.tap) * groupInputs + inner
                        )
                    }
                }
            }, arrange: { [$0, $1, $2] })
    }

    /// Filters 1HWC; output channel c * multiplier + m sees input channel c.
    static func depthwise(
        _ scheme: LinearScheme, _ window: TestWindow, _ activation: FusedActivation, seed: UInt64
    ) throws -> LinearCase {
        let (height, width) = (window.rows.size, window.columns.size)
        let multiplier = 1 + Int(seed % 3)
        let outputs = window.channels * multiplier
        let tensors = try LinearTensors(
            scheme, input: [window.image.batch, window.image.height, window.image.width, window.channels],
            filter: [1, window.kernel.height, window.kernel.width, outputs], channels: outputs, dimension: 3,
            seed: seed)
        return LinearCase(
            label: "DEPTHWISE_CONV_2D \(scheme), \(window), \(activation)", definition: DepthwiseConv2D.definition,
            options: Options(
                .depthwiseConv2D,
                [
                    .int(Int64(window.padding.rawValue)), .int(Int64(window.stride.width)),
                    .int(Int64(window.stride.height)), .int(Int64(multiplier)), .int(Int64(activation.rawValue)),
                    .int(Int64(window.dilation.width)), .int(Int64(window.dilation.height)),
                ]), scheme: scheme.withWideBias, activation: activation, input: tensors.input,
            filter: tensors.filter, bias: tensors.bias, outputShape: [window.image.batch, height, width, outputs],
            channels: outputs,
            products: { index in
                let (pixel, channel) = (index / outputs, index % outputs)
                return window.taps(pixel / width / height, pixel / width % height, pixel % width).map { tap in
                    (tap.pixel * window.channels + channel / multiplier, tap.tap * outputs + channel)
                }
            }, arrange: { [$0, $1, $2] })
    }

    /// The convolution that `window` describes, backwards: its image is the output here.
    static func transposed(
        _ scheme: LinearScheme, _ window: TestWindow, _ activation: FusedActivation, seed: UInt64
    ) throws -> LinearCase {
        let (height, width) = (window.rows.size, window.columns.size)
        let (inputs, outputs) = (window.outputs, window.channels)
        let taps = window.kernel.height * window.kernel.width
        let tensors = try LinearTensors(
            scheme, input: [window.image.batch, height, width, inputs],
            filter: [outputs, window.kernel.height, window.kernel.width, inputs], channels: outputs, dimension: 0,
            seed: seed)
        let shape = [window.image.batch, window.image.height, window.image.width, outputs]
        var reached = [[(pixel: Int, tap: Int)]](repeating: [], count: shape.dropLast().reduce(1, *))
        for pixel in 0..<(window.image.batch * height * width) {
            for tap in window.taps(pixel / width / height, pixel / width % height, pixel % width) {
                reached[tap.pixel].append((pixel, tap.tap))
            }
        }
        let shapeInput = TensorInfo(type: .int32, shape: [4], constant: try Bytes(copying: shape.map { Int32($0) }))
        return LinearCase(
            label: "TRANSPOSE_CONV \(scheme), \(window), \(activation)", definition: TransposeConv.definition,
            options: Options(
                .transposeConv,
                [
                    .int(Int64(window.padding.rawValue)), .int(Int64(window.stride.width)),
                    .int(Int64(window.stride.height)), .int(Int64(activation.rawValue)),
                    scheme.activation == .int16 && scheme.bias == .int32 ? .int(2) : .absent,
                ]), scheme: scheme, activation: activation, input: tensors.input, filter: tensors.filter,
            bias: tensors.bias, outputShape: shape, channels: outputs,
            products: { index in
                reached[index / outputs].flatMap { hit in
                    (0..<inputs).map { inner in
                        (hit.pixel * inputs + inner, (index % outputs * taps + hit.tap) * inputs + inner)
                    }
                }
            }, arrange: { [shapeInput, $1, $0, $2] })
    }
}

extension LinearScheme {
    /// Without the option for an int32 bias, sums have 64 bits whatever the bias has.
    var withWideBias: LinearScheme {
        guard activation == .int16 else { return self }
        var scheme = self
        scheme.bias = .int64
        return scheme
    }
}

/// Input, filter and bias of one layer, after a scheme.
struct LinearTensors {
    let input: TestTensor
    let filter: TestTensor
    let bias: TestTensor?

    init(
        _ scheme: LinearScheme, input inputShape: [Int], filter filterShape: [Int], channels: Int, dimension: Int,
        seed: UInt64
    ) throws {
        input = try TestTensor(
            scheme.activation, inputShape, scales: [scheme.activation == .int16 ? 0.0003 : 0.037],
            zeroPoint: scheme.inputZeroPoint, span: 2.5, seed: seed &* 3 &+ 1)
        let scales = (0..<(scheme.perChannel ? channels : 1)).map { 0.011 + 0.0017 * Float($0) }
        filter = try TestTensor(
            scheme.weight, filterShape, scales: scales, zeroPoint: scheme.weightZeroPoint,
            dimension: scheme.perChannel ? dimension : 0, seed: seed &* 3 &+ 2)
        guard let type = scheme.bias else {
            bias = nil
            return
        }
        let inputScale = input.info.quantization?.scales[0] ?? 1
        var numbers = try TestTensor(type == .float32 ? .float32 : .int16, [channels], seed: seed &* 3 &+ 3)
        if type != .float32 {
            numbers.info.type = type
            numbers.info.constant =
                type == .int32
                ? try Bytes(copying: numbers.stored.map { Int32($0) })
                : try Bytes(copying: numbers.stored.map { Int64($0) })
            numbers.info.quantization = Quantization(scales: scales.map { inputScale * $0 }, dimension: 0)
            numbers.real = numbers.stored.indices.map {
                numbers.stored[$0] * Double(inputScale) * Double(scales[scales.count == 1 ? 0 : $0])
            }
        }
        bias = numbers
    }
}
