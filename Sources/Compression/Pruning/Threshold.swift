/// Divides numbers from 0 up, of one or several arrays, into the `count` smallest and the rest: all below `value`, and
/// the first `ties` that equal it. Exact, in linear time: a histogram of the upper half of the bits, then of the lower
/// half of those that share the upper one (radix selection; numbers from 0 up are ordered like their bit patterns).
struct Threshold {
    let value: Float
    private var ties: Int

    /// `count` is at most the number of scores.
    init(count: Int, of arrays: [[Float]]) {
        let upper = Self.bin(count, arrays) { $0 >> 16 }
        let lower = Self.bin(count - upper.below, arrays) { $0 >> 16 == upper.bin ? $0 & 0xffff : nil }
        value = Float(bitPattern: upper.bin << 16 | lower.bin)
        ties = count - upper.below - lower.below
    }

    /// The bin with score number `count`, counted from 1, and how many lie in the bins below it.
    private static func bin(
        _ count: Int, _ arrays: [[Float]], key: (UInt32) -> UInt32?
    ) -> (bin: UInt32, below: Int) {
        var bins = [Int](repeating: 0, count: 1 << 16)
        for scores in arrays { for score in scores { if let key = key(score.bitPattern) { bins[Int(key)] += 1 } } }
        var below = 0
        for (index, size) in bins.enumerated() {
            if below + size >= count { return (UInt32(index), below) }
            below += size
        }
        return (0xffff, below)
    }

    /// Which scores are not among the smallest. Arrays are to come in the order they were given in.
    mutating func kept(_ scores: [Float]) -> [Bool] {
        var kept = [Bool](repeating: true, count: scores.count)
        for (index, score) in scores.enumerated() {
            if score < value {
                kept[index] = false
            } else if score == value, ties > 0 {
                kept[index] = false
                ties -= 1
            }
        }
        return kept
    }
}
