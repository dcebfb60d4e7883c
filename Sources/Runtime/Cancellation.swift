import CEdgeOpt
import Model
import Synchronization

/// The wish that a running invoke, or else the next one, should end. Any thread.
final class Cancellation: Sendable {
    private let isWanted = Atomic<Bool>(false)

    func request() { isWanted.store(true, ordering: .releasing) }

    /// Throws EO_CANCELLED, once for a request.
    func check() throws(Failure) {
        guard isWanted.load(ordering: .relaxed), isWanted.exchange(false, ordering: .acquiring) else { return }
        throw Failure(EO_CANCELLED, "the call was cancelled")
    }
}
