import Glibc

/// Histograms of the weights of several models, a row for each, as an SVG picture.
enum HistogramPlot {
    private static let (width, height, gap) = (180.0, 70.0, 30.0)

    /// Those of the `most` tensors with most weights in the first model.
    static func svg(_ leaves: [Leaf], most: Int = 4) -> String {
        let all = leaves.first?.histograms ?? []
        let largest = all.sorted { $0.counts.reduce(0, +) > $1.counts.reduce(0, +) }.prefix(most).map(\.name)
        let size = (
            Int((width + gap) * Double(largest.count) + gap), Int((height + gap) * Double(leaves.count) + gap)
        )
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(size.0)\" height=\"\(size.1)\""
                + " font-family=\"sans-serif\" font-size=\"9\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        ]
        for (row, leaf) in leaves.enumerated() {
            for (column, name) in largest.enumerated() {
                guard let histogram = leaf.histograms?.first(where: { $0.name == name }) else { continue }
                let (x, y) = (gap + (width + gap) * Double(column), gap + (height + gap) * Double(row))
                lines.append("<text x=\"\(x)\" y=\"\(y - 4)\">\(escaped("\(leaf.name): \(name.suffix(24))"))</text>")
                lines.append("<path fill=\"steelblue\" d=\"\(path(histogram, x, y))\"/>")
                lines.append("<text x=\"\(x)\" y=\"\(y + height + 10)\">\(number(histogram.from))</text>")
                lines.append(
                    "<text x=\"\(x + width)\" y=\"\(y + height + 10)\" text-anchor=\"end\">\(number(histogram.to))</text>"
                )
            }
        }
        return (lines + ["</svg>\n"]).joined(separator: "\n")
    }

    /// On a logarithmic scale, so that few weights beside many zeros are seen.
    private static func path(_ histogram: Leaf.Histogram, _ x: Double, _ y: Double) -> String {
        let tops = histogram.counts.map { log(1 + Double($0)) }
        let most = max(tops.max() ?? 0, 1e-9)
        let step = width / Double(max(1, tops.count))
        var words = [format("M%.1f %.1f", x, y + height)]
        for (index, top) in tops.enumerated() {
            words.append(format("V%.1fH%.1f", y + height - height * top / most, x + step * Double(index + 1)))
        }
        return words.joined() + format("V%.1fZ", y + height)
    }

    private static func escaped(_ text: String) -> String {
        String(text.flatMap { $0 == "<" ? "&lt;" : $0 == "&" ? "&amp;" : String($0) })
    }
}
