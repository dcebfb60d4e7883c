import Kernels
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
    /// As of the last `use`.
    private var clusters: Clusters

    package init(
        _ matrix: WeightMatrix, method: ClusteringMethod, granularity: ClusterGranularity,
        aggregation: Aggregation = .sum
    ) throws(Failure) {
        try method.validate()
        groups = ClusterGroups(matrix, granularity)
        self.method = method
        self.aggregation = aggregation
        count = method.preservesZeros ? method.count - 1 : method.count
        guard groups.count * count <= Int(Int32.max) else {
            throw .invalidArgument("\(groups.count) channels of \(count) centroids are too many")
        }
        clusters = Clusters(weights: matrix.count, groups: groups.count, centroids: count)
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

    private var isScaled: Bool { groups.granularity == .scaledChannels }

    private func channel(_ row: Int) -> Clusters.Channel {
        let matrix = groups.matrix
        return Clusters.Channel(
            first: matrix.index(row, 0), step: matrix.isTransposed ? matrix.rows : 1, count: matrix.columns,
            group: groups.granularity == .channel ? row : 0, scale: isScaled ? scales[row] : 1)
    }

    package func use(_ trained: Span<Float>, into used: inout MutableSpan<Float>, step: Int) {
        clusters.sort(trained.extracting(usedCount..<trainedCount))
        for row in 0..<groups.matrix.rows {
            let reaches = clusters.use(channel(row), trained, zeros: zeros, into: &used)
            if isScaled, !reaches { keepLargest(row, trained, &used) }
        }
    }

    /// In each channel some weight has the magnitude of its scale, so that quantization finds that scale: if none is left,
    /// the largest takes it.
    private func keepLargest(_ row: Int, _ trained: Span<Float>, _ used: inout MutableSpan<Float>) {
        let (matrix, scale) = (groups.matrix, scales[row])
        let ends = [(0, scales[matrix.rows]), (clusters.noCentroid - 1, scales[matrix.rows + 1])]
        var (largest, most) = (-1, -Float.infinity)
        for column in 0..<matrix.columns {
            let index = matrix.index(row, column)
            guard clusters.assignment[index] != Int32(clusters.noCentroid), trained[index].magnitude > most else {
                continue
            }
            (largest, most) = (index, trained[index].magnitude)
        }
        guard largest >= 0 else { return }
        let wanted = trained[largest] < 0 ? 0 : 1
        let end = ends[wanted].1.magnitude == 1 ? ends[wanted] : ends[1 - wanted]
        clusters.assign(largest, to: end.0)
        used[largest] = end.1 * scale
    }

    package func pullBack(_ gradient: inout MutableSpan<Float>, trained: Span<Float>) {
        var sums = [Double](repeating: 0, count: clusters.noCentroid + 1)
        var members = [Int32](repeating: 0, count: sums.count)
        for row in 0..<groups.matrix.rows {
            clusters.sum(channel(row), &gradient, zeros: zeros, clears: !zerosMove, &sums, &members)
        }
        for centroid in 0..<clusters.noCentroid {
            let divisor = aggregation == .average ? Double(Swift.max(members[centroid], 1)) : 1
            gradient[usedCount + centroid] = Float(sums[centroid] / divisor)
        }
    }

    package func project(_ trained: inout MutableSpan<Float>) {
        // Zeros stay: they have no gradient.
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
