import CKernels
import Model

/// The dense products of floats: a kernel of floats, and one of their parts on tiles.
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
            shape, run: run, mr: mr, nr: nr, blockSize: packedSize(shape.depth, 1), rows: rows, slots: slots)
    }

    private func packedSize(_ depth: Int, _ columns: Int) -> Int {
        self == .parts
            ? eo_bf16x3_gemm_packed_size(depth, columns) : eo_f32_gemm_packed_size(nr, depth, columns)
    }

    private func form(_ shape: ConvolutionShape, _ bias: Bytes?) -> Sentence {
        let name = self == .parts ? "bf16x3_gemm" : "f32_gemm"
        return "\(name) \(nr) \(shape.depth)x\(shape.groupOutputs)x\(shape.groups) \(digest(bias))"
    }

    /// Would `pack` only find what it makes?
    func isPacked(_ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, cache: PackedWeightCache) -> Bool {
        let size = packedSize(shape.depth, shape.groupOutputs) * shape.groups
        return cache.isPacked(weights, form: form(shape, bias), count: size)
    }

    /// `weights`: OHWI float32, `bias`: float32, or nil.
    func pack(_ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, cache: PackedWeightCache) throws(Failure)
        -> Storage
    {
        let (depth, outputs) = (shape.depth, shape.groupOutputs)
        let groupSize = packedSize(depth, outputs)
        return try cache.packed(weights, form: form(shape, bias), count: groupSize * shape.groups) { base in
            for group in 0..<shape.groups {
                let weights = weights.baseAddress + group * outputs * depth * 4
                let bias = bias.map { $0.baseAddress + group * outputs * 4 }
                if self == .parts {
                    eo_bf16x3_gemm_pack(depth, outputs, weights, bias, base + group * groupSize)
                } else {
                    eo_f32_gemm_pack(nr, depth, outputs, weights, bias, base + group * groupSize)
                }
            }
        }
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
    /// faster, of whole tiles, but rows are split and results rounded, each for so many. Weights, half as large again,
    /// take as long as some rows. The number of threads must not count: the bits depend on the answer.
    var isFasterInParts: Bool {
        guard suitsParts else { return false }
        let (split, result, product, weights) = (20.0, 10.0, 0.42, 25.0)
        let (rows, depth, columns) = (Double(batch * outputHeight * outputWidth), Double(depth), Double(groupOutputs))
        let filled = product * (depth / 32).rounded(.up) * 32 * (columns / 32).rounded(.up) * 32
        let parts = rows * (filled + split * depth + result * columns) + weights * depth * columns
        return 1.2 * parts < rows * depth * columns
    }
}
