/// Scores of the units of one tensor that can be compared with those of another: the square of each, over that of all
/// that are not smaller (LAMP; Lee, Park, Mo, Ahn, Shin, Layer-adaptive Sparsity for the Magnitude-based Pruning, 2021).
/// Within the tensor their order stays, and no tensor's largest goes before another's largest. Magnitudes themselves
/// depend on the scale of a layer, which batch normalization behind it makes arbitrary: comparing them empties layers.
func layerAdaptiveScores(_ magnitudes: [Float]) -> [Float] {
    var sorted = magnitudes
    sortAscending(&sorted)
    var sums = [Double](repeating: 0, count: sorted.count + 1)
    for index in sorted.indices.reversed() {
        sums[index] = sums[index + 1] + Double(sorted[index]) * Double(sorted[index])
    }
    return magnitudes.map { magnitude in
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < magnitude { low = middle + 1 } else { high = middle }
        }
        return sums[low] > 0 ? Float(Double(magnitude) * Double(magnitude) / sums[low]) : 0
    }
}
