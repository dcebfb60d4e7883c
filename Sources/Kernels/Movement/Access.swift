/// Element `index` of an array of signed integers of `width` bytes (1, 2, 4 or 8).
package func loadInteger(_ elements: Span<UInt8>, _ index: Int, width: Int) -> Int {
    precondition(index >= 0 && index < elements.count / width)
    return elements.withUnsafeBytes { elements in
        switch width {
        case 1: Int(elements.loadUnaligned(fromByteOffset: index, as: Int8.self))
        case 2: Int(elements.loadUnaligned(fromByteOffset: 2 * index, as: Int16.self))
        case 4: Int(elements.loadUnaligned(fromByteOffset: 4 * index, as: Int32.self))
        default: elements.loadUnaligned(fromByteOffset: 8 * index, as: Int.self)
        }
    }
}

/// Writes element `index` of an array of integers of `width` bytes; higher bits are lost.
package func storeInteger(_ value: Int, _ elements: inout MutableSpan<UInt8>, _ index: Int, width: Int) {
    precondition(index >= 0 && index < elements.count / width)
    elements.withUnsafeMutableBytes { elements in
        switch width {
        case 1: elements.storeBytes(of: Int8(truncatingIfNeeded: value), toByteOffset: index, as: Int8.self)
        case 2: elements.storeBytes(of: Int16(truncatingIfNeeded: value), toByteOffset: 2 * index, as: Int16.self)
        case 4: elements.storeBytes(of: Int32(truncatingIfNeeded: value), toByteOffset: 4 * index, as: Int32.self)
        default: elements.storeBytes(of: value, toByteOffset: 8 * index, as: Int.self)
        }
    }
}

/// Copies `count` bytes from one place to another.
package func copyBytes(
    _ source: Span<UInt8>, at from: Int, to target: inout MutableSpan<UInt8>, at to: Int, count: Int
) {
    precondition(from >= 0 && to >= 0 && count >= 0 && count <= source.count - from && count <= target.count - to)
    source.withUnsafeBytes { source in
        target.withUnsafeMutableBytes { target in
            guard count > 0, let a = source.baseAddress, let b = target.baseAddress else { return }
            (b + to).copyMemory(from: a + from, byteCount: count)
        }
    }
}
