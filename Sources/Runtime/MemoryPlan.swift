import Model

/// Where blocks lie in one arena so that no two that are needed at the same time overlap.
///
/// Offline planning, biggest block first, each at the lowest offset that is free during its whole life ("greedy by
/// size", Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020).
package struct MemoryPlan: Equatable, Sendable {
    package struct Request: Sendable {
        package let bytes: Int
        /// First and last step that needs the block.
        package let first: Int
        package let last: Int
        package init(bytes: Int, first: Int, last: Int) {
            self.bytes = bytes
            self.first = first
            self.last = last
        }
    }

    /// A cache line, and the widest vector register.
    package static let alignment = 64

    /// In the order of the requests.
    package private(set) var offsets: [Int]
    package private(set) var size = 0

    package init(_ requests: [Request]) {
        offsets = [Int](repeating: 0, count: requests.count)
        // Placed blocks by offset, so that one walk finds the first gap.
        var placed: [Int] = []
        for index in ascendingOrder(of: requests.map { -Double($0.bytes) }) where requests[index].bytes > 0 {
            let request = requests[index]
            let bytes = Self.roundUp(request.bytes)
            var offset = 0
            for other in placed {
                let neighbour = requests[other]
                guard neighbour.first <= request.last, request.first <= neighbour.last else { continue }
                if offsets[other] >= offset + bytes { break }
                offset = max(offset, offsets[other] + Self.roundUp(neighbour.bytes))
            }
            offsets[index] = offset
            placed.insert(index, at: placed.firstIndex { offsets[$0] > offset } ?? placed.count)
            size = max(size, offset + bytes)
        }
    }

    package static func roundUp(_ bytes: Int) -> Int { (bytes + alignment - 1) / alignment * alignment }
}
