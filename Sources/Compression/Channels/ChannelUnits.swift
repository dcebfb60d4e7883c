import Model

/// Channels that can only be removed together, as sets that grow (union-find with path halving).
struct ChannelUnits {
    /// A channel that a filter produces.
    struct Source: Equatable {
        let producer: Int
        let channel: Int
    }
    private var parents: [Int] = []
    private var sources: [[Source]] = []
    private var reasons: [String?] = []

    /// New channels of their own. `reason`: why they cannot be removed.
    mutating func make(_ count: Int, producer: Int? = nil, reason: String? = nil) -> [Int] {
        let first = parents.count
        for index in 0..<count {
            parents.append(first + index)
            sources.append(producer.map { [Source(producer: $0, channel: index)] } ?? [])
            reasons.append(reason)
        }
        return Array(first..<first + count)
    }

    mutating func root(_ unit: Int) -> Int {
        var unit = unit
        while parents[unit] != unit {
            parents[unit] = parents[parents[unit]]
            unit = parents[unit]
        }
        return unit
    }

    /// Element by element: these go or stay together. Both have the same number.
    mutating func join(_ left: [Int], _ right: [Int]) {
        for (a, b) in zip(left, right) {
            let (low, high) = (min(root(a), root(b)), max(root(a), root(b)))
            guard low != high else { continue }
            parents[high] = low
            sources[low] += sources[high]
            reasons[low] = reasons[low] ?? reasons[high]
        }
    }

    mutating func pin(_ units: [Int], _ reason: String) {
        for unit in units {
            let place = root(unit)
            reasons[place] = reasons[place] ?? reason
        }
    }

    /// The sets with channels of filters, in the order they were made.
    mutating func sets() -> [(root: Int, sources: [Source], reason: String?)] {
        var found: [(root: Int, sources: [Source], reason: String?)] = []
        for unit in parents.indices where parents[unit] == unit && !sources[unit].isEmpty {
            found.append((unit, sources[unit], reasons[unit]))
        }
        return found
    }
}
