import CKernels
import CPlatform
import Model

/// Weights in the order the micro-kernels read them. Made once for each constant and form, shared by all interpreters
/// of a model, released with the last of them. With a file attached they come from there, if it has them.
package final class PackedWeightCache: @unchecked Sendable {
    /// Which weights in which packed form.
    private struct Key: Equatable {
        /// What the bytes are if that is known, else where they lie.
        let source: UInt64
        let count: Int
        let form: String

        init(_ weights: Bytes, _ form: Sentence) {
            source = weights.identity != 0 ? weights.identity : UInt64(UInt(bitPattern: weights.baseAddress))
            count = weights.count
            self.form = form.text
        }
    }
    private struct Entry {
        let key: Key
        /// Keeps an address in the key from being reused, and serves to name the contents in a file.
        let source: Bytes?
        var packed: Storage
        var label: WeightFile.Label
        let isDerived: Bool
    }

    private let mutex: OpaquePointer
    private var entries: [Entry] = []
    private var memory = PackedMemory()
    private var file: WeightFile?

    package init() throws(Failure) {
        guard let mutex = platform_mutex_create() else { throw .outOfMemory(64) }
        self.mutex = mutex
    }

    deinit { platform_mutex_destroy(mutex) }

    /// The packed form of `weights`: `count` bytes filled by `pack` (it gets zeros) if neither memory nor the file has
    /// it. `form` names everything the packing depends on: kernel, shape, folded constants. Packed weights take the
    /// place of their source: the memory of a mapped source is given back. Any thread.
    package func packed(
        _ weights: Bytes, form: Sentence, count: Int, _ pack: (UnsafeMutableRawPointer) throws(Failure) -> Void
    ) throws(Failure) -> Storage {
        let begun = try begin(weights, form, count: count)
        guard begun.isNew else { return begun.packed }
        do throws(Failure) { try pack(UnsafeMutableRawPointer(mutating: Bytes(begun.packed).baseAddress)) } catch {
            platform_mutex_unlock(mutex)
            throw error
        }
        finish(begun.key, weights, begun.packed)
        return begun.packed
    }

    // `packed` and `derived` are expanded where they are called, so they are short: these are not.

    /// If it is new the mutex stays locked, for `finish` to unlock.
    @inline(never) private func begin(
        _ weights: Bytes, _ form: Sentence, count: Int
    ) throws(Failure) -> (key: Key, packed: Storage, isNew: Bool) {
        let key = Key(weights, form)
        platform_mutex_lock(mutex)
        if let packed = find(key) ?? findInFile(key, weights, count: count) {
            platform_mutex_unlock(mutex)
            // Who asks may have looked at them, or at what lies beside them.
            weights.forget()
            return (key, packed, false)
        }
        do throws(Failure) {
            try weights.compute()
            return (key, try memory.allocate(count), true)
        } catch {
            platform_mutex_unlock(mutex)
            throw error
        }
    }

    @inline(never) private func finish(_ key: Key, _ weights: Bytes, _ packed: Storage) {
        add(key, weights, packed)
        weights.forget()
        platform_mutex_unlock(mutex)
    }

    /// Have memory or the file the packed form that `packed` would ask for? Any thread.
    func isPacked(_ weights: Bytes, form: Sentence, count: Int) -> Bool {
        let key = Key(weights, form)
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        return find(key) != nil || findInFile(key, weights, count: count) != nil
    }

    /// Another constant computed from `weights`, made by `make` unless it is there already. It is kept as long as
    /// somebody uses it: see `releaseUnused`. Any thread.
    package func derived(
        _ weights: Bytes, form: Sentence, _ make: () throws(Failure) -> Storage
    ) throws(Failure) -> Storage {
        let key = Key(weights, form)
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        if let made = find(key) { return made }
        try weights.compute()
        let made = try make()
        keep(made, key, weights)
        return made
    }

    /// `weights` [rows][columns] as [columns][rows], elements of 1, 2 or 4 bytes.
    package func transposed(
        _ weights: Bytes, rows: Int, columns: Int, elementSize: Int
    ) throws(Failure) -> Bytes {
        try expect(weights, "weights", count: rows * columns, size: elementSize)
        let form: Sentence = "transposed \(elementSize) \(rows)x\(columns)"
        let transposed = try derived(weights, form: form) { () throws(Failure) in
            try allocatePacked(rows * columns * elementSize) { to in
                eo_transpose(
                    elementSize, rows, columns, weights.baseAddress, columns * elementSize, to, rows * elementSize)
            }
        }
        return Bytes(transposed)
    }

    @inline(never) private func keep(_ made: Storage, _ key: Key, _ weights: Bytes) {
        weights.forget()
        // The same computation from the same source: the same bytes.
        if weights.identity != 0 { made.identify(as: WeightFile.digest(key.form, seed: weights.identity) | 1) }
        entries.append(
            Entry(key: key, source: weights, packed: made, label: WeightFile.Label(form: 0), isDerived: true))
    }

    /// The same for half-precision numbers of known identity as float32, but deferred: for what is only packed. Not
    /// shared.
    package func widened(_ weights: Bytes, form: Sentence) -> Storage {
        Storage.deferred(
            weights, count: 2 * weights.count, identity: WeightFile.digest(form.text, seed: weights.identity) | 1
        ) { kernelTable.pointee.f16_to_f32($0.count / 2, $0.baseAddress, $1, nil) }
    }

    /// Lets go of derived constants that nobody but the cache holds: they have been packed. Any thread.
    package func releaseUnused() {
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        // The latest first: they hold those they were derived from.
        for index in entries.indices.reversed() where entries[index].isDerived {
            if isKnownUniquelyReferenced(&entries[index].packed) { entries.remove(at: index) }
        }
    }

    // MARK: The file

    /// Takes packed weights from the file at `path` from now on, if it is there and serves; what is wrong with it is
    /// returned. `model`: which model it is for; of another model's file nothing unused is kept. Any thread.
    package func attach(_ path: String, model: UInt64) -> Sentence? {
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        if let file, file.path == path { return nil }
        let opened = WeightFile(path, model: model)
        file = opened
        return opened.complaint
    }

    /// Writes the attached file anew if it lacks something that was packed. Any thread.
    package func save() throws(Failure) {
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        guard let file else { return }
        for index in entries.indices where !entries[index].isDerived && entries[index].label.contents == 0 {
            if let source = entries[index].source { entries[index].label.contents = WeightFile.contents(of: source) }
        }
        try file.save(entries.filter { !$0.isDerived }.map { WeightFile.Item(label: $0.label, packed: $0.packed) })
    }

    /// What was chosen for `question` when it was last asked; nil: it was not. Any thread.
    package func choice(_ question: Sentence) -> Int? {
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        let key = Key(Self.noWeights, question)
        guard let answer = find(key) ?? findInFile(key, Self.noWeights, count: 8) else { return nil }
        return Int(Bytes(answer).baseAddress.load(as: Int64.self))
    }

    /// Remembers a choice, in the file too. Any thread.
    package func choose(_ answer: Int, for question: Sentence) throws(Failure) {
        _ = try packed(Self.noWeights, form: question, count: 8) { $0.storeBytes(of: Int64(answer), as: Int64.self) }
    }

    private static let noWeights: Bytes = {
        let nothing = Storage.borrow(nil, count: 0)
        nothing.identify(as: 1)
        return Bytes(nothing)
    }()

    private func findInFile(_ key: Key, _ weights: Bytes, count: Int) -> Storage? {
        guard let file else { return nil }
        var label = WeightFile.Label(key.form, weights)
        guard let packed = file.packed(&label, weights, count: count) else { return nil }
        entries.append(Entry(key: key, source: weights.source, packed: packed, label: label, isDerived: false))
        return packed
    }

    private func add(_ key: Key, _ weights: Bytes, _ packed: Storage) {
        var label = WeightFile.Label(key.form, weights)
        let weights = weights.source
        // While they are in the processor's cache; and not later, where the source would be kept for it.
        let isComputed = weights.identity != 0 && !weights.isMapped
        if file != nil || isComputed { label.contents = WeightFile.contents(of: weights) }
        entries.append(
            Entry(
                key: key, source: isComputed ? nil : weights, packed: packed, label: label, isDerived: false))
    }

    @inline(never) private func find(_ key: Key) -> Storage? { entries.first { $0.key == key }?.packed }

    /// Bytes of all packed weights and derived constants.
    package var byteCount: Int {
        platform_mutex_lock(mutex)
        defer { platform_mutex_unlock(mutex) }
        return entries.reduce(0) { $0 + $1.packed.count }
    }
}

/// Memory for packed weights: they lie one after the other in few large blocks, whose pages cost nothing until they
/// are filled.
private struct PackedMemory {
    private var block: Storage?
    private var used = 0
    private var total = 0

    /// Zeroed, 64-byte aligned.
    mutating func allocate(_ count: Int) throws(Failure) -> Storage {
        guard count >= 0, count < 1 << 46 else { throw .outOfMemory(count) }
        let size = (count + 63) & ~63
        if block == nil || size > (block?.count ?? 0) - used {
            // Whole large pages once there is enough to fill them: weights pass by too fast for small ones.
            let usual = total < 1 << 20 ? max(1 << 18, total) : min(32 << 20, max(4 << 20, total))
            let large = 2 << 20
            let wanted = max(size, usual)
            block = try Storage.pages(wanted < 4 << 20 ? wanted : (wanted + large - 1) / large * large)
            used = 0
        }
        guard let part = block?.part(offset: used, count: count) else { throw .outOfMemory(count) }
        used += size
        total += size
        return part
    }
}
