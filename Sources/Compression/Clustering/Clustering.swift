import Model
import Quantization

package struct ClusteringOptions {
    package var method = ClusteringMethod()
    package var granularity = ClusterGranularity.scaledChannels
    package var includesDepthwise = false
    /// Also the layers that read the model's inputs.
    package var includesFirst = false
    /// Numbers of clusters of layers by name; 0 leaves a layer alone.
    package var rules: [LayerTarget] = []

    package init() {}

    func validate() throws(Failure) {
        try method.validate()
        for rule in rules where rule.value != 0 && !(rule.value >= 2 && rule.value <= 1024) {
            throw .invalidArgument("\(rule.value) clusters: expected 2 to 1024, or 0 to leave a layer alone")
        }
    }
}

extension Model {
    /// The model with the weights of each tensor, or of each output channel, replaced by at most `count` values, the
    /// centroids that k-means finds (Han et al., "Deep Compression", 2016). Constants are folded and float16 weights made float32 first. Throws
    /// `EO_UNSUPPORTED` if there is nothing to cluster.
    package func clustered(_ options: ClusteringOptions) throws(Failure) -> Model {
        try options.validate()
        var model = try preparedForQuantization()
        let zeros = try Preservation(model, zeros: options.method.preservesZeros, clusters: false)
        for (weights, count) in try model.clusterableWeights(options) {
            var method = options.method
            method.count = count
            let values = try model.finiteWeights(weights)
            try model.replace(
                weights, clusteredValues(values, weights.matrix, method, options.granularity))
        }
        try zeros.check(model)
        return model
    }

    /// The weights that the options select, each with its number of clusters.
    package func clusterableWeights(
        _ options: ClusteringOptions
    ) throws(Failure) -> [(weights: WeightTensor, count: Int)] {
        var chosen: [(weights: WeightTensor, count: Int)] = []
        for weights in weightTensors() {
            let isNamed = options.rules.value(for: weights, otherwise: -1) > 0
            let isLeftOut =
                weights.kind == .depthwise && !options.includesDepthwise || weights.isFirst && !options.includesFirst
            let count = Int(options.rules.value(for: weights, otherwise: Double(options.method.count)))
            if count > 0, isNamed || !isLeftOut { chosen.append((weights, count)) }
        }
        guard !chosen.isEmpty else {
            throw .unsupported("\(origin): there are no float weights that these options would cluster")
        }
        return chosen
    }
}

/// Finite weights, each replaced by the nearest centroid of its tensor or channel.
package func clusteredValues(
    _ weights: [Float], _ matrix: WeightMatrix, _ method: ClusteringMethod, _ granularity: ClusterGranularity
) -> [Float] {
    let groups = ClusterGroups(matrix, granularity)
    let scales = granularity == .scaledChannels ? groups.channelScales(weights) : []
    var method = method
    // Each channel's largest weight stays, so that its scale is found again.
    method.keepsEnds = granularity == .scaledChannels
    var result = weights
    for places in groups.places {
        let values = places.map { scales.isEmpty ? weights[$0] : weights[$0] / scales[groups.channel(of: $0)] }
        let centroids = method.centroids(of: values)
        // Weights that are not zero must not fall to the zero that is kept for those that are.
        let others = method.preservesZeros && values.contains(0) ? centroids.filter { $0 != 0 } : centroids
        for (place, value) in zip(places, values) {
            if method.preservesZeros && value == 0 || others.isEmpty { continue }
            let centroid = others[nearest(value, others)]
            result[place] = scales.isEmpty ? centroid : centroid * scales[groups.channel(of: place)]
        }
    }
    return result
}
