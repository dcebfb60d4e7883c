/// Numbers as TFLite's tools sum them up.
struct Statistics {
    private(set) var values: [Double] = []

    mutating func add(_ value: Double) { values.append(value) }

    var count: Int { values.count }
    var sum: Double { values.reduce(0, +) }
    var average: Double { values.isEmpty ? 0 : sum / Double(count) }
    var first: Double { values.first ?? 0 }
    /// Of the whole, not of a sample of it.
    var standardDeviation: Double {
        let mean = average
        return values.isEmpty ? 0 : (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)).squareRoot()
    }

    /// The smallest value that at least this share of all are not above.
    func percentile(_ percent: Int) -> Double {
        let sorted = values.sorted()
        return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, sorted.count * percent / 100)]
    }

    /// "count=50 first=330 curr=274 min=232 max=415 avg=275.5 std=44 p5=240 median=270 p95=400"
    var line: String {
        guard let last = values.last else { return "count=0" }
        let (low, high) = (values.min()!, values.max()!)
        guard low < high else { return "count=\(count) curr=\(number(last))\(count > 1 ? "(all same)" : "")" }
        return "count=\(count) first=\(whole(first)) curr=\(whole(last)) min=\(whole(low)) max=\(whole(high))"
            + " avg=\(number(average)) std=\(Int(standardDeviation))"
            + " p5=\(whole(percentile(5))) median=\(whole(percentile(50))) p95=\(whole(percentile(95)))"
    }

    private func whole(_ value: Double) -> String { format("%.0f", value) }
}
