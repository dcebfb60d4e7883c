import CKernels
import Model

/// The dense products of floats: a kernel of floats, and one of their parts on tiles. Both take the packed weights of
/// eo_f32_gemm.
enum FloatProduct {
    case floats
    case parts

    var run: @convention(c) (UnsafePointer<eo_gemm_tile>) -> Void {
        self == .parts ? eo_bf16x3_gemm_best().pointee.run : eo_f32_gemm_best().pointee.run
    }
    var mr: Int32 { self == .parts ? eo_bf16x3_gemm_best().pointee.mr : eo_f32_gemm_best().pointee.mr }
    var nr: Int32 { self == .parts ? eo_bf16x3_gemm_best().pointee.nr : eo_f32_gemm_best().pointee.nr }
    var name: String {
        String(cString: self == .parts ? eo_bf16x3_gemm_best().pointee.name : eo_f32_gemm_best().pointee.name)
    }
    var rows: ConvolutionPlan.Rows {
        .init(inputSize: 4, outputSize: 4, parts: self == .parts, pieces: self == .floats)
    }

    /// A convolution with everything decided but the addresses. `slots`: how many threads get scratch memory.
    func plan(_ shape: ConvolutionShape, slots: Int) -> ConvolutionPlan {
        ConvolutionPlan(
            shape, run: run, mr: mr, nr: nr, blockSize: eo_f32_gemm_packed_size(nr, shape.depth, 1), rows: rows,
            slots: slots)
    }
}

extension ConvolutionShape {
    /// Has this machine tiles, and do parts fill them?
    var suitsParts: Bool {
        eo_bf16x3_gemm_best().pointee.isa != ISA_SCALAR && inputChannels / groups >= 16 && depth >= 32
            && groupOutputs >= 32
            && batch * outputHeight * outputWidth >= 16
    }

    /// Do parts on tiles take clearly less time than floats? In multiply-adds of floats, as measured: parts' products are
    /// faster, of whole tiles, but rows are split and results rounded, each for so many. Weights that come from memory take
    /// as long as some rows.
    var isFasterInParts: Bool {
        guard suitsParts else { return false }
        let (split, result, product) = (20.0, 10.0, 0.42)
        let (rows, depth, columns) = (Double(batch * outputHeight * outputWidth), Double(depth), Double(groupOutputs))
        let memoryRows = 60.0
        let filled = product * (depth / 32).rounded(.up) * 32 * (columns / 32).rounded(.up) * 32
        let parts = max(rows * (filled + split * depth + result * columns), memoryRows * depth * columns)
        return 1.15 * parts < max(rows, memoryRows) * depth * columns
    }
}
