import CKernels
import Model

/// CONV_2D and FULLY_CONNECTED with 8-bit activations and weights, with groups: int32 sums, requantized as
/// `Requantization` says. The same bits on every machine. Instances are immutable: any thread.
package final class ByteConvolution: @unchecked Sendable {
    /// Which micro-kernel runs.
    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package var scratchByteCount: Int {
        switch form {
        case .direct(let plan): plan.scratchByteCount
        case .winograd(let plan): plan.scratchByteCount
        }
    }

    /// Not copied when it runs.
    private enum Form: ~Copyable {
        case direct(ConvolutionPlan)
        case winograd(ByteWinogradPlan)
    }
    private let form: Form
    private let packed: Storage
    private let parameters: eo_u8_gemm_parameters

    /// `weights`: OHWI int8 or uint8 [outputChannels, kernelHeight, kernelWidth, inputChannels / groups]; `bias`:
    /// [outputChannels] or nil. Input and output are both int8 if `activationsAreSigned`, otherwise both uint8.
    /// `threads`: for how many threads scratch memory is asked. `form`: one of `forms`; nil: the one thought fastest.
    package init(
        _ shape: ConvolutionShape, weights: Bytes, weightsAreSigned: Bool, bias: [Int32]?,
        requantization: Requantization, activationsAreSigned: Bool, cache: PackedWeightCache, threads: Int = 4,
        form: Int? = nil
    ) throws(Failure) {
        try shape.check()
        let depth = shape.depth
        try expect(weights, "weights", count: shape.outputChannels * depth, size: 1)
        let kernel = Self.kernel(form)
        let (isa, nr) = (kernel.pointee.isa, kernel.pointee.nr)
        let layer = try Layer(
            shape, weights, weightsAreSigned: weightsAreSigned, bias, requantization,
            activationsAreSigned: activationsAreSigned, isa)
        let (zero, scales) = (layer.zero, layer.scales)
        var parameters = requantization.byteParameters(weightZeroPoint: zero.weight)
        parameters.rows_are_signed = activationsAreSigned
        parameters.scales_below_one = scales.allSatisfy { $0 < 1 }
        self.parameters = parameters

        let pieces = isa == ISA_AMX && zero.weight == 0 && (form ?? 0) % 2 == 0 ? shape.pieces : 0
        let plan = ConvolutionPlan(
            shape, run: kernel.pointee.run, mr: kernel.pointee.mr, nr: nr,
            blockSize: eo_u8_gemm_packed_size(kernel, depth, 1, max(1, pieces)),
            rows: .init(
                inputSize: 1, outputSize: 1, multiple: eo_gemm_depth_step(isa), isa: isa,
                byLines: pieces, padding: zero.padding, flip: zero.activationFlip),
            slots: threads)
        let groupSize = plan.context.group_size
        let (size, name) = (
            groupSize * shape.groups, "u8_gemm \(Int(isa.rawValue)) \(nr) \(pieces) \(layer.form)" as Sentence
        )
        // Of weights that are packed already it is known, and they need not be read.
        if Self.prefersFilter(shape, isa, form), !cache.isPacked(weights, form: name, count: size),
            let (filter, weights) = try layer.filter(cache, slots: threads)
        {
            self.form = .winograd(filter)
            packed = weights
            kernelName = ByteWinogradPlan.kernelName
            return
        }
        packed = try cache.packed(weights, form: name, count: size) { base in
            for group in 0..<shape.groups {
                layer.withSource(zero, group: group, pieces: max(1, pieces)) { source in
                    eo_u8_gemm_pack(kernel, &source, base + group * groupSize)
                }
            }
        }
        self.form = .direct(plan)
        kernelName = String(cString: kernel.pointee.name)
    }

    /// The number of Winograd's filtering among `forms`: no kernel of tiles, which alone have odd ones.
    static let filtered = 2 * Int(ISA_SCALAR.rawValue) + 1

    private static func prefersFilter(_ shape: ConvolutionShape, _ isa: kernels_isa, _ form: Int?) -> Bool {
        var window = shape.window
        return form.map { $0 == filtered } ?? eo_u8_winograd_is_faster(&window, isa)
    }

    /// What packing needs of a layer.
    private struct Layer {
        let shape: ConvolutionShape
        let weights: Bytes
        let bias: [Int32]
        let scales: [Float]
        let zero: ByteZeroPoints
        /// The same for kernels whose rows are unsigned.
        let unsignedZero: ByteZeroPoints

        init(
            _ shape: ConvolutionShape, _ weights: Bytes, weightsAreSigned: Bool, _ bias: [Int32]?,
            _ requantization: Requantization, activationsAreSigned: Bool, _ isa: kernels_isa
        ) throws(Failure) {
            (self.shape, self.weights) = (shape, weights)
            zero = try ByteZeroPoints(
                requantization, weightsAreSigned: weightsAreSigned, activationsAreSigned: activationsAreSigned,
                isa: isa)
            unsignedZero = try ByteZeroPoints(
                requantization, weightsAreSigned: weightsAreSigned, activationsAreSigned: activationsAreSigned)
            scales = try requantization.channelScales(
                shape.outputChannels, inputs: zero.activations, weights: zero.weights, outputs: zero.activations)
            self.bias = try expect(bias, count: shape.outputChannels)
        }

        /// All that packing depends on.
        var form: Sentence {
            "\(shape.depth)x\(shape.groupOutputs)x\(shape.groups) \(zero.form) \(digest(bias)) \(digest(scales))"
        }

        func withSource<R>(
            _ zero: ByteZeroPoints, group: Int = 0, pieces: Int = 1, _ body: (inout eo_u8_gemm_weights) -> R
        ) -> R {
            let (depth, outputs) = (shape.depth, shape.groupOutputs)
            return bias.withUnsafeBufferPointer { bias in
                scales.withUnsafeBufferPointer { scales in
                    var source = zero.source(
                        weights.baseAddress + group * outputs * depth, depth: depth, columns: outputs,
                        bias: bias.baseAddress! + group * outputs, scales: scales.baseAddress! + group * outputs,
                        pieces: pieces)
                    return body(&source)
                }
            }
        }

        /// Winograd's filtering and its weights; nil: sums may be too large for it.
        func filter(_ cache: PackedWeightCache, slots: Int) throws(Failure) -> (ByteWinogradPlan, Storage)? {
            try ByteWinogradPlan.packing(
                shape, weights, unsignedZero, bias: nil, form: "u8_winograd \(form)", cache, slots: slots
            ) { body in withSource(unsignedZero) { body(&$0) } }
        }
    }

    /// `input` and `output`: NHWC bytes, int8 or uint8 as `init` was told. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<UInt8>, _ output: inout MutableSpan<UInt8>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        switch form {
        case .direct(let plan):
            plan.run(input, &output, packed, parameters, scratch: &scratch, finish: finish, pool: pool)
        case .winograd(let plan):
            plan.run(input, &output, packed, parameters, scratch: &scratch, finish: finish, pool: pool)
        }
    }
}

