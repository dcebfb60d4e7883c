import CKernels
import Model

/// Weights of a dynamic range layer as the model has them.
package struct HybridWeights {
    /// OHWI [outputChannels, kernelHeight, kernelWidth, inputChannels / groups]: int8, int4 or int2 without gaps.
    let stored: Bytes
    let bits: Int
    /// One for each output channel, or one; with blocks, for each block of each channel.
    let scales: [Float]
    /// So many of a channel's weights share a scale; nil: all.
    let blockSize: Int?

    package init(_ stored: Bytes, bits: Int = 8, scales: [Float], blockSize: Int? = nil) {
        (self.stored, self.bits, self.scales, self.blockSize) = (stored, bits, scales, blockSize)
    }
}

/// The micro-kernel that multiplies quantized activations by weights of 8 bits, or of fewer in halves of bytes, and how
/// it wants the weights.
struct HybridProduct: ~Copyable {
    let name: String
    let isa: kernels_isa
    let (mr, nr): (Int32, Int32)
    let run: @convention(c) (UnsafePointer<eo_gemm_tile>) -> Void
    /// Rows are filled up to a multiple of it.
    let depthStep: Int
    /// Of depth that share a scale; 0: all.
    let block: Int
    /// Bytes of packed weights for `nr` columns.
    let packedSize: Int
    /// Packs the weights of a group.
    let pack: (_ group: Int, UnsafeMutableRawPointer) -> Void

    init(_ shape: ConvolutionShape, _ weights: HybridWeights, bias: [Float]) throws(Failure) {
        self = try weights.bits == 8 ? .bytes(shape, weights, bias) : .halves(shape, weights, bias)
    }

    private init(
        name: UnsafePointer<CChar>, isa: kernels_isa, mr: Int32, nr: Int32,
        run: @escaping @convention(c) (UnsafePointer<eo_gemm_tile>) -> Void, depthStep: Int, block: Int,
        packedSize: Int, pack: @escaping (Int, UnsafeMutableRawPointer) -> Void
    ) {
        self.name = String(cString: name)
        (self.isa, self.mr, self.nr, self.run, self.depthStep) = (isa, mr, nr, run, depthStep)
        (self.block, self.packedSize, self.pack) = (block, packedSize, pack)
    }

    private static func bytes(
        _ shape: ConvolutionShape, _ weights: HybridWeights, _ bias: [Float]
    ) throws(Failure) -> HybridProduct {
        let (depth, outputs, stored) = (shape.depth, shape.groupOutputs, weights.stored)
        try expect(stored, "weights", count: shape.outputChannels * depth, size: 1)
        let scales = try eachChannel(weights.scales, shape.outputChannels)
        let row = eo_hybrid_gemm_best()
        let kernel = row.pointee
        return HybridProduct(
            name: kernel.name, isa: kernel.isa, mr: kernel.mr, nr: kernel.nr, run: kernel.run,
            depthStep: eo_gemm_depth_step(kernel.isa), block: 0,
            packedSize: eo_hybrid_gemm_packed_size(row, depth, 1, 1)
        ) { group, packed in
            let first = group * outputs
            bias.withUnsafeBufferPointer { bias in
                scales.withUnsafeBufferPointer { scales in
                    eo_hybrid_gemm_pack(
                        row, depth, outputs, (stored.baseAddress + first * depth).assumingMemoryBound(to: UInt8.self),
                        scales.baseAddress! + first, bias.baseAddress! + first, packed)
                }
            }
        }
    }

    private static func halves(
        _ shape: ConvolutionShape, _ weights: HybridWeights, _ bias: [Float]
    ) throws(Failure) -> HybridProduct {
        let (depth, outputs, stored, bits) = (shape.depth, shape.groupOutputs, weights.stored, weights.bits)
        let (scaleBlock, one) = (weights.blockSize ?? depth, UInt16(0x3c00))
        let blocks = depth / scaleBlock
        precondition(bits == 2 || bits == 4)
        try expect(stored, "weights", count: (shape.outputChannels * depth * bits + 7) / 8, size: 1)
        var scales = try eachChannel(weights.scales, shape.outputChannels * blocks)
        var blockScales = [UInt16](repeating: one, count: scales.count)
        if weights.blockSize != nil {
            guard let halves = float16(scales) else { preconditionFailure("scales of blocks must be float16") }
            (blockScales, scales) = (halves, [Float](repeating: 1, count: shape.outputChannels))
        }
        let row = eo_hybrid4_gemm_best()
        let kernel = row.pointee
        let block = weights.blockSize.map(block(dividing:)) ?? Int(EO_HYBRID4_BLOCK)
        return HybridProduct(
            name: kernel.name, isa: kernel.isa, mr: kernel.mr, nr: kernel.nr, run: kernel.run,
            depthStep: Int(EO_HYBRID4_STEP), block: block,
            packedSize: eo_hybrid4_gemm_packed_size(kernel.nr, depth, 1, block)
        ) { group, packed in
            let first = group * outputs
            bias.withUnsafeBufferPointer { bias in
                scales.withUnsafeBufferPointer { scales in
                    blockScales.withUnsafeBufferPointer { blockScales in
                        var source = eo_hybrid4_gemm_weights(
                            depth: depth, columns: outputs,
                            weights: stored.baseAddress.assumingMemoryBound(to: UInt8.self), first: first,
                            bits: Int32(bits), block: block, scale: scales.baseAddress! + first,
                            bias: bias.baseAddress! + first, block_scale: blockScales.baseAddress!, scales: blocks,
                            scale_block: scaleBlock)
                        eo_hybrid4_gemm_pack(row, &source, packed)
                    }
                }
            }
        }
    }

    /// Can halves of bytes be multiplied that have such scales for so many of them?
    static func suits(blockSize: Int, scales: [Float]) -> Bool {
        blockSize > 0 && blockSize % Int(EO_HYBRID4_STEP) == 0 && !scales.isEmpty && float16(scales) != nil
    }

    /// The same numbers; nil if float16 has not all of them.
    private static func float16(_ numbers: [Float]) -> [UInt16]? {
        let halves = FloatValues.halves(numbers)
        return zip(halves, numbers).allSatisfy { FloatValues.float(half: $0) == $1 } ? halves : nil
    }

    /// The largest block of the kernel that divides `blockSize`.
    private static func block(dividing blockSize: Int) -> Int {
        let step = Int(EO_HYBRID4_STEP)
        return stride(from: min(blockSize, Int(EO_HYBRID4_BLOCK)), to: step, by: -step)
            .first { blockSize % $0 == 0 } ?? step
    }
}
