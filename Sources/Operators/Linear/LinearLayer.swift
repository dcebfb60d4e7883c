import Kernels
import Model

/// Inputs times weights plus bias: what CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED are once their
/// geometry is known. Checks the tensors, chooses the arithmetic by their types, and makes the kernel.
struct LinearLayer {
    /// Which inputs of the operator are what.
    struct Roles: Sendable {
        var input = 0
        var filter = 1
        var bias = 2
        /// Dimension of the filter that per-channel scales run along.
        var channelDimension = 0
        /// Of a layer of a model in a file. Where quantization is simulated scales follow.
        var count: Int { max(input, filter, bias) + 1 }
    }
    /// Where operators differ in how their reference kernels compute.
    struct Conventions: Sendable {
        /// Requantization in IEEE double instead of fixed point.
        var requantizesInDouble = false
        /// Dynamic range: whether inputs are quantized asymmetrically.
        var asymmetricInputs = true
        /// 16-bit activations: reference sums wrap at 32 bits.
        var sumsInInt32 = false
    }

    let op: Preparation
    let windows: Windows
    let roles: Roles
    let conventions: Conventions
    let activation: FusedActivation
    let input: TensorInfo
    let filter: TensorInfo
    let bias: TensorInfo?
    let output: TensorInfo

    init(
        _ op: Preparation, _ windows: Windows, roles: Roles = Roles(), conventions: Conventions = Conventions(),
        activation: FusedActivation
    ) throws(Failure) {
        self.op = op
        self.windows = windows
        self.roles = roles
        self.conventions = conventions
        self.activation = activation
        input = try op.input(roles.input)
        filter = try op.input(roles.filter)
        bias = op.hasInput(roles.bias) ? try op.input(roles.bias) : nil
        output = try op.output()
        try checkSizes()
    }

    var shape: ConvolutionShape { windows.shape }
    var channels: Int { shape.outputChannels }

    /// What `invoke` will run.
    func kernel() throws(Failure) -> Kernel {
        if op.customOptions != nil, op.inputs.count > roles.count { return try simulatedKernel() }
        if let kernel = try fastKernel() { return kernel }
        return switch (input.type, filter.type, output.type) {
        case (.float32, .float32, .float32): try floatKernel()
        case (.float32, .int8, .float32), (.float32, .uint8, .float32), (.float32, .int4, .float32),
            (.float32, .int2, .float32):
            if let blockSize { try blockwiseKernel(blockSize) } else { try hybridKernel() }
        case (.int8, .int8, .int8), (.int8, .int4, .int8), (.int8, .int2, .int8):
            try integerKernel(Int8.self, Int8.self, Int8.self, wideSums: false)
        case (.uint8, .uint8, .uint8): try integerKernel(UInt8.self, UInt8.self, UInt8.self, wideSums: false)
        case (.uint8, .uint8, .int16): try integerKernel(UInt8.self, UInt8.self, Int16.self, wideSums: false)
        case (.int16, .int8, .int16), (.int16, .int4, .int16), (.int16, .int2, .int16):
            try integerKernel(
                Int16.self, Int8.self, Int16.self,
                wideSums: !(conventions.sumsInInt32 && op.arithmetic == .reference))
        case (.int16, .int16, .int16): try integerKernel(Int16.self, Int16.self, Int16.self, wideSums: true)
        default: throw op.unsupportedTypes()
        }
    }

    private func checkSizes() throws(Failure) {
        if let bias {
            guard bias.count == channels else {
                throw op.invalid("bias \(bias.described) must have one element for each of \(channels) output channels")
            }
            let fits =
                switch input.type {
                case .float32, .bfloat16: bias.type == .float32
                case .int16: bias.type == .int64 || bias.type == .int32
                default: bias.type == .int32
                }
            guard fits else {
                throw op.unsupported("bias \(bias.described) does not go with input \(input.described)")
            }
        }
        for tensor in [input, filter, bias] {
            guard let tensor, let data = tensor.constant else { continue }
            guard let size = tensor.type.byteCount(tensor.count), data.count >= size else {
                throw op.invalid("\(tensor.described) has only \(data.count) bytes of data")
            }
        }
    }
}

/// Weights as a kernel reads them: an input of the operator, or a constant unpacked to int8 beforehand.
struct WeightSource: Sendable {
    let input: Int
    let unpacked: Bytes?

    init(_ op: Preparation, input: Int, filter: TensorInfo) throws(Failure) {
        self.input = input
        guard let bits = filter.type.bits, bits < 8 else {
            unpacked = nil
            return
        }
        guard let packed = filter.constant else {
            throw op.unsupported("weights \(filter.described) of \(bits) bits must be constant")
        }
        unpacked = try PackedIntegers.unpacked(packed, bits: bits, count: filter.count, cache: op.weights)
    }

    @inline(__always)
    @_lifetime(borrow self, borrow io)
    func span<W: BitwiseCopyable>(_ io: borrowing Invocation, as type: W.Type) -> Span<W> {
        guard let unpacked else { return io.input(input, as: W.self) }
        let span = Span<W>(_bytes: unpacked.span)
        return unsafe _overrideLifetime(span, borrowing: self)
    }
}

/// Integer bias, read where it lies; zero if there is none.
struct IntegerBias: Sendable {
    let input: Int?
    let isWide: Bool

    @inline(never)
    func value(_ io: borrowing Invocation, _ channel: Int) -> Int64 {
        guard let input else { return 0 }
        return isWide ? io.input(input, as: Int64.self)[channel] : Int64(io.input(input, as: Int32.self)[channel])
    }
}
