/// Which weights share centroids; raw values are eo_cluster_granularity's.
package enum ClusterGranularity: UInt32, Sendable {
    /// All of a tensor.
    case tensor = 0
    /// Those of an output channel.
    case channel = 1
    /// All of a tensor, each output channel divided by its largest magnitude: folded batch normalization makes the sizes of
    /// channels differ, and quantization with a scale for each channel stores the same few numbers in all of them.
    case scaledChannels = 2
}

/// The weights of a tensor in groups that share centroids.
struct ClusterGroups {
    let matrix: WeightMatrix
    let granularity: ClusterGranularity

    init(_ matrix: WeightMatrix, _ granularity: ClusterGranularity) {
        self.matrix = matrix
        self.granularity = granularity
    }

    var count: Int { granularity == .channel ? matrix.rows : 1 }

    func channel(of place: Int) -> Int { matrix.isTransposed ? place % matrix.rows : place / matrix.columns }

    /// The group of the weight at a place in memory.
    func group(of place: Int) -> Int { granularity == .channel ? channel(of: place) : 0 }

    /// For each group the places of its weights in memory.
    var places: [[Int]] {
        guard granularity == .channel else { return [Array(0..<matrix.count)] }
        return (0..<matrix.rows).map { row in (0..<matrix.columns).map { matrix.index(row, $0) } }
    }

    /// The largest magnitude of each channel; 1 for one of zeros.
    func channelScales(_ weights: [Float]) -> [Float] {
        var scales = [Float](repeating: 0, count: matrix.rows)
        for index in 0..<matrix.count {
            let channel = channel(of: index)
            scales[channel] = max(scales[channel], weights[index].magnitude)
        }
        return scales.map { $0 >= .leastNormalMagnitude ? $0 : 1 }
    }
}

/// How few values weights have, and over what.
package struct ClusterForm: Equatable, Sendable {
    package let granularity: ClusterGranularity
    /// Different values of the tensor, also relative to the channels' largest; or of the channel with most.
    package let count: Int

    /// More values in a tensor than this are no clusters of a tensor.
    private static let limit = 256

    package init(_ weights: [Float], _ matrix: WeightMatrix) {
        let whole = Self.count(weights, matrix, .tensor)
        let relative = Self.count(weights, matrix, .scaledChannels)
        let ofChannel = Self.count(weights, matrix, .channel)
        // Centroids of single channels on the int8 grid are at most 255 numbers of it too, but not as few.
        let areShared = relative <= 2 * ofChannel || relative <= 64 && matrix.columns <= 2 * relative
        if relative < whole, relative <= Self.limit, matrix.rows > 1, areShared {
            (granularity, count) = (.scaledChannels, relative)
        } else if whole <= Self.limit || matrix.rows < 2 {
            (granularity, count) = (.tensor, whole)
        } else {
            (granularity, count) = (.channel, ofChannel)
        }
    }

    /// nil: the weights are not clustered. Those with more than `most` values count as such, and those whose number of
    /// values says nothing, because there are hardly more weights that could share them.
    package init?(clustersOf weights: [Float], _ matrix: WeightMatrix, most: Int = 256) {
        let form = ClusterForm(weights, matrix)
        let sharers = form.granularity == .channel ? matrix.columns : weights.count
        guard form.count <= most, form.count * 2 <= sharers else { return nil }
        self = form
    }

    /// Different values of those that share them.
    static func count(_ weights: [Float], _ matrix: WeightMatrix, _ granularity: ClusterGranularity) -> Int {
        let groups = ClusterGroups(matrix, granularity)
        guard granularity == .scaledChannels else {
            return groups.places.reduce(0) { most, places in max(most, distinctCount(places.map { weights[$0] })) }
        }
        let scales = groups.channelScales(weights)
        // Products of a centroid and a scale, divided by the scale again, differ in their last bits.
        return distinctCount(
            weights.indices.map { weights[$0] / scales[groups.channel(of: $0)] }, tolerance: 0x1p-20)
    }
}

/// How many different numbers there are, neighbours no further apart than `tolerance` counting as one; 0 and -0 are one.
package func distinctCount(_ values: [Float], tolerance: Float = 0) -> Int {
    var sorted = values.map { $0 == 0 ? 0 : $0 }
    sortAscending(&sorted)
    var count = sorted.isEmpty ? 0 : 1
    for index in sorted.indices.dropFirst() where sorted[index] - sorted[index - 1] > tolerance { count += 1 }
    return count
}
