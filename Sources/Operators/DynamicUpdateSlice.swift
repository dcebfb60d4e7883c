import Kernels
import Model

/// DYNAMIC_UPDATE_SLICE: a tensor with a box of it replaced. The box is moved inside where it would leave the tensor.
enum DynamicUpdateSlice {
    static var definition: OperatorDefinition {
        // In place, the update of a cache moves only the update.
        OperatorDefinition(
            .dynamicUpdateSlice, maxVersion: 6,
            quantization: QuantizationRule(activations: [0, 1], output: .sameAsInput), inPlace: true
        ) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            let (operand, update, starts) = (try op.input(0), try op.input(1), try op.input(2))
            try op.output(shape: operand.shape, like: operand)
            guard update.type == operand.type, starts.type == .int32 || starts.type == .int64 else {
                throw op.unsupportedTypes()
            }
            let rank = operand.rank
            guard update.rank == rank, starts.count == rank,
                operand.shape.indices.allSatisfy({ update.shape[$0] <= operand.shape[$0] })
            else { throw op.invalid("\(update.described) at \(starts.described) does not fit \(operand.described)") }
            let strides = rowMajorStrides(operand.shape)
            let room = operand.shape.indices.map { operand.shape[$0] - update.shape[$0] }
            let copy = StridedCopy(
                bits: try op.elementBits(operand), counts: update.shape, source: rowMajorStrides(update.shape),
                target: strides)
            let width = starts.type == .int32 ? 4 : 8
            return { io in
                var y = io.output(as: UInt8.self)
                copyBytes(from: io.input(0), to: &y)
                var place = 0
                for d in 0..<rank {
                    place &+= min(max(loadInteger(io.input(2), d, width: width), 0), room[d]) &* strides[d]
                }
                copy.run(from: io.input(1), to: &y, targetShift: place)
            }
        }.gradient { g throws(Failure) in
            let (x, update) = (try g.x, try g.b)
            let hidden = try update.scalar(0).broadcast(to: update.shape)
            var begin = try g.integers(2)
            guard begin.count == x.rank else { return [] }
            for d in begin.indices { begin[d] = min(max(begin[d], 0), x.shape[d] - update.shape[d]) }
            return [
                try g.dy.apply(.dynamicUpdateSlice, hidden, g.input(2)), try g.dy.slice(begin, update.shape),
            ]
        }
    }
}
