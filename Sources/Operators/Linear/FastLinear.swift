import Kernels
import Model

/// A layer made of micro-kernels: packed weights and everything else decided.
protocol PackedLayer: KernelLayer {
    var kernelName: String { get }
    func stage(_ finish: Finish) throws(Failure) -> CascadeStage?
}

extension PackedLayer {
    func stage(_ finish: Finish) throws(Failure) -> CascadeStage? { nil }
}

extension FloatConvolution: PackedLayer {}
extension BfloatConvolution: PackedLayer {}
extension FloatDepthwise: PackedLayer {}
extension ByteConvolution: PackedLayer {}
extension ByteDepthwise: PackedLayer {}
extension ShortConvolution: PackedLayer {}
extension ShortDepthwise: PackedLayer {}
extension HybridConvolution: PackedLayer {}
extension HybridDepthwise: PackedLayer {}

/// The fast arithmetic by micro-kernels. They take constant weights and clamping activations; other layers run by the
/// plain definition, which gives the same bits for integers.
extension LinearLayer {
    func fastKernel() throws(Failure) -> Kernel? {
        if let kernel = try liveKernel() { return kernel }
        guard let (weights, bias) = try packable(), let kernel = try fastKernel(weights, bias) else { return nil }
        op.packed = weights.storage
        return kernel
    }

    /// The same with weights [outputChannels, depth] of eight or more bits; nil: there is no kernel for such a layer.
    func fastKernel(_ weights: Bytes, _ bias: Bytes?) throws(Failure) -> Kernel? {
        switch (input.type, filter.type, output.type) {
        case (.float32, .float32, .float32), (.bfloat16, .float32, .float32), (.float32, .float32, .bfloat16),
            (.bfloat16, .float32, .bfloat16):
            try floatKernel(weights, bias)
        case (.int8, .int8, .int8), (.int8, .int4, .int8), (.int8, .int2, .int8), (.uint8, .uint8, .uint8):
            try byteKernel(weights, bias?.array(of: Int32.self))
        case (.int16, .int8, .int16), (.int16, .int4, .int16), (.int16, .int2, .int16):
            try shortKernel(weights, self.bias?.integers.map { $0.map { Int64($0) } })
        case (.float32, .int8, .float32), (.float32, .uint8, .float32), (.float32, .int4, .float32),
            (.float32, .int2, .float32):
            try hybridKernel(weights, bias?.array(of: Float.self))
        default: nil
        }
    }

    /// Which images of this layer can be bfloat16 in memory where it is asked to compute in it.
    private var rounding: RoundedImages {
        switch windows.form {
        case .convolution: BfloatConvolution.rounding(shape)
        case .depthwise: FloatDepthwise.rounding(depthwiseShape)
        case .transposed: RoundedImages()
        }
    }

    private func floatKernel(_ weights: Bytes, _ bias: Bytes?) throws(Failure) -> Kernel? {
        let (minimum, maximum) = activation.floatRange
        if op.wantsRounding {
            op.rounding = rounding
            return { _ in }
        }
        var rounded = RoundedImages()
        (rounded.input, rounded.output) = (input.type == .bfloat16, output.type == .bfloat16)
        if rounded.input || rounded.output {
            guard op.roundsToBfloat, rounding.input || !rounded.input, rounding.output || !rounded.output else {
                return nil
            }
        }
        switch windows.form {
        case .convolution, .transposed:
            if op.roundsToBfloat, BfloatConvolution.suits(shape) {
                return try deploy(weights, elementSize: 4) { shape, weights throws(Failure) in
                    try BfloatConvolution(
                        shape, weights: weights, bias: bias, minimum: minimum, maximum: maximum, rounded: rounded,
                        cache: op.weights, threads: op.threadCount)
                }
            }
            return try deploy(weights, elementSize: 4) { shape, weights throws(Failure) in
                if op.autotune {
                    return try FloatConvolution.tuned(
                        shape, weights: weights, bias: bias, minimum: minimum, maximum: maximum, cache: op.weights,
                        threads: op.threadCount)
                }
                return try FloatConvolution(
                    shape, weights: weights, bias: bias, minimum: minimum, maximum: maximum, cache: op.weights,
                    threads: op.threadCount)
            }
        case .depthwise:
            if op.autotune, !rounded.input, !rounded.output {
                return try launch(
                    try FloatDepthwise.tuned(
                        depthwiseShape, weights: weights, bias: bias, minimum: minimum, maximum: maximum,
                        cache: op.weights, threads: op.threadCount))
            }
            return try launch(
                try FloatDepthwise(
                    depthwiseShape, weights: weights, bias: bias, minimum: minimum, maximum: maximum,
                    rounded: rounded, cache: op.weights, threads: op.threadCount))
        }
    }

