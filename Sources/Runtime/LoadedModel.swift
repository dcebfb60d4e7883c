import Kernels
import Model
import Operators

/// A model as its interpreters share it: the weights, packed forms and constants computed from them exist once.
/// Any thread.
package final class LoadedModel: Sendable {
    package let model: Model
    package let weights: PackedWeightCache

    package init(_ model: Model) throws(Failure) {
        self.model = model
        weights = try PackedWeightCache()
    }

    /// Tells models apart, by their structure: which of them a file of packed weights was made for.
    var key: UInt64 {
        var hash = UInt64(model.buffers.count)
        for number in model.buffers.map({ $0.data?.count ?? 0 }) + model.subgraphs.map({ $0.operators.count }) {
            hash = (hash ^ UInt64(truncatingIfNeeded: number)) &* 0x9e37_79b9_7f4a_7c15
            hash ^= hash >> 29
        }
        return hash
    }
}
