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
}
