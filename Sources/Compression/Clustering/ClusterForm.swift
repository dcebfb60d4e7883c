/// How few values weights have: in the whole tensor, or else in each output channel.
package struct ClusterForm: Equatable, Sendable {
    package let perChannel: Bool
    /// Different values of the tensor; or of the channel with most.
    package let count: Int

    /// More values in a tensor than this are no clusters of a tensor.
    private static let limit = 256

    package init(_ weights: [Float], _ matrix: WeightMatrix) {
        let whole = distinctCount(weights)
        if whole <= Self.limit || matrix.rows < 2 {
            (perChannel, count) = (false, whole)
            return
        }
        perChannel = true
        count = ClusterGroups(matrix, perChannel: true).places.reduce(0) { most, places in
            max(most, distinctCount(places.map { weights[$0] }))
        }
    }
}

/// How many different numbers there are; 0 and -0 are one.
package func distinctCount(_ values: [Float]) -> Int {
    var sorted = values.map { $0 == 0 ? 0 : $0 }
    sortAscending(&sorted)
    var count = sorted.isEmpty ? 0 : 1
    for index in sorted.indices.dropFirst() where sorted[index] != sorted[index - 1] { count += 1 }
    return count
}
