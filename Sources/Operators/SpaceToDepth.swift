import Kernels
import Model

/// SPACE_TO_DEPTH and DEPTH_TO_SPACE: blocks of NHWC pixels become channels, or channels blocks of pixels.
enum SpaceToDepth {
    private static let blockSize = 0

    static var definition: OperatorDefinition {
        OperatorDefinition(.spaceToDepth, maxVersion: 2, quantization: .sameScale.int8Only) { op throws(Failure) in
            [try Blocks(packing: op).channelShape]
        } prepare: { op throws(Failure) in
            let blocks = try Blocks(packing: op.inference)
            try op.output(shape: blocks.channelShape, like: op.input(0))
            return Moves.one(
                StridedCopy(
                    bits: try op.elementBits(op.input(0)), counts: blocks.counts, source: blocks.pixelStrides,
                    target: rowMajorStrides(blocks.counts)))
        }.gradient { g throws(Failure) in
            [try g.dy.apply(.depthToSpace, options: g.options)]
        }
    }

    static var inverse: OperatorDefinition {
        OperatorDefinition(.depthToSpace, maxVersion: 2, quantization: .sameScale.int8Only) { op throws(Failure) in
            [try Blocks(unpacking: op).pixelShape]
        } prepare: { op throws(Failure) in
            let blocks = try Blocks(unpacking: op.inference)
            try op.output(shape: blocks.pixelShape, like: op.input(0))
            // In the order of the target's memory.
            let source = rowMajorStrides(blocks.counts)
            let order = [0, 1, 3, 2, 4, 5]
            return Moves.one(
                StridedCopy(
                    bits: try op.elementBits(op.input(0)), counts: order.map { blocks.counts[$0] },
                    source: order.map { source[$0] }, target: order.map { blocks.pixelStrides[$0] }))
        }.gradient { g throws(Failure) in
            [try g.dy.apply(.spaceToDepth, options: g.options)]
        }
    }

    /// Dimensions batch, block row, block column, row in block, column in block, channel; the memory order of the packed
    /// form.
    private struct Blocks {
        let counts: [Int]
        let channelShape: [Int]
        let pixelShape: [Int]

        /// Strides of `counts` in the image of pixels.
        var pixelStrides: [Int] {
            let s = rowMajorStrides(pixelShape)
            return [s[0], s[1] * counts[3], s[2] * counts[4], s[1], s[2], s[3]]
        }

        init(packing op: ShapeInference) throws(Failure) {
            let input = try op.input(0)
            let block = op.options.int(blockSize)
            guard input.rank == 4, block > 0, input.shape[1] % block == 0, input.shape[2] % block == 0 else {
                throw op.invalid("\(input.described) has no blocks of \(block)x\(block) pixels")
            }
            self.init(input.shape, block, channels: input.shape[3])
        }

        init(unpacking op: ShapeInference) throws(Failure) {
            let input = try op.input(0)
            let block = op.options.int(blockSize)
            guard input.rank == 4, block > 0, block <= 1 << 15, input.shape[3] % (block * block) == 0 else {
                throw op.invalid("\(input.described) has no channels for blocks of \(block)x\(block) pixels")
            }
            let s = input.shape
            let pixels = try op.checked([s[0], s[1] * block, s[2] * block, s[3] / (block * block)])
            self.init(pixels, block, channels: pixels[3])
        }

        private init(_ pixels: [Int], _ block: Int, channels: Int) {
            let (rows, columns) = (pixels[1] / block, pixels[2] / block)
            counts = [pixels[0], rows, columns, block, block, channels]
            channelShape = [pixels[0], rows, columns, block * block * channels]
            pixelShape = pixels
        }
    }
}
