import Kernels
import Model

/// SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: the phases of the spatial dimensions, as images of their own.
enum SpaceToBatchND {
    static var definition: OperatorDefinition {
        OperatorDefinition(.spaceToBatchNd, maxVersion: 4, quantization: .sameScale) { op throws(Failure) in
            guard let phases = try Phases(splitting: op) else { return nil }
            return [phases.batchShape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let phases = try op.known(Phases(splitting: op.inference))
            try op.output(shape: phases.batchShape, like: input)
            let bits = try op.elementBits(input)
            let copies = phases.boxes.map {
                StridedCopy(
                    bits: bits, counts: $0.counts, source: $0.space, target: $0.batch, sourceOffset: $0.spaceOffset,
                    targetOffset: $0.batchOffset)
            }
            let zero = [UInt8(truncatingIfNeeded: input.zeroPoint)]
            let size = try op.elementBytes(input)
            let padding = size == 1 ? zero : [UInt8](repeating: 0, count: size)
            return { io in
                var y = io.output(as: UInt8.self)
                fill(&y, with: padding.span)
                for index in 0..<copies.count { copies[index].run(from: io.input(0), to: &y) }
            }
        }.gradient { g throws(Failure) in
            [try g.dy.apply(.batchToSpaceNd, g.input(1), g.input(2))]
        }
    }

    static var inverse: OperatorDefinition {
        OperatorDefinition(.batchToSpaceNd, maxVersion: 4, quantization: .sameScale) { op throws(Failure) in
            guard let phases = try Phases(joining: op) else { return nil }
            return [phases.spaceShape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let phases = try op.known(Phases(joining: op.inference))
            try op.output(shape: phases.spaceShape, like: input)
            let bits = try op.elementBits(input)
            let copies = phases.boxes.map {
                StridedCopy(
                    bits: bits, counts: $0.counts, source: $0.batch, target: $0.space, sourceOffset: $0.batchOffset,
                    targetOffset: $0.spaceOffset)
            }
            return { io in
                var y = io.output(as: UInt8.self)
                for index in 0..<copies.count { copies[index].run(from: io.input(0), to: &y) }
            }
        }.gradient { g throws(Failure) in
            [try g.dy.apply(.spaceToBatchNd, g.input(1), g.input(2))]
        }
    }

    /// Both forms of a tensor, and one box for each phase of the blocks: the part of it that is not margin.
    private struct Phases {
        struct Box {
            var counts: [Int]
            var space: [Int]
            var batch: [Int]
            var spaceOffset: Int
            var batchOffset: Int
        }
        let spaceShape: [Int]
        let batchShape: [Int]
        private let block: [Int]
        /// Margin before each spatial dimension.
        private let before: [Int]

        init?(splitting op: ShapeInference) throws(Failure) {
            guard let (block, margins) = try Self.parameters(op) else { return nil }
            let input = try op.input(0)
            var shape = input.shape
            for d in block.indices {
                let size = shape[d + 1] + margins[2 * d] + margins[2 * d + 1]
                guard size % block[d] == 0 else {
                    throw op.invalid("\(size) rows of \(input.described) with margins are no blocks of \(block[d])")
                }
                shape[d + 1] = size / block[d]
                shape[0] = shape[0] &* block[d]
                shape = try op.checked(shape)
            }
            (spaceShape, batchShape) = (input.shape, shape)
            self.block = block
            before = block.indices.map { margins[2 * $0] }
        }

        init?(joining op: ShapeInference) throws(Failure) {
            guard let (block, margins) = try Self.parameters(op) else { return nil }
            let input = try op.input(0)
            var shape = input.shape
            for d in block.indices {
                guard shape[0] % block[d] == 0 else {
                    throw op.invalid("the batch of \(input.described) is no multiple of block \(text(block))")
                }
                shape[0] /= block[d]
                shape[d + 1] = shape[d + 1] * block[d] - margins[2 * d] - margins[2 * d + 1]
                guard shape[d + 1] >= 0 else {
                    throw op.invalid("\(input.described) is smaller than what is cropped: \(text(margins))")
                }
                shape = try op.checked(shape)
            }
            (spaceShape, batchShape) = (shape, input.shape)
            self.block = block
            before = block.indices.map { margins[2 * $0] }
        }

        private static func parameters(_ op: ShapeInference) throws(Failure) -> (block: [Int], margins: [Int])? {
            guard let block = try op.numbers(1, "the block shape"), let margins = try op.numbers(2, "the margins")
            else {
                return nil
            }
            let input = try op.input(0)
            guard block.count < input.rank, margins.count == 2 * block.count,
                block.allSatisfy({ $0 > 0 && $0 <= 1 << 16 }), margins.allSatisfy({ $0 >= 0 && $0 <= 1 << 30 })
            else {
                throw op.invalid("block \(text(block)) and margins \(text(margins)) do not fit \(input.described)")
            }
            return (block, margins)
        }

        var boxes: [Box] {
            let (space, batch) = (rowMajorStrides(spaceShape), rowMajorStrides(batchShape))
            return (0..<block.reduce(1, *)).map { phase in
                var box = Box(
                    counts: spaceShape, space: space, batch: batch, spaceOffset: 0,
                    batchOffset: phase * spaceShape[0] * batch[0])
                var rest = phase
                for d in block.indices.reversed() {
                    // Element i of this phase is at i * block + start of the space, which may be a margin.
                    let start = rest % block[d] - before[d]
                    rest /= block[d]
                    let first = start >= 0 ? 0 : (-start + block[d] - 1) / block[d]
                    let origin = start + first * block[d]
                    let available = max(0, (spaceShape[d + 1] - origin + block[d] - 1) / block[d])
                    box.counts[d + 1] = min(available, batchShape[d + 1] - first)
                    box.space[d + 1] = space[d + 1] * block[d]
                    box.spaceOffset += max(0, min(origin, spaceShape[d + 1])) * space[d + 1]
                    box.batchOffset += min(first, batchShape[d + 1]) * batch[d + 1]
                }
                return box
            }
        }
    }
}
