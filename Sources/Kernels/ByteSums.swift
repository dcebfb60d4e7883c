import CKernels
import Model

/// Rows of int8 activations times constant int8 weights [columns, depth], plus a bias: the sums themselves, as float32
/// rounded to nearest; up to 2^24 they are exact. Immutable: any thread.
package final class ByteSums: @unchecked Sendable {
    package let kernelName: String
    /// What `run` needs.
    package var scratchByteCount: Int { plan.scratchByteCount }

    private let plan: ConvolutionPlan
    private let packed: Storage
    private let parameters: eo_hybrid_gemm_parameters
    private let grid: eo_hybrid_row

    /// `bias`: for all columns. `zeroPoint`: of the activations.
    package init(
        rows: Int, depth: Int, _ weights: Bytes, bias: [Int32], zeroPoint: Int32, cache: PackedWeightCache, threads: Int
    ) throws(Failure) {
        var shape = ConvolutionShape()
        (shape.batch, shape.inputChannels, shape.outputChannels) = (rows, depth, bias.count)
        try shape.check()
        let columns = bias.count
        var kernel = eo_hybrid_gemm_best()
        // Tiles are for many rows.
        while kernel.pointee.isa == ISA_AMX, rows < 16 || !kernels_isa_available(kernel.pointee.isa) { kernel += 1 }
        let (isa, block) = (kernel.pointee.isa, eo_hybrid_gemm_packed_size(kernel, depth, 1, 1))
        let isUnsigned = eo_gemm_takes_unsigned_rows(isa)
        plan = ConvolutionPlan(
            shape, run: kernel.pointee.run, mr: kernel.pointee.mr, nr: kernel.pointee.nr, blockSize: block,
            rows: .init(
                inputSize: 1, outputSize: 4, multiple: eo_gemm_depth_step(isa), isa: isa,
                flip: isUnsigned ? 0x80 : 0),
            slots: threads)
        grid = eo_hybrid_one_grid(isa)
        parameters = eo_hybrid_gemm_parameters(minimum: -.infinity, maximum: .infinity, block: 0)
        kernelName = String(cString: kernel.pointee.name)

        try expect(weights, "weights", count: columns * depth, size: 1)
        let form: Sentence =
            "byte_sums \(Int(isa.rawValue)) \(kernel.pointee.nr) \(depth)x\(columns) \(Int(zeroPoint)) \(digest(bias))"
        let scales = [Float](repeating: 1, count: columns)
        packed = try cache.packed(weights, form: form, count: plan.context.group_size) { base in
            bias.withUnsafeBufferPointer { bias in
                scales.withUnsafeBufferPointer { scales in
                    var source = eo_u8_gemm_weights(
                        depth: depth, columns: columns,
                        weights: weights.baseAddress.assumingMemoryBound(to: UInt8.self), flip: 0, weight_zero_point: 0,
                        input_zero_point: zeroPoint + (isUnsigned ? 128 : 0), bias: bias.baseAddress,
                        scale: scales.baseAddress!, pieces: 1)
                    eo_hybrid_gemm_pack_one_grid(kernel, &source, base)
                }
            }
        }
    }

    /// `input`: [rows, depth]; `output`: [rows, columns]; `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<Int8>, _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        withUnsafePointer(to: grid) { grid in
            var plan = plan
            plan.context.row_parameters = UnsafeRawPointer(grid)
            plan.run(input, &output, packed, parameters, scratch: &scratch, pool: pool)
        }
    }
}
