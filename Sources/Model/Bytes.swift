import CEdgeOpt
import CPlatform

/// A block of memory and how it is released. Weights stay in the block they came in: a mapped file, memory of the
/// caller, or a block of our own.
@safe package final class Storage: @unchecked Sendable {
    fileprivate enum Origin { case file, pages, borrowed, allocated, part, deferred }
    /// Fills memory with what is computed from some bytes.
    @unsafe package typealias Fill = (Bytes, UnsafeMutableRawPointer) -> Void
    @unsafe fileprivate private(set) var base: UnsafeMutableRawPointer?
    package let count: Int
    fileprivate private(set) var origin: Origin
    /// The storage that a part lies in.
    private let whole: Storage?
    /// What the contents of deferred storage are computed from, and how.
    fileprivate var source: Bytes?
    @unsafe private var fill: Fill?
    /// What the contents are, where that is known without reading them: of a mapped file, or computed in a known way
    /// from one. Another storage with this number holds the same bytes. 0: not known.
    package private(set) var identity: UInt64

    @unsafe private init(
        base: UnsafeMutableRawPointer?, count: Int, origin: Origin, whole: Storage? = nil, identity: UInt64 = 0
    ) {
        unsafe self.base = base
        self.count = count
        self.origin = origin
        self.whole = whole
        self.identity = identity
    }

    deinit {
        guard let base = unsafe base else { return }
        switch origin {
        case .file, .pages: unsafe platform_unmap(base, count)
        case .allocated, .deferred: unsafe platform_free(base)
        case .borrowed, .part: break
        }
    }

    /// Maps a file for reading.
    package static func map(path: String) throws(Failure) -> Storage {
        var base: UnsafeMutableRawPointer?
        var size = 0
        var identity: UInt64 = 0
        let error = unsafe path.withCString { unsafe platform_map_file($0, &base, &size, &identity) }
        guard error == 0 else {
            throw Failure(EO_FILE_ERROR, "\(path): cannot be read: \(systemMessage(error))")
        }
        return unsafe Storage(base: base, count: size, origin: .file, identity: identity)
    }

    /// Memory of somebody else, who keeps it alive and unchanged.
    @unsafe package static func borrow(_ base: UnsafeRawPointer?, count: Int) -> Storage {
        unsafe Storage(base: UnsafeMutableRawPointer(mutating: base), count: count, origin: .borrowed)
    }

    /// Zeroed memory of our own, 64-byte aligned.
    package static func allocate(_ count: Int) throws(Failure) -> Storage {
        guard count >= 0, let base = unsafe platform_aligned_alloc(64, count) else { throw .outOfMemory(count) }
        unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: count)
        return unsafe Storage(base: base, count: count, origin: .allocated)
    }

    /// Zeroed whole pages of our own: they cost memory only where they are used.
    package static func pages(_ count: Int) throws(Failure) -> Storage {
        guard count > 0 else { return try allocate(0) }
        guard let base = unsafe platform_pages(count) else { throw .outOfMemory(count) }
        return unsafe Storage(base: base, count: count, origin: .pages)
    }

    /// What `fill` computes from `source`, but only between `Bytes.compute` and `Bytes.forget`; before and after there is
    /// nothing to be read. One thread at a time. `identity`: of the contents.
    package static func deferred(_ source: Bytes, count: Int, identity: UInt64, fill: @escaping Fill) -> Storage {
        let storage = unsafe Storage(base: nil, count: count, origin: .deferred, identity: identity)
        storage.source = source
        unsafe storage.fill = fill
        return storage
    }

    @inline(never) fileprivate func compute() throws(Failure) {
        guard let source, let fill = unsafe fill, unsafe base == nil else { return }
        guard let block = unsafe platform_aligned_alloc(64, count) else { throw .outOfMemory(count) }
        unsafe fill(source, block)
        source.forget()
        unsafe base = block
    }

    fileprivate func keep() throws(Failure) {
        try compute()
        origin = .allocated
    }

    fileprivate func forget() {
        guard origin == .deferred, let block = unsafe base else { return }
        unsafe platform_free(block)
        unsafe base = nil
    }

    /// Part of this storage, which it keeps alive; nil if it is not inside.
    package func part(offset: Int, count: Int) -> Storage? {
        guard let base = unsafe base, offset >= 0, count >= 0, offset <= self.count, count <= self.count - offset else {
            return nil
        }
        return unsafe Storage(base: base + offset, count: count, origin: .part, whole: self)
    }

    /// Only for the one who filled it, and only until it is shared.
    package func identify(as number: UInt64) { identity = number }

    /// Only for the one who allocated it, and only until it is shared.
    package func withMutableBytes<R>(_ body: (inout MutableRawSpan) throws(Failure) -> R) throws(Failure) -> R {
        var span = unsafe MutableRawSpan(
            _unsafeStart: base ?? UnsafeMutableRawPointer(bitPattern: 64)!, byteCount: count)
        return try body(&span)
    }
}

