import Testing

@testable import Model

/// A straightforward encoder, as the oracle of the expansion.
struct SparseEncoder {
    let shape: [Int]
    let order: [Int]
    /// Dimension and size of each block.
    let blocks: [(dimension: Int, size: Int)]
    let compressed: [Bool]

    func encode(_ dense: [UInt8]) -> (Sparsity, stored: [UInt8]) {
        var sizes = shape
        for block in blocks {
            sizes[block.dimension] /= block.size
            sizes.append(block.size)
        }
        func offset(_ coordinates: [Int]) -> Int {
            var place = Array(repeating: 0, count: shape.count)
            for dimension in shape.indices {
                let block = blocks.firstIndex { $0.dimension == dimension }
                place[dimension] =
                    block.map { coordinates[dimension] * blocks[$0].size + coordinates[shape.count + $0] }
                    ?? coordinates[dimension]
            }
            return zip(place, shape).reduce(0) { $0 * $1.1 + $1.0 }
        }
        func hasValue(_ coordinates: [Int], _ level: Int) -> Bool {
            guard level < order.count else { return dense[offset(coordinates)] != 0 }
            return (0..<sizes[order[level]]).contains {
                var inner = coordinates
                inner[order[level]] = $0
                return hasValue(inner, level + 1)
            }
        }
        var sparsity = Sparsity()
        sparsity.traversalOrder = order
        sparsity.blockMap = blocks.map(\.dimension)
        var positions = [Array(repeating: 0, count: sizes.count)]
        for (level, dimension) in order.enumerated() {
            var next: [[Int]] = []
            var segments = [0]
            var indices: [Int] = []
            for position in positions {
                for coordinate in 0..<sizes[dimension] {
                    var inner = position
                    inner[dimension] = coordinate
                    guard !compressed[level] || hasValue(inner, level + 1) else { continue }
                    next.append(inner)
                    indices.append(coordinate)
                }
                segments.append(indices.count)
            }
            sparsity.dimensions.append(
                compressed[level]
                    ? .compressed(segments: segments, indices: indices, segmentWidth: .uint16, indexWidth: .uint8)
                    : .dense(size: sizes[dimension]))
            positions = next
        }
        return (sparsity, positions.map { dense[offset($0)] })
    }
}

@Suite struct SparsityTests {
    static let encoders = [
        SparseEncoder(shape: [5], order: [0], blocks: [], compressed: [true]),
        SparseEncoder(shape: [4, 6], order: [0, 1], blocks: [], compressed: [false, true]),
        SparseEncoder(shape: [4, 6], order: [1, 0], blocks: [], compressed: [false, true]),
        SparseEncoder(shape: [4, 6], order: [0, 1], blocks: [], compressed: [true, true]),
        SparseEncoder(
            shape: [4, 6], order: [0, 1, 2, 3], blocks: [(0, 2), (1, 3)], compressed: [false, true, false, false]),
        SparseEncoder(shape: [4, 8], order: [1, 0, 2], blocks: [(1, 4)], compressed: [true, true, false]),
        SparseEncoder(
            shape: [2, 3, 2, 4], order: [3, 0, 2, 1, 4], blocks: [(3, 2)],
            compressed: [false, true, false, true, false]),
    ]

    @Test(arguments: encoders.indices) func expands(index: Int) throws {
        let encoder = Self.encoders[index]
        let count = encoder.shape.reduce(1, *)
        for density in [0, 1, 3, 10] {
            let dense = (0..<count).map { ($0 * 37 + index) % 10 < density ? UInt8(1 + $0 % 250) : 0 }
            let (sparsity, stored) = encoder.encode(dense)
            guard case .sound(let layout) = sparsity.layout(shape: encoder.shape) else {
                Issue.record("encoder \(index) was refused")
                continue
            }
            #expect(layout.storedCount == stored.count)
            let expanded = try layout.densify(try Samples.bytes(stored), type: .uint8)
            #expect(expanded.array(of: UInt8.self) == dense)
            let wide = try layout.densify(try Samples.bytes(stored.map { Double($0) }), type: .float64)
            #expect(wide.array(of: Double.self) == dense.map { Double($0) })
            if stored.count > 0 {
                let short = try Samples.bytes(Array(stored.dropLast()))
                #expect(throws: Failure.self) { try layout.densify(short, type: .uint8) }
            }
        }
    }

    @Test func unsoundLayoutsAreRefused() throws {
        let dense: [UInt8] = [0, 1, 0, 2, 3, 0, 0, 0, 0, 4, 5, 6]
        let encoder = SparseEncoder(shape: [3, 4], order: [0, 1], blocks: [], compressed: [false, true])
        let (sound, _) = encoder.encode(dense)
        func expectUnsound(_ text: String, _ change: (inout Sparsity) -> Void) {
            var sparsity = sound
            change(&sparsity)
            guard case .unsound(let problem) = sparsity.layout(shape: [3, 4]) else {
                Issue.record("\(text) was accepted")
                return
            }
            #expect(problem.text.contains(text))
        }
        func compressed(_ segments: [Int], _ indices: [Int]) -> Sparsity.Dimension {
            .compressed(segments: segments, indices: indices, segmentWidth: .int32, indexWidth: .int32)
        }
        expectUnsound("2 dimensions were expected") { $0.dimensions.removeLast() }
        expectUnsound("an order of 2 dimensions") { $0.traversalOrder = [0, 0] }
        expectUnsound("an order of 2 dimensions") { $0.traversalOrder = [-1, Int.max] }
        expectUnsound("a dense size of 3") { $0.dimensions[0] = .dense(size: 4) }
        expectUnsound("4 segments from 0 to 6") { $0.dimensions[1] = compressed([0, 2, 6], [1, 3, 0, 1, 2, 3]) }
        expectUnsound("4 segments from 0 to 5") { $0.dimensions[1] = compressed([0, 2, 3, 6], [1, 3, 0, 1, 2]) }
        expectUnsound("from 0 to 9 is not among") { $0.dimensions[1] = compressed([0, 9, 3, 6], [0, 1, 2, 3, 0, 1]) }
        expectUnsound("from 4 to 3 is not among") { $0.dimensions[1] = compressed([0, 4, 3, 6], [0, 1, 2, 3, 0, 1]) }
        expectUnsound("found 4") { $0.dimensions[1] = compressed([0, 2, 3, 6], [1, 4, 0, 1, 2, 3]) }
        expectUnsound("found 1 after 1") { $0.dimensions[1] = compressed([0, 2, 3, 6], [1, 1, 0, 1, 2, 3]) }
        expectUnsound("found -1") { $0.dimensions[1] = compressed([0, 2, 3, 6], [-1, 1, 0, 1, 2, 3]) }
        expectUnsound("at most 32") { $0.blockMap = Array(repeating: 0, count: 40) }
        expectUnsound("different dimensions") {
            $0.traversalOrder = [0, 1, 2]
            $0.blockMap = [2]
            $0.dimensions.append(.dense(size: 2))
        }
        expectUnsound("dense blocks that divide") {
            $0.traversalOrder = [0, 1, 2]
            $0.blockMap = [1]
            $0.dimensions.append(.dense(size: 3))
        }
    }
}
