import Kernels
import Model

/// How the centroids of a clustering are found.
package struct ClusteringMethod: Sendable {
    /// Where the search begins; raw values are eo_centroid_start's.
    package enum Start: UInt32, Sendable {
        /// At equal distances from the least value to the greatest.
        case linear = 0
        /// At random between them.
        case random = 1
        /// So that the same number of values is around each.
        case density = 2
        /// At random among the values, those far from all centroids before being likelier (k-means++; Arthur and
        /// Vassilvitskii, 2007).
        case kMeansPlusPlus = 3
    }
    /// Values a tensor, or a channel, may have afterwards, zero included.
    package var count = 16
    package var start = Start.kMeansPlusPlus
    package var seed: UInt64 = 0
    /// Rounds of Lloyd's algorithm at most; it ends earlier when nothing moves.
    package var iterations = 100
    /// Weights that are zero stay zero, and no others become so; zero takes one of the `count` values.
    package var preservesZeros = true
    /// Centroids are whole multiples of the largest magnitude / 127: symmetric int8 weights hold them exactly.
    package var isOnInt8Grid = true
    /// The least and the greatest value are centroids.
    var keepsEnds = false

    package init() {}

    func validate() throws(Failure) {
        guard (2...1024).contains(count) else {
            throw .invalidArgument("\(count) clusters: expected 2 to 1024")
        }
        guard (0...100_000).contains(iterations) else {
            throw .invalidArgument("\(iterations) iterations: expected 0 to 100000")
        }
    }

    /// At most `count` centroids of finite values, in ascending order, without repetition.
    package func centroids(of values: [Float]) -> [Float] {
        var sorted = values
        if preservesZeros { sorted.removeAll { $0 == 0 } }
        sortAscending(&sorted)
        let hasZeros = sorted.count < values.count
        let limit = hasZeros ? count - 1 : count
        var found = distinct(sorted, limit: limit) ?? search(sorted, limit)
        if isOnInt8Grid { found = snapped(found) }
        if hasZeros && !found.contains(0) { found.append(0) }
        sortAscending(&found)
        return distinct(found, limit: found.count) ?? found
    }

    /// The values of a sorted array, each once; nil if there are more than `limit`.
    private func distinct(_ sorted: [Float], limit: Int) -> [Float]? {
        var found: [Float] = []
        for value in sorted where found.last != value {
            guard found.count < limit else { return nil }
            found.append(value)
        }
        return found
    }

    private func search(_ sorted: [Float], _ count: Int) -> [Float] {
        var centroids = starts(sorted, count)
        sortAscending(&centroids)
        if keepsEnds && count > 1 { (centroids[0], centroids[count - 1]) = (sorted[0], sorted[sorted.count - 1]) }
        // In one dimension a cluster is a run of the sorted values: its sum is the difference of two prefix sums.
        var sums = [0.0]
        sums.reserveCapacity(sorted.count + 1)
        for value in sorted { sums.append(sums[sums.count - 1] + Double(value)) }
        for _ in 0..<iterations {
            var begin = 0
            var hasMoved = false
            for index in centroids.indices {
                let end =
                    index + 1 < centroids.count
                    ? firstAbove(midpoint(centroids[index], centroids[index + 1]), in: sorted, from: begin)
                    : sorted.count
                if end > begin, !keepsEnds || index > 0 && index < centroids.count - 1 {
                    let mean = Float((sums[end] - sums[begin]) / Double(end - begin))
                    if mean != centroids[index] { hasMoved = true }
                    centroids[index] = mean
                }
                begin = end
            }
            if !hasMoved { break }
        }
        return centroids
    }

    private func starts(_ sorted: [Float], _ count: Int) -> [Float] {
        guard let least = sorted.first, let greatest = sorted.last else { return [] }
        var random = SplitMix64(state: seed)
        let width = Double(greatest) - Double(least)
        switch start {
        case .linear:
            return (0..<count).map { Float(Double(least) + width * Double($0) / Double(max(1, count - 1))) }
        case .random: return (0..<count).map { _ in Float(Double(least) + width * random.unit()) }
        case .density: return (0..<count).map { sorted[(2 * $0 + 1) * sorted.count / (2 * count)] }
        case .kMeansPlusPlus: return spread(sorted, count, &random)
        }
    }

    /// Beyond this many values a sample of them, evenly spread over the sorted ones, is as good to begin with.
    private static let sampleLimit = 1 << 15

    private func spread(_ sorted: [Float], _ count: Int, _ random: inout SplitMix64) -> [Float] {
        let step = max(1, sorted.count / Self.sampleLimit)
        let sample = stride(from: step / 2, to: sorted.count, by: step).map { sorted[$0] }
        var centroids = [sample[min(Int(random.unit() * Double(sample.count)), sample.count - 1)]]
        var distances = [Double](repeating: .infinity, count: sample.count)
        while centroids.count < count {
            let last = centroids[centroids.count - 1]
            var total = 0.0
            for (index, value) in sample.enumerated() {
                let distance = Double(value) - Double(last)
                distances[index] = min(distances[index], distance * distance)
                total += distances[index]
            }
            var left = random.unit() * total
            var chosen = sample.count - 1
            for (index, distance) in distances.enumerated() where distance > 0 {
                chosen = index
                left -= distance
                if left < 0 { break }
            }
            centroids.append(sample[chosen])
        }
        return centroids
    }

    private func snapped(_ centroids: [Float]) -> [Float] {
        let largest = centroids.reduce(0) { max($0, $1.magnitude) }
        let step = largest / 127
        guard step >= .leastNormalMagnitude else { return centroids }
        return centroids.map { centroid in
            let steps = (centroid / step).rounded()
            // The ends stay what they are, so that the step is found again.
            return steps.magnitude == 127 ? (centroid < 0 ? -largest : largest) : steps * step
        }
    }
}

