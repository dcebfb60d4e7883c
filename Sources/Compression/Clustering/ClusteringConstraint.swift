import Model

/// Clustering while training (as in Cho et al., 2021, with hard assignment): the trained variable is the weights, which
/// decide to which centroid they belong, followed by the centroids, which are what is used.
package final class ClusteringConstraint: ParameterConstraint {
    /// The gradient of a centroid from those of its weights; raw values are eo_gradient_aggregation's.
    package enum Aggregation: UInt32, Sendable { case sum = 0, average = 1 }

    let groups: ClusterGroups
    /// Trained centroids of a group; a preserved zero is not among them.
    private let count: Int
    let method: ClusteringMethod
    private let aggregation: Aggregation
    /// With scaled channels: the largest magnitude of each at the start, which the centroids are multiplied with; then the
    /// least and the greatest centroid, which stay, so that quantization finds the same scales.
    private var scales: [Float] = []
    /// With preserved zeros: the weights that are zero, found at the start, or told by a pruning.
    var zeros: [Bool] = []
    /// The trained variable of a weight that is zero moves, too.
    var zerosMove = false
    /// The centroid of each weight, in all of them, as of the last `use`; `noCentroid` for a preserved zero.
    private var assignment: [Int32]
    /// Its place among those of its group in ascending order.
    private var ranked: [Int32]
    private let noCentroid: Int32 = -1

    package init(
        _ matrix: WeightMatrix, method: ClusteringMethod, granularity: ClusterGranularity,
        aggregation: Aggregation = .sum
    ) throws(Failure) {
        try method.validate()
        groups = ClusterGroups(matrix, granularity)
        self.method = method
        self.aggregation = aggregation
        count = method.preservesZeros ? method.count - 1 : method.count
        assignment = [Int32](repeating: 0, count: matrix.count)
        ranked = assignment
        guard groups.count * count <= Int(Int32.max) else {
            throw .invalidArgument("\(groups.count) channels of \(count) centroids are too many")
        }
    }

    /// Goes on with weights that are clustered already: the same number of values for each tensor or channel, and, with
    /// `preservesZeros`, the same zeros.
    package convenience init(
        preservingClustersOf weights: [Float], _ matrix: WeightMatrix, preservesZeros: Bool,
        aggregation: Aggregation = .sum
    ) throws(Failure) {
        let form = ClusterForm(weights, matrix)
        var method = ClusteringMethod()
        let values = preservesZeros && !weights.contains(0) ? form.count + 1 : form.count
        method.count = Swift.min(Swift.max(values, 2), 1024)
        method.preservesZeros = preservesZeros
        method.isOnInt8Grid = false
        try self.init(matrix, method: method, granularity: form.granularity, aggregation: aggregation)
    }

    package var usedCount: Int { groups.matrix.count }
    package var trainedCount: Int { usedCount + groups.count * count }

    package func start(_ weights: [Float]) -> [Float] {
        zeros = method.preservesZeros ? weights.map { $0 == 0 } : []
        var search = method
        search.preservesZeros = false
        search.count = count
        search.keepsEnds = isScaled
        scales = isScaled ? groups.channelScales(weights) : []
        var trained = weights
        for places in groups.places {
            var values = places.map { isScaled ? weights[$0] / scales[groups.channel(of: $0)] : weights[$0] }
            if method.preservesZeros { values.removeAll { $0 == 0 } }
            let centroids = search.centroids(of: values)
            // Fewer values than centroids: the rest repeat the last one.
            if isScaled { scales += [centroids.first ?? 0, centroids.last ?? 0] }
            for index in 0..<count {
                trained.append(centroids.isEmpty ? 0 : centroids[min(index, centroids.count - 1)])
            }
        }
        return trained
    }

    private var keptZeros: Bool { !zeros.isEmpty }
    private var isScaled: Bool { groups.granularity == .scaledChannels }

    package func use(_ trained: Span<Float>, into used: inout MutableSpan<Float>, step: Int) {
        var ranks = [Rank](repeating: Rank(), count: groups.count * count)
        for group in 0..<groups.count {
            let first = usedCount + group * count
            let places = (first..<first + count).sorted {
                trained[$0] == trained[$1] ? $0 < $1 : trained[$0] < trained[$1]
            }
            let sorted = places.map { trained[$0] }
            for (place, centroid) in places.enumerated() {
                ranks[group * count + place] = Rank(sorted, place, Int32(centroid))
            }
        }
        let matrix = groups.matrix
        // The arrays move out and back: nobody else holds them, so nothing is copied.
        var (assignment, ranked) = (self.assignment, self.ranked)
        (self.assignment, self.ranked) = ([], [])
        for channel in 0..<matrix.rows {
            let first = groups.granularity == .channel ? channel * count : 0
            let scale = isScaled ? scales[channel] : 1
            for column in 0..<matrix.columns {
                let index = matrix.index(channel, column)
                if keptZeros && zeros[index] {
                    assignment[index] = noCentroid
                    used[index] = 0
                    continue
                }
                let value = isScaled ? trained[index] / scale : trained[index]
                // Most weights stay with their centroid.
                var rank = ranks[first + Int(ranked[index])]
                if !rank.holds(value) {
                    let found = nearest(value, ranks, first, count)
                    ranked[index] = Int32(found)
                    rank = ranks[first + found]
                }
                assignment[index] = rank.centroid
                used[index] = isScaled ? rank.value * scale : rank.value
            }
        }
        (self.assignment, self.ranked) = (assignment, ranked)
        if isScaled { keepLargest(trained, &used) }
    }

    /// A centroid of a group, ascending, and the values that are nearest to it.
    private struct Rank {
        var value: Float = 0
        var above = -Float.infinity
        var upTo = Float.infinity
        var centroid: Int32 = 0

        init() {}

        init(_ sorted: [Float], _ place: Int, _ centroid: Int32) {
            value = sorted[place]
            if place > 0 { above = midpoint(sorted[place - 1], value) }
            if place + 1 < sorted.count { upTo = midpoint(value, sorted[place + 1]) }
            self.centroid = centroid
        }

        func holds(_ x: Float) -> Bool { x > above && x <= upTo }
    }

    /// As `nearest` of the values.
    private func nearest(_ value: Float, _ ranks: [Rank], _ first: Int, _ count: Int) -> Int {
        var (low, high) = (0, count - 1)
        while low < high {
            let middle = (low + high) / 2
            if value > ranks[first + middle].upTo { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// In each channel some weight has the magnitude of its scale, so that quantization finds that scale: if none is left,
    /// the largest takes it.
    private func keepLargest(_ trained: Span<Float>, _ used: inout MutableSpan<Float>) {
        let matrix = groups.matrix
        let ends = [(usedCount, scales[matrix.rows]), (trainedCount - 1, scales[matrix.rows + 1])]
        for channel in 0..<matrix.rows {
            let scale = scales[channel]
            var (largest, most, isKept) = (-1, -Float.infinity, false)
            for column in 0..<matrix.columns where !isKept {
                let index = matrix.index(channel, column)
                guard assignment[index] != noCentroid else { continue }
                isKept = used[index].magnitude == scale
                if trained[index].magnitude > most { (largest, most) = (index, trained[index].magnitude) }
            }
            guard !isKept, largest >= 0 else { continue }
            let wanted = trained[largest] < 0 ? 0 : 1
            let end = ends[wanted].1.magnitude == 1 ? ends[wanted] : ends[1 - wanted]
            assignment[largest] = Int32(end.0)
            used[largest] = end.1 * scale
        }
    }

    package func pullBack(_ gradient: inout MutableSpan<Float>, trained: Span<Float>) {
        var sums = [Double](repeating: 0, count: groups.count * count)
        var members = [Int32](repeating: 0, count: sums.count)
        let matrix = groups.matrix
        for channel in 0..<matrix.rows {
            let scale = isScaled ? scales[channel] : 1
            for column in 0..<matrix.columns {
                let index = matrix.index(channel, column)
                guard assignment[index] != noCentroid else {
                    if !zerosMove { gradient[index] = 0 }
                    continue
                }
                let centroid = Int(assignment[index]) - usedCount
                sums[centroid] += Double(gradient[index] * scale)
                members[centroid] += 1
            }
        }
        for centroid in sums.indices {
            let divisor = aggregation == .average ? Double(Swift.max(members[centroid], 1)) : 1
            gradient[usedCount + centroid] = Float(sums[centroid] / divisor)
        }
    }

    package func project(_ trained: inout MutableSpan<Float>) {
        if !zerosMove { for index in zeros.indices where zeros[index] { trained[index] = 0 } }
        guard isScaled else { return }
        let (least, greatest) = (scales[groups.matrix.rows], scales[groups.matrix.rows + 1])
        for index in usedCount..<trainedCount { trained[index] = min(max(trained[index], least), greatest) }
        (trained[usedCount], trained[trainedCount - 1]) = (least, greatest)
    }

    /// One bit for each weight that is a preserved zero, then the scales.
    package var state: [UInt8] {
        var bits = [UInt8](repeating: 0, count: (zeros.count + 7) / 8)
        for index in zeros.indices where zeros[index] { bits[index / 8] |= 1 << UInt8(index % 8) }
        for scale in scales {
            for shift in [UInt32(0), 8, 16, 24] { bits.append(UInt8(scale.bitPattern >> shift & 255)) }
        }
        return bits
    }

    package func restore(_ state: [UInt8]) throws(Failure) {
        let maskSize = method.preservesZeros ? (usedCount + 7) / 8 : 0
        let expected = maskSize + (isScaled ? 4 * (groups.matrix.rows + 2) : 0)
        guard state.count == expected else {
            throw .invalidArgument("\(expected) bytes of zeros and scales were expected, found \(state.count)")
        }
        scales = stride(from: maskSize, to: expected, by: 4).map { place in
            Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(state[place + $1]) << UInt32(8 * $1) })
        }
        guard method.preservesZeros else { return }
        zeros = (0..<usedCount).map { state[$0 / 8] >> UInt8($0 % 8) & 1 == 1 }
    }
}
