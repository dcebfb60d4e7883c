/// A memory block of exact size, filled with `filler`, so that a sanitizer sees every byte read or written beside it.
final class Block {
    static let filler: UInt8 = 0xa5
    let base: UnsafeMutableRawPointer
    let count: Int

    init(_ count: Int) {
        self.count = count
        base = .allocate(byteCount: max(1, count), alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: Block.filler, count: max(1, count))
    }

    convenience init<T: BitwiseCopyable>(_ elements: [T]) {
        self.init(elements.count * MemoryLayout<T>.stride)
        elements.withUnsafeBytes { if let from = $0.baseAddress { base.copyMemory(from: from, byteCount: $0.count) } }
    }

    deinit { base.deallocate() }

    func array<T: BitwiseCopyable>(of type: T.Type) -> [T] {
        (0..<(count / MemoryLayout<T>.stride)).map {
            base.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.stride, as: T.self)
        }
    }
}