/// The number of the centroid, of ascending ones, that is nearest to a value; the lower of two equally near.
package func nearest(_ value: Float, _ centroids: [Float]) -> Int {
    var (low, high) = (0, centroids.count - 1)
    while low < high {
        let middle = (low + high) / 2
        if value > midpoint(centroids[middle], centroids[middle + 1]) { low = middle + 1 } else { high = middle }
    }
    return max(low, 0)
}

/// The first place from `begin` on with a value above `bound` in ascending values.
private func firstAbove(_ bound: Float, in sorted: [Float], from begin: Int) -> Int {
    var (low, high) = (begin, sorted.count)
    while low < high {
        let middle = (low + high) / 2
        if sorted[middle] > bound { high = middle } else { low = middle + 1 }
    }
    return low
}

/// Sorts finite numbers in linear time: radix sort of their bit patterns, which are ordered like the numbers once the
/// negative ones are inverted and the others have their sign bit set.
func sortAscending(_ values: inout [Float]) {
    guard values.count > 1 else { return }
    var keys = values.map { $0.bitPattern >> 31 == 1 ? ~$0.bitPattern : $0.bitPattern | 1 << 31 }
    var other = keys
    for shift in [UInt32(0), 11, 22] {
        var places = [Int](repeating: 0, count: 1 << 11 + 1)
        for key in keys { places[Int(key >> shift & 0x7ff) + 1] += 1 }
        for index in 1..<places.count { places[index] += places[index - 1] }
        for key in keys {
            let digit = Int(key >> shift & 0x7ff)
            other[places[digit]] = key
            places[digit] += 1
        }
        swap(&keys, &other)
    }
    for (index, key) in keys.enumerated() { values[index] = Float(bitPattern: key >> 31 == 1 ? key ^ 1 << 31 : ~key) }
}

/// Random numbers of 64 bits from a seed (Steele, Lea and Flood, 2014).
struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// From 0 up to, without, 1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
