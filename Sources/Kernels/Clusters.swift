import CKernels

/// Weights that share the values of centroids, each the nearest (clusters.h), in groups with centroids of their own. One
/// thread at a time.
package struct Clusters {
    private let centroids: Int
    private let groups: Int
    /// Of each group the centroids in ascending order, then one for zeros.
    private var sorted: [eo_cluster]
    private var cluster: [Int32]
    /// Of each weight: among those of all groups; `noCentroid` for a kept zero.
    package private(set) var assignment: [Int32]
    package var noCentroid: Int { centroids * groups }

    /// The weights of a channel: every `step`-th from `first` on. `scale`: theirs, or 1.
    package struct Channel {
        let first: Int
        let step: Int
        let count: Int
        let group: Int
        let scale: Float

        package init(first: Int, step: Int, count: Int, group: Int, scale: Float) {
            (self.first, self.step, self.count, self.group, self.scale) = (first, step, count, group, scale)
        }
    }

    package init(weights: Int, groups: Int, centroids: Int) {
        (self.groups, self.centroids) = (groups, centroids)
        cluster = [Int32](repeating: 0, count: weights)
        assignment = cluster
        sorted = []
        for group in 0..<groups {
            for index in 0...centroids {
                let number = index < centroids ? group * centroids + index : groups * centroids
                sorted.append(eo_cluster(value: 0, above: 0, up_to: 0, centroid: Int32(number)))
            }
        }
    }

    /// `values`: of all centroids, group after group.
    package mutating func sort(_ values: Span<Float>) {
        for group in 0..<groups {
            let first = group * (centroids + 1)
            for index in first..<first + centroids {
                var moved = sorted[index]
                moved.value = values[Int(moved.centroid)]
                // They are in order already, but for a few.
                var place = index
                while place > first, moved.isBefore(sorted[place - 1]) {
                    sorted[place] = sorted[place - 1]
                    place -= 1
                }
                sorted[place] = moved
            }
            for index in first..<first + centroids {
                sorted[index].above =
                    index > first ? midpoint(sorted[index - 1].value, sorted[index].value) : -.infinity
                if index > first { sorted[index - 1].up_to = sorted[index].above }
                sorted[index].up_to = .infinity
            }
        }
    }

    /// Gives the weights of a channel their values. `zeros`: the weights that are to be zero, empty: none. True: one has
    /// the magnitude of the scale.
    package mutating func use(
        _ channel: Channel, _ weights: Span<Float>, zeros: [Bool], into used: inout MutableSpan<Float>
    ) -> Bool {
        precondition(weights.count >= cluster.count && used.count >= cluster.count)
        return with(channel, zeros) { clustered in
            weights.withUnsafeBufferPointer { weights in
                used.withUnsafeMutableBufferPointer { used in
                    withUnsafePointer(to: clustered) { eo_clusters_use($0, weights.baseAddress!, used.baseAddress!) }
                }
            }
        }
    }

    /// Adds the gradients of a channel's weights to those of their centroids, the last of which is that of zeros, and
    /// counts them. `clears`: the gradients of zeros become 0.
    package mutating func sum(
        _ channel: Channel, _ gradient: inout MutableSpan<Float>, zeros: [Bool], clears: Bool, _ sums: inout [Double],
        _ members: inout [Int32]
    ) {
        precondition(gradient.count >= cluster.count && sums.count > noCentroid && members.count > noCentroid)
        with(channel, zeros) { clustered in
            gradient.withUnsafeMutableBufferPointer { gradient in
                withUnsafePointer(to: clustered) {
                    eo_clusters_sum($0, gradient.baseAddress!, clears, &sums, &members)
                }
            }
        }
    }

    package mutating func assign(_ weight: Int, to centroid: Int) { assignment[weight] = Int32(centroid) }

    private mutating func with<Result>(
        _ channel: Channel, _ zeros: [Bool], _ body: (eo_clustered) -> Result
    ) -> Result {
        precondition(channel.count == 0 || channel.first + (channel.count - 1) * channel.step < cluster.count)
        precondition(channel.group < groups && (zeros.isEmpty || zeros.count >= cluster.count))
        return sorted.withUnsafeBufferPointer { sorted in
            zeros.withUnsafeBufferPointer { zeros in
                cluster.withUnsafeMutableBufferPointer { cluster in
                    assignment.withUnsafeMutableBufferPointer { assignment in
                        body(
                            eo_clustered(
                                first: channel.first, step: channel.step, count: channel.count, scale: channel.scale,
                                clusters: sorted.baseAddress! + channel.group * (centroids + 1),
                                cluster_count: centroids, zeros: zeros.isEmpty ? nil : zeros.baseAddress,
                                cluster: cluster.baseAddress!, centroid: assignment.baseAddress!))
                    }
                }
            }
        }
    }
}

extension eo_cluster {
    fileprivate func isBefore(_ other: eo_cluster) -> Bool {
        value == other.value ? centroid < other.centroid : value < other.value
    }
}

/// Of numbers as large as floats can be, too.
package func midpoint(_ a: Float, _ b: Float) -> Float { a / 2 + b / 2 }