/// Most kernels multiply uint8 activations by int8 weights. What is otherwise is xored with 0x80, which adds or takes
/// off 128, and so does its zero point.
struct ByteZeroPoints {
    let activations: ClosedRange<Int>
    let weights: ClosedRange<Int>
    let activationFlip: UInt8
    let weightFlip: UInt8
    /// Of the activations after the xor.
    let input: Int32
    /// Of the weights as int8.
    let weight: Int32
    /// The byte of padding: after the xor.
    var padding: UInt8 { UInt8(truncatingIfNeeded: input) }

    /// `isa`: of the kernel, which may want signed activations or unsigned ones.
    init(
        _ requantization: Requantization, weightsAreSigned: Bool, activationsAreSigned: Bool,
        isa: kernels_isa = ISA_SCALAR
    ) throws(Failure) {
        let signed = -128...127
        let unsigned = 0...255
        activations = activationsAreSigned ? signed : unsigned
        weights = weightsAreSigned ? signed : unsigned
        guard activations.contains(requantization.inputZeroPoint), weights.contains(requantization.weightZeroPoint)
        else {
            throw .invalidModel(
                "zero points \(requantization.inputZeroPoint) (input) or \(requantization.weightZeroPoint) (weights) "
                    + "are outside their types")
        }
        let flips = activationsAreSigned ? !eo_gemm_takes_signed_rows(isa) : !eo_gemm_takes_unsigned_rows(isa)
        activationFlip = flips ? 0x80 : 0
        weightFlip = weightsAreSigned ? 0 : 0x80
        input = Int32(requantization.inputZeroPoint + (flips ? (activationsAreSigned ? 128 : -128) : 0))
        weight = Int32(requantization.weightZeroPoint - (weightsAreSigned ? 0 : 128))
    }

    func source(
        _ weights: UnsafeRawPointer, depth: Int, columns: Int, bias: UnsafePointer<Int32>, scales: UnsafePointer<Float>,
        pieces: Int = 1
    ) -> eo_u8_gemm_weights {
        eo_u8_gemm_weights(
            depth: depth, columns: columns, weights: weights.assumingMemoryBound(to: UInt8.self), flip: weightFlip,
            weight_zero_point: weight, input_zero_point: input, bias: bias, scale: scales,
            pieces: pieces)
    }

    /// All that packing depends on.
    var form: Sentence { "\(activationFlip) \(weightFlip) \(input) \(weight)" }
}

extension Requantization {
    func byteParameters(weightZeroPoint: Int32) -> eo_u8_gemm_parameters {
        eo_u8_gemm_parameters(
            minimum: Float(outputMinimum - outputZeroPoint), maximum: Float(outputMaximum - outputZeroPoint),
            output_zero_point: Int32(outputZeroPoint), weight_zero_point: weightZeroPoint, rows_are_signed: false,
            scales_below_one: false)
    }
}
