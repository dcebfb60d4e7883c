import Kernels
import Model

/// EMBEDDING_LOOKUP: rows of a table, which may be quantized while the output is float.
enum EmbeddingLookup {
    static var definition: OperatorDefinition {
        OperatorDefinition(.embeddingLookup, maxVersion: 5) { op throws(Failure) in
            let (indices, table) = (try op.input(0), try op.input(1))
            guard indices.type == .int32, table.rank >= 1 else {
                throw op.invalid("\(indices.described) cannot look up rows of \(table.described)")
            }
            return [try op.checked([indices.count] + table.shape.dropFirst())]
        } prepare: { op throws(Failure) in
            let (indices, table, output) = (try op.input(0), try op.input(1), try op.output())
            guard table.rank >= 1, output.shape == [indices.count] + table.shape.dropFirst() else {
                throw op.invalid("\(output.described) for rows of \(table.described)")
            }
            let rows = Rows(name: op.name, limit: table.shape[0], length: table.shape.dropFirst().reduce(1, &*))
            if output.type == table.type { return rows.copying(bits: try op.elementBits(table)) }
            guard output.type == .float32 else { throw op.unsupportedTypes() }
            let scales = try ChannelScales(op, table)
            guard scales.count == 1 || scales.outer == 1 else {
                throw op.unsupported("scales along other dimensions than the rows'")
            }
            switch table.type {
            case .int8: return rows.dequantizing(scales) { Int32(Int8(truncatingIfNeeded: $0[$1])) }
            case .uint8: return rows.dequantizing(scales) { Int32($0[$1]) }
            case .int4, .int2:
                let elements = PackedElements(table.type)
                return rows.dequantizing(scales) { elements.value($0, $1) }
            default: throw op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            [nil, try ScatterAdd.emit(g.dy, g.x, like: g.b, options: Options(.gather))]
        }
    }

    private struct Rows: Sendable {
        let name: String
        let limit: Int
        let length: Int

        func copying(bits: Int) -> Kernel {
            let row = StridedCopy(bits: bits, counts: [length], source: [1], target: [1])
            return { io throws(Failure) in
                let indices = io.input(0, as: Int32.self)
                var y = io.output(as: UInt8.self)
                for i in 0..<indices.count {
                    let from = try index(indices[i]) &* length
                    row.run(from: io.input(1), to: &y, sourceShift: from, targetShift: i &* length)
                }
            }
        }

        func dequantizing(
            _ scales: ChannelScales, _ value: @escaping @Sendable (Span<UInt8>, Int) -> Int32
        ) -> Kernel {
            return { io throws(Failure) in
                let indices = io.input(0, as: Int32.self)
                let table = io.input(1, as: UInt8.self)
                var y = io.output(as: Float.self)
                for i in 0..<indices.count {
                    let row = try index(indices[i])
                    let channel = scales.count == 1 ? 0 : row
                    let (scale, zeroPoint) = (scales.scales[channel], scales.zeroPoints[channel])
                    for j in 0..<length {
                        y[i &* length &+ j] = Float(value(table, row &* length &+ j) &- zeroPoint) * scale
                    }
                }
            }
        }

        private func index(_ index: Int32) throws(Failure) -> Int {
            guard index >= 0, Int(index) < limit else { throw outOfRange(name, Int(index), limit) }
            return Int(index)
        }
    }
}
