import CKernels
import Model

/// CONV_2D and FULLY_CONNECTED with int16 activations and int8 weights (16x8), with groups: sums are exact in 64 bits,
/// and requantized as `Requantization` says. The same bits on every machine. Instances are immutable: any thread.
package final class ShortConvolution: @unchecked Sendable {
    package let kernelName: String
    /// What `run` needs for `threads` threads.
    package var scratchByteCount: Int { plan.scratchByteCount }

    private let plan: ConvolutionPlan
    private let packed: Storage
    private let parameters: eo_s16_parameters

    /// `weights`: OHWI int8 [outputChannels, kernelHeight, kernelWidth, inputChannels / groups]; `bias`:
    /// [outputChannels] or nil. The zero points of input and weights must be 0. `threads`: for how many threads scratch
    /// memory is asked.
    package init(
        _ shape: ConvolutionShape, weights: Bytes, bias: [Int64]?, requantization: Requantization,
        cache: PackedWeightCache, threads: Int = 4
    ) throws(Failure) {
        try shape.check()
        let (depth, outputs) = (shape.depth, shape.groupOutputs)
        try expect(weights, "weights", count: shape.outputChannels * depth, size: 1)
        let scales = try requantization.shortScales(shape.outputChannels)
        let bias = try expect(bias, count: shape.outputChannels)
        let row = eo_s16_gemm_for(depth)
        let kernel = row.pointee
        plan = ConvolutionPlan(
            shape, run: kernel.run, mr: kernel.mr, nr: kernel.nr,
            blockSize: eo_s16_gemm_packed_size(row, depth, 1),
            rows: .init(
                inputSize: 2, outputSize: 2, multiple: eo_s16_depth_step(kernel.isa),
                split: eo_gemm_takes_split_rows(kernel.isa)),
            slots: threads)
        let groupSize = plan.context.group_size
        let form: Sentence =
            "s16_gemm \(Int(kernel.isa.rawValue)) \(kernel.nr) \(depth)x\(outputs)x\(shape.groups) \(digest(bias)) \(digest(scales))"
        packed = try cache.packed(weights, form: form, count: groupSize * shape.groups) { base in
            bias.withUnsafeBufferPointer { bias in
                scales.withUnsafeBufferPointer { scales in
                    for group in 0..<shape.groups {
                        eo_s16_gemm_pack(
                            row, depth, outputs,
                            (weights.baseAddress + group * outputs * depth).assumingMemoryBound(to: UInt8.self),
                            scales.baseAddress! + group * outputs, bias.baseAddress! + group * outputs,
                            base + group * groupSize)
                    }
                }
            }
        }
        var parameters = requantization.shortParameters
        parameters.sums_fit_32 =
            scales.allSatisfy { $0 < 1 }
            && eo_s16_sums_fit_32(
                depth, shape.outputChannels, weights.baseAddress.assumingMemoryBound(to: UInt8.self), bias)
        self.parameters = parameters
        kernelName = String(cString: kernel.name)
    }

    /// `input` and `output`: NHWC. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<Int16>, _ output: inout MutableSpan<Int16>, scratch: inout MutableSpan<UInt8>,
        finish: Finish = Finish(), pool: ThreadPool
    ) {
        plan.run(input, &output, packed, parameters, scratch: &scratch, finish: finish, pool: pool)
    }
}

extension Requantization {
    func shortScales(_ channels: Int) throws(Failure) -> [Float] {
        try channelScales(channels, inputs: 0...0, weights: 0...0, outputs: -32768...32767)
    }

    var shortParameters: eo_s16_parameters {
        eo_s16_parameters(
            minimum: Float(outputMinimum - outputZeroPoint), maximum: Float(outputMaximum - outputZeroPoint),
            output_zero_point: Int32(outputZeroPoint), sums_fit_32: false, leaves_f: false)
    }
}