    private func byteKernel(_ weights: Bytes, _ bias: [Int32]?) throws(Failure) -> Kernel? {
        let signed = input.type == .int8
        let requantization = try requantization()
        switch windows.form {
        case .convolution, .transposed:
            return try deploy(weights, elementSize: 1) { shape, weights throws(Failure) in
                if op.autotune {
                    return try ByteConvolution.tuned(
                        shape, weights: weights, weightsAreSigned: signed, bias: bias, requantization: requantization,
                        activationsAreSigned: signed, cache: op.weights, threads: op.threadCount)
                }
                return try ByteConvolution(
                    shape, weights: weights, weightsAreSigned: signed, bias: bias, requantization: requantization,
                    activationsAreSigned: signed, cache: op.weights, threads: op.threadCount)
            }
        case .depthwise:
            if op.autotune {
                return try launch(
                    try ByteDepthwise.tuned(
                        depthwiseShape, weights: weights, weightsAreSigned: signed, bias: bias,
                        requantization: requantization, activationsAreSigned: signed, cache: op.weights,
                        threads: op.threadCount))
            }
            return try launch(
                try ByteDepthwise(
                    depthwiseShape, weights: weights, weightsAreSigned: signed, bias: bias,
                    requantization: requantization, activationsAreSigned: signed, cache: op.weights,
                    threads: op.threadCount))
        }
    }

    private func shortKernel(_ weights: Bytes, _ bias: [Int64]?) throws(Failure) -> Kernel? {
        let requantization = try requantization()
        guard requantization.weightZeroPoint == 0 else { return nil }
        switch windows.form {
        case .convolution, .transposed:
            return try deploy(weights, elementSize: 1) { shape, weights throws(Failure) in
                try ShortConvolution(
                    shape, weights: weights, bias: bias, requantization: requantization, cache: op.weights,
                    threads: op.threadCount)
            }
        case .depthwise:
            return try launch(
                try ShortDepthwise(
                    depthwiseShape, weights: weights, bias: bias, requantization: requantization, cache: op.weights,
                    threads: op.threadCount))
        }
    }

    private func hybridKernel(_ weights: Bytes, _ bias: [Float]?) throws(Failure) -> Kernel? {
        let bits = multipliesHalves ? filter.type.bits ?? 8 : 8
        guard blockSize == nil || bits < 8 else { return nil }
        let (minimum, maximum) = activation.floatRange
        let scales = if let blockSize { try blockScales(blockSize) } else { try hybridScales() }
        switch windows.form {
        case .convolution, .transposed:
            let make = { shape, weights throws(Failure) in
                try HybridConvolution(
                    shape,
                    weights: HybridWeights(
                        weights, bits: bits, scales: scales,
                        blockSize: blockSize),
                    bias: bias, minimum: minimum, maximum: maximum, asymmetric: conventions.asymmetricInputs,
                    cache: op.weights, threads: op.threadCount)
            }
            guard windows.form == .convolution else { return try deploy(weights, elementSize: 1, make) }
            return try launch(sharing: try make(shape, weights))
        case .depthwise:
            return try launch(
                try HybridDepthwise(
                    depthwiseShape, weights: weights, weightScales: scales, bias: bias, minimum: minimum,
                    maximum: maximum, asymmetric: conventions.asymmetricInputs, cache: op.weights,
                    threads: op.threadCount))
        }
    }

    private func requantization() throws(Failure) -> Kernels.Requantization {
        let weights = try weightQuantization()
        let stage = try outputStage(weights)
        guard case .single(let scales) = stage.factors else { throw op.unsupportedTypes() }
        return Kernels.Requantization(
            scales: scales, inputZeroPoint: input.zeroPoint, weightZeroPoint: weights.zeroPoint,
            outputZeroPoint: stage.zeroPoint, outputMinimum: stage.minimum, outputMaximum: stage.maximum)
    }

