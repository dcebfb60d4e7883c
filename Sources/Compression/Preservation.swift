import Model
import Quantization

/// What earlier steps made of a model's weights, read out of the weights themselves: where they are zero, and how few
/// values they have. A later step that keeps its promise can be asked to prove it.
package struct Preservation: Sendable {
    struct Entry: Sendable {
        let name: String
        let matrix: WeightMatrix
        /// nil: no weight is zero.
        let zeros: [Bool]?
        let form: ClusterForm
    }
    private(set) var entries: [Entry] = []

    package init(_ model: Model) throws(Failure) {
        for weights in model.weightTensors() {
            let values = try model.finiteWeights(weights)
            let zeros = values.map { $0 == 0 }
            entries.append(
                Entry(
                    name: weights.name, matrix: weights.matrix, zeros: zeros.contains(true) ? zeros : nil,
                    form: ClusterForm(values, weights.matrix)))
        }
    }

    /// Throws, naming the tensor, if a weight that was zero no longer is, or a tensor or channel has more values than
    /// before. `EO_EXECUTION_ERROR`: a fault of the step, not of its caller.
    package func check(_ model: Model, zeros checkZeros: Bool = true, clusters checkClusters: Bool = true)
        throws(Failure)
    {
        let now = model.weightTensors()
        for entry in entries {
            guard let weights = now.first(where: { $0.name == entry.name && $0.matrix == entry.matrix }) else {
                continue
            }
            let values = try model.finiteWeights(weights)
            if checkZeros, let zeros = entry.zeros,
                let lost = zeros.indices.first(where: { zeros[$0] && values[$0] != 0 })
            {
                throw .execution("\(model.origin): weight \(lost) of '\(entry.name)' was zero and is \(values[lost])")
            }
            guard checkClusters else { continue }
            let form = ClusterForm(values, weights.matrix)
            // Fewer values may look like another form.
            let isSame = form.granularity == entry.form.granularity || entry.form.granularity != .channel
            if form.granularity == .channel && entry.form.granularity != .channel
                || isSame && form.count > entry.form.count
            {
                throw .execution(
                    "\(model.origin): '\(entry.name)' had \(entry.form.count) values and has \(form.count)")
            }
        }
    }
}
