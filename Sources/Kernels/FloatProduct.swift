import CKernels
import Model

/// The dense products of floats: one kernel of floats, one of their parts on tiles, in the same words.
struct FloatProduct: Sendable {
    let name: String
    /// Of packed weights.
    let form: String
    let run: @convention(c) (UnsafePointer<eo_gemm_tile>) -> Void
    let mr: Int32
    let nr: Int32
    let rows: ConvolutionPlan.Rows
    /// Bytes for (depth, columns).
    let packedSize: @Sendable (Int, Int) -> Int
    /// (depth, columns, weights, bias, packed), as eo_f32_gemm_pack.
    let pack: @Sendable (Int, Int, UnsafeRawPointer, UnsafeRawPointer?, UnsafeMutableRawPointer) -> Void

    static let floats: FloatProduct = {
        let kernel = eo_f32_gemm_best().pointee
        let nr = kernel.nr
        return FloatProduct(
            name: String(cString: kernel.name), form: "f32_gemm", run: kernel.run, mr: kernel.mr, nr: nr,
            rows: .init(inputSize: 4, outputSize: 4, pieces: true),
            packedSize: { eo_f32_gemm_packed_size(nr, $0, $1) },
            pack: { eo_f32_gemm_pack(nr, $0, $1, $2, $3, $4) })
    }()

    static let parts: FloatProduct = {
        let kernel = eo_bf16x3_gemm_best()
        return FloatProduct(
            name: String(cString: kernel.pointee.name), form: "bf16x3_gemm", run: kernel.pointee.run,
            mr: kernel.pointee.mr, nr: kernel.pointee.nr,
            rows: .init(
                inputSize: 4, outputSize: 4, multiple: Int(EO_BF16X3_STEP), parts: true),
            packedSize: { eo_bf16x3_gemm_packed_size(eo_bf16x3_gemm_best(), $0, $1) },
            pack: { eo_bf16x3_gemm_pack(eo_bf16x3_gemm_best(), $0, $1, $2, $3, $4) })
    }()
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
    /// as long as some rows; in parts they are half as large again.
    var isFasterInParts: Bool {
        guard suitsParts else { return false }
        let (split, result, product) = (20.0, 10.0, 0.42)
        let (rows, depth, columns) = (Double(batch * outputHeight * outputWidth), Double(depth), Double(groupOutputs))
        let memoryRows = 60.0
        let filled = product * (depth / 32).rounded(.up) * 32 * (columns / 32).rounded(.up) * 32
        let parts = max(rows * (filled + split * depth + result * columns), 1.5 * memoryRows * depth * columns)
        return 1.15 * parts < max(rows, memoryRows) * depth * columns
    }
}