    /// The depthwise kernels take it for granted that each channel is a group.
    private var depthwiseShape: ConvolutionShape {
        var shape = shape
        shape.groups = 1
        return shape
    }

    /// Is there a kernel for weights of fewer than 8 bits as they are?
    private var multipliesHalves: Bool {
        guard input.type == .float32, filter.type == .int4 || filter.type == .int2 else { return false }
        return windows.form == .convolution
            && HybridConvolution.multipliesHalves(
                shape, blockSize: blockSize, scales: filter.blockScales)
    }

    /// The constants to pack, cut to size; weights of fewer than 8 bits as int8 where no kernel takes them as they are.
    private func packable() throws(Failure) -> (weights: Bytes, bias: Bytes?)? {
        guard op.arithmetic == .fast, activation.isClamp, input.count > 0, output.count > 0, filter.count > 0,
            let stored = filter.bytes
        else { return nil }
        let weights =
            try multipliesHalves
            ? stored : WeightSource(op, input: roles.filter, filter: filter).unpacked ?? stored
        guard let bias else { return (weights, nil) }
        guard let bytes = bias.bytes else { return nil }
        return (weights, bytes)
    }

    /// A convolution as it is, or as the parts that a transposed one falls into.
    private func deploy<Layer: PackedLayer>(
        _ weights: Bytes, elementSize: Int, _ make: (ConvolutionShape, Bytes) throws(Failure) -> Layer
    ) throws(Failure) -> Kernel? {
        guard windows.form == .transposed else { return try launch(try make(shape, weights)) }
        guard let parts = try parts(weights, elementSize: elementSize) else { return nil }
        var layers: [DenseLayer] = []
        for part in parts { layers.append(DenseLayer(try make(part.shape, part.weights), input: roles.input)) }
        return transposedKernel(parts, layers)
    }

    private func launch<Layer: PackedLayer>(_ layer: Layer) throws(Failure) -> Kernel {
        try Self.launch(layer, op, input: roles.input)
    }

    /// What another reader of the same activations has quantized is not quantized again.
    private func launch(sharing layer: HybridConvolution) throws(Failure) -> Kernel {
        guard layer.sharesQuantized, roles.input == 0 else { return try launch(layer) }
        op.kernelName = layer.kernelName
        let (quantized, isThere) = op.scratch(for: layer.quantizer)
        let scratch = op.scratch(bytes: layer.productByteCount)
        let (finish, operand) = op.takeFinish()
        return { io throws(Failure) in
            var y = io.output(as: Float.self)
            var rows = io.scratch(quantized, as: UInt8.self)
            var workspace = io.scratch(scratch, as: UInt8.self)
            layer.run(
                io.input(0, as: Float.self), &y, quantized: &rows, isQuantized: isThere, scratch: &workspace,
                finish: finish.on(io, operand: operand), pool: io.pool)
        }
    }

    /// The layer as a kernel of `op`, whose activations are input `inputIndex`.
    static func launch<Layer: PackedLayer>(
        _ layer: Layer, _ op: Preparation, input inputIndex: Int
    ) throws(Failure) -> Kernel {
        op.kernelName = layer.kernelName
        let scratch = op.scratch(bytes: layer.scratchByteCount)
        let (finish, operand) = op.takeFinish()
        if op.wantsStage, !finish.hasSecond {
            op.stage = try layer.stage(finish).map { LayerStage(stage: $0, operand: operand) }
        }
        return { io throws(Failure) in
            var y = io.output(as: Layer.Output.self)
            var workspace = io.scratch(scratch, as: UInt8.self)
            layer.run(
                io.input(inputIndex, as: Layer.Input.self), &y, scratch: &workspace,
                finish: finish.on(io, operand: operand), pool: io.pool)
        }
    }
}

extension TensorInfo {
    /// The data of a constant, no longer than the shape says.
    var bytes: Bytes? {
        guard let constant, let size = type.byteCount(count) else { return nil }
        return constant.slice(offset: 0, count: size)
    }
}
