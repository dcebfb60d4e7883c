import CPlatform
import Model

/// Weights in the order the micro-kernels read them. Made once for each constant and form, shared by all interpreters
/// of a model, released with the last of them.
package final class PackedWeightCache: @unchecked Sendable {
    /// Which weights (where their bytes lie) in which packed form.
    package struct Key: Equatable {
        let address: UInt
        let count: Int
        let form: String

        /// `form` names everything the packing depends on: kernel, shape, folded constants.
        package init(_ weights: Bytes, form: Sentence) {
            address = UInt(bitPattern: weights.baseAddress)
            count = weights.count
            self.form = form.text
        }
    }
    private struct Entry {
        let key: Key
        /// Keeps the address in the key from being reused.
        let source: Bytes
        let packed: Storage
    }

    private let mutex: OpaquePointer
    private var entries: [Entry] = []

    package init() throws(Failure) {
        guard let mutex = platform_mutex_create() else { throw .outOfMemory(64) }
        self.mutex = mutex
    }

    deinit { platform_mutex_destroy(mutex) }

    /// The packed form of `weights`, made by `pack` if it is not there yet. Any thread.
    package func packed(
        _ weights: Bytes, form: Sentence, _ pack: () throws(Failure) -> Storage
    ) throws(Failure) -> Storage {
        let key = Key(weights, form: form)
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        if let packed = find(key) { return packed }
        let packed = try pack()
        add(Entry(key: key, source: weights, packed: packed))
        return packed
    }

    // Not inlined: `packed` is expanded where it is called.
    @inline(never) private func find(_ key: Key) -> Storage? { entries.first { $0.key == key }?.packed }
    @inline(never) private func add(_ entry: Entry) { entries.append(entry) }

    /// Bytes of all packed weights.
    package var byteCount: Int {
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        return entries.reduce(0) { $0 + $1.packed.count }
    }
}
