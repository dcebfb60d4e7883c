import Model
import Quantization

/// What earlier steps made of a model's weights, read out of the weights themselves: where they are zero, and how few
/// values they have. A later step that keeps its promise can be asked to prove it.
package struct Preservation: Sendable {
    private struct Entry: Sendable {
        let name: String
        let matrix: WeightMatrix
        /// nil: no weight is zero, or that does not matter.
        let zeros: [Bool]?
        /// nil: they are not clustered, or that does not matter.
        let clusters: ClusterForm?
    }
    private var entries: [Entry] = []

    /// Of float weights. `where`: which tensors count, by name.
    package init(
        _ model: Model, zeros: Bool = true, clusters: Bool = true, where counts: (String) -> Bool = { _ in true }
    ) throws(Failure) {
        for weights in model.weightTensors() where counts(weights.name) {
            let values = try model.finiteWeights(weights)
            let form = clusters ? ClusterForm(clustersOf: values, weights.matrix) : nil
            let hasZeros = zeros && values.contains(0)
            guard hasZeros || form != nil else { continue }
            entries.append(
                Entry(
                    name: weights.name, matrix: weights.matrix, zeros: hasZeros ? values.map { $0 == 0 } : nil,
                    clusters: form))
        }
    }

    /// Throws, naming the tensor, if a weight that was zero no longer is, or a tensor or channel has more values than
    /// before; weights may have become integers. `EO_EXECUTION_ERROR`: a fault of the step, not of its caller.
    package func check(_ model: Model) throws(Failure) {
        let now = model.weightTensors(ofAnyType: true)
        for entry in entries {
            guard let weights = now.first(where: { $0.name == entry.name && $0.matrix == entry.matrix }),
                let values = WeightValues(model, weights.subgraph, weights.tensor)
            else { continue }
            if let zeros = entry.zeros, let lost = zeros.indices.first(where: { zeros[$0] && values.real[$0] != 0 }) {
                throw .execution(
                    "\(model.origin): weight \(lost) of '\(entry.name)' was zero and is \(values.real[lost])")
            }
            guard let before = entry.clusters, before.granularity != .scaledChannels || !model.hasOneScale(weights)
            else { continue }
            // Integers of all channels are alike, though their scales differ.
            let most = min(
                ClusterForm.count(values.stored, weights.matrix, before.granularity),
                ClusterForm.count(values.stored, weights.matrix, .tensor))
            guard most <= before.limit else {
                throw .execution("\(model.origin): '\(entry.name)' had \(before.count) values and has \(most)")
            }
        }
    }
}

extension Model {
    /// Integers that all channels scale alike, as those of recurrent layers: numbers that channels share but for a
    /// factor of their own are as many in them as there are factors.
    fileprivate func hasOneScale(_ weights: WeightTensor) -> Bool {
        subgraphs[weights.subgraph].tensors[weights.tensor].quantization?.scales.count == 1 && weights.matrix.rows > 1
    }
}

extension ClusterForm {
    /// The values of scaled channels are rounded anew by each channel's scale: one that lies between two integers may
    /// become both.
    fileprivate var limit: Int { granularity == .scaledChannels ? 2 * count : count }
}
