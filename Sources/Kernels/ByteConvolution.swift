import CKernels
import Model

/// CONV_2D and FULLY_CONNECTED with 8-bit activations and weights, with groups: int32 sums, requantized as
/// `Requantization` says. The same bits on every machine. Instances are immutable: any thread.
package final class ByteConvolution: @unchecked Sendable {
    /// Which micro-kernel runs.
    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package var scratchByteCount: Int { plan.scratchByteCount }

    private let plan: ConvolutionPlan
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
        let (depth, outputs) = (shape.depth, shape.groupOutputs)
        try expect(weights, "weights", count: shape.outputChannels * depth, size: 1)
        let kernel = Self.kernel(form)
        let (isa, nr) = (kernel.pointee.isa, kernel.pointee.nr)
        let zero = try ByteZeroPoints(
            requantization, weightsAreSigned: weightsAreSigned, activationsAreSigned: activationsAreSigned,
            isa: isa)
        let scales = try requantization.channelScales(
            shape.outputChannels, inputs: zero.activations, weights: zero.weights, outputs: zero.activations)
        let bias = try expect(bias, count: shape.outputChannels)
        let pieces = isa == ISA_AMX && zero.weight == 0 && (form ?? 0) % 2 == 0 ? shape.pieces : 0
        plan = ConvolutionPlan(
            shape, run: kernel.pointee.run, mr: kernel.pointee.mr, nr: nr,
            blockSize: eo_u8_gemm_packed_size(kernel, depth, 1, max(1, pieces)),
            rows: .init(
                inputSize: 1, outputSize: 1, multiple: eo_gemm_depth_step(isa), wide: eo_gemm_takes_wide_rows(isa),
                byLines: pieces, padding: zero.padding, flip: zero.activationFlip),
            slots: threads)
        let groupSize = plan.context.group_size
        let form: Sentence =
            "u8_gemm \(Int(isa.rawValue)) \(nr) \(depth)x\(outputs)x\(shape.groups) \(pieces) \(zero.form) \(digest(bias)) \(digest(scales))"
        packed = try cache.packed(weights, form: form, count: groupSize * shape.groups) { base in
            bias.withUnsafeBufferPointer { bias in
                scales.withUnsafeBufferPointer { scales in
                    for group in 0..<shape.groups {
                        var source = zero.source(
                            weights.baseAddress + group * outputs * depth, depth: depth, columns: outputs,
                            bias: bias.baseAddress! + group * outputs,
                            scales: scales.baseAddress! + group * outputs, pieces: max(1, pieces))
                        eo_u8_gemm_pack(kernel, &source, base + group * groupSize)
                    }
                }
            }
        }
        var parameters = requantization.byteParameters(weightZeroPoint: zero.weight)
        parameters.rows_are_signed = activationsAreSigned
        parameters.scales_below_one = scales.allSatisfy { $0 < 1 }
        self.parameters = parameters
        kernelName = String(cString: kernel.pointee.name)
    }

    /// `input` and `output`: NHWC bytes, int8 or uint8 as `init` was told. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<UInt8>, _ output: inout MutableSpan<UInt8>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        plan.run(input, &output, packed, parameters, scratch: &scratch, finish: finish, pool: pool)
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