/// A read-only run of bytes inside a `Storage`, which it keeps alive.
package struct Bytes: @unchecked Sendable {
    package let storage: Storage
    package let offset: Int
    package let count: Int

    package init(_ storage: Storage) {
        self.storage = storage
        offset = 0
        count = storage.count
    }

    private init(storage: Storage, offset: Int, count: Int) {
        self.storage = storage
        self.offset = offset
        self.count = count
    }

    /// A copy of an array's elements.
    package init<T: BitwiseCopyable>(copying elements: [T]) throws(Failure) {
        let storage = try Storage.allocate(elements.count * MemoryLayout<T>.stride)
        unsafe elements.withUnsafeBytes { source in
            guard let from = source.baseAddress, let to = unsafe storage.base else { return }
            unsafe to.copyMemory(from: from, byteCount: source.count)
        }
        self.init(storage)
    }

    /// The same bytes in memory of our own, 64-byte aligned.
    package func copied() throws(Failure) -> Bytes {
        let storage = try Storage.allocate(count)
        if let to = unsafe storage.base { unsafe to.copyMemory(from: baseAddress, byteCount: count) }
        return Bytes(storage)
    }

    /// A copy of all pieces, one after the other.
    package init(joining pieces: [Bytes]) throws(Failure) {
        if pieces.count == 1 {
            self = pieces[0]
            return
        }
        let storage = try Storage.allocate(pieces.reduce(0) { $0 + $1.count })
        var end = 0
        for piece in pieces {
            if let to = unsafe storage.base {
                unsafe (to + end).copyMemory(from: piece.baseAddress, byteCount: piece.count)
            }
            end += piece.count
        }
        self.init(storage)
    }

    /// Part of these bytes, or nil if it is not inside them.
    package func slice(offset: Int, count: Int) -> Bytes? {
        guard offset >= 0, count >= 0, offset <= self.count, count <= self.count - offset else { return nil }
        return Bytes(storage: storage, offset: self.offset + offset, count: count)
    }

    /// What the bytes are, where that is known without reading them; 0: not known.
    package var identity: UInt64 {
        guard storage.identity != 0 else { return 0 }
        var hash = storage.identity
        for number in [offset, count] {
            hash = (hash ^ UInt64(truncatingIfNeeded: number)) &* 0x9e37_79b9_7f4a_7c15
            hash ^= hash >> 29
        }
        return hash
    }

    /// They lie in a mapped file.
    package var isMapped: Bool { storage.origin == .file }

    /// They are there only from `compute` to `forget`.
    package var isDeferred: Bool { storage.origin == .deferred }
    /// From now on they are always there.
    package func keep() throws(Failure) { if isDeferred { try storage.keep() } }
    /// What these are computed from each time, or the bytes themselves.
    package var source: Bytes { storage.source ?? self }

    /// To be called before deferred bytes are read.
    package func compute() throws(Failure) { if isDeferred { try storage.compute() } }

    /// Gives back the memory that these bytes take, of a mapped file or deferred. Those of a file can still be read.
    package func forget() {
        guard isMapped else { return storage.forget() }
        unsafe platform_forget(baseAddress, count)
    }

    /// The bytes themselves.
    package var span: RawSpan {
        @_lifetime(borrow self) get {
            let span = unsafe RawSpan(_unsafeStart: baseAddress, byteCount: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// The elements as numbers, copied; a tail too short for a whole element is left out. Any alignment.
    package func array<T: BitwiseCopyable>(of type: T.Type) -> [T] {
        let length = count / MemoryLayout<T>.stride
        return unsafe [T](unsafeUninitializedCapacity: length) { elements, initialized in
            initialized = length
            guard length > 0, let to = unsafe elements.baseAddress else { return }
            unsafe UnsafeMutableRawPointer(to).copyMemory(
                from: baseAddress, byteCount: length * MemoryLayout<T>.stride)
        }
    }

    /// For the rooms that may hold pointers: valid while `storage` lives. Never nil, so that an empty run has one too.
    @unsafe package var baseAddress: UnsafeRawPointer {
        unsafe UnsafeRawPointer(storage.base ?? UnsafeMutableRawPointer(bitPattern: 64)!) + offset
    }
}

extension Bytes: Equatable {
    /// Same contents.
    package static func == (left: Bytes, right: Bytes) -> Bool {
        guard left.count == right.count else { return false }
        return unsafe memcmp(left.baseAddress, right.baseAddress, left.count) == 0
    }
}

/// The operating system's text for an errno value.
package func systemMessage(_ error: Int32) -> String {
    var text = [CChar](repeating: 0, count: 256)
    unsafe platform_strerror(error, &text, text.count)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
