import ArgumentParser
import CEdgeOpt

/// What one smaller form of the model is worth.
struct Leaf: Encodable {
    let name: String
    let accuracy: Double?
    let size: Int
    let deflatedSize: Int
    let distinct: Int
    let sparsity: Double
    /// Milliseconds.
    let latency: Double
    /// Of each weight tensor, where they were asked for.
    var histograms: [Histogram]?

    struct Histogram: Encodable {
        let name: String
        let from: Double
        let to: Double
        let counts: [Int64]
    }

    static func print(_ leaves: [Leaf]) {
        var table = Table("model", "accuracy", "bytes", "deflated", "distinct", "zeros", "ms")
        for leaf in leaves {
            table.add(
                leaf.name, leaf.accuracy.map { format("%.4f", $0) } ?? "", "\(leaf.size)", "\(leaf.deflatedSize)",
                "\(leaf.distinct)", format("%.1f %%", 100 * leaf.sparsity), format("%.3f", leaf.latency))
        }
        table.print()
    }
}

/// How far to prune and to cluster, how to quantize, and whether that is trained.
struct Level {
    let scheme: LeafScheme
    let sparsity: Double?
    let clusters: Int32?
    var isAware = false

    init(_ scheme: LeafScheme, _ sparsity: Double? = nil, _ clusters: Int32? = nil) {
        (self.scheme, self.sparsity, self.clusters) = (scheme, sparsity, clusters)
    }

    /// From what costs least accuracy to what costs most.
    static let all = [
        Level(.float32), Level(.float16), Level(.dynamicRange), Level(.int8), Level(.int8, 0.3), Level(.int8, nil, 32),
        Level(.int8, 0.5), Level(.int8, 0.5, 32), Level(.int8, 0.6, 16), Level(.int8, 0.75, 16), Level(.int8, 0.8, 8),
        Level(.int8, 0.9, 8),
    ]

    /// This level, and where that can be trained the same with quantization-aware training.
    func forms(trained: Bool) -> [Level] {
        var aware = self
        aware.isAware = true
        return trained && scheme.needsSamples ? [self, aware] : [self]
    }

    var name: String {
        let words = [
            sparsity.map { "pruned" + format("%g", 100 * $0) }, clusters.map { "clustered\($0)" }, scheme.rawValue,
            isAware ? "qat" : nil,
        ]
        return words.compactMap { $0 }.joined(separator: "_")
    }
}

enum LeafScheme: String, ExpressibleByArgument, CaseIterable {
    case float32, float16
    case dynamicRange = "dynamic_range"
    case int8, int16x8

    var needsSamples: Bool { self == .int8 || self == .int16x8 }

    /// nil: not quantized.
    var value: eo_scheme? { Scheme(rawValue: rawValue)?.value }
}
