import CKernels
import CPlatform
import Model
import Testing

@testable import Kernels

/// A file name that no other test has; removed with the value.
private final class TemporaryFile {
    let path: String
    init() { path = "/tmp/edgeopt-weights-\(UInt64.random(in: .min ... .max))" }
    deinit { unlink(path) }

    var bytes: [UInt8] {
        get { (try? Bytes(Storage.map(path: path)).array(of: UInt8.self)) ?? [] }
        set {
            _ = newValue.withUnsafeBytes { bytes in
                let part = platform_part(base: bytes.baseAddress, size: bytes.count)
                return withUnsafePointer(to: part) { platform_write_file(path, $0, 1, false) }
            }
        }
    }
}

@_silgen_name("truncate") @discardableResult private func truncate(_ path: UnsafePointer<CChar>, _ size: Int) -> Int32
@_silgen_name("unlink") @discardableResult private func unlink(_ path: UnsafePointer<CChar>) -> Int32

/// Packs three constants with `cache`; returns the packed bytes and how many had to be packed.
private func pack(_ sources: [Bytes], with cache: PackedWeightCache) throws -> (packed: [[UInt8]], made: Int) {
    var made = 0
    var result: [[UInt8]] = []
    for (index, source) in sources.enumerated() {
        let packed = try cache.packed(source, form: "reversed \(index)", count: source.count) { to in
            made += 1
            for position in 0..<source.count {
                let byte = source.baseAddress.load(fromByteOffset: source.count - 1 - position, as: UInt8.self)
                to.storeBytes(of: byte, toByteOffset: position, as: UInt8.self)
            }
        }
        result.append(Bytes(packed).array(of: UInt8.self))
    }
    return (result, made)
}

private func constants() throws -> [Bytes] {
    try [1, 77, 4096].map { count in try Bytes(copying: (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }) }
}

struct WeightFileTests {
    @Test func packedWeightsComeBackFromTheFile() throws {
        let file = TemporaryFile()
        let first = try PackedWeightCache()
        #expect(first.attach(file.path, model: 1) == nil)
        let cold = try pack(constants(), with: first)
        #expect(cold.made == 3)
        try first.choose(5, for: "which kernel")
        try first.save()

        let second = try PackedWeightCache()
        #expect(second.attach(file.path, model: 1) == nil)
        let warm = try pack(constants(), with: second)
        #expect(warm.made == 0)
        #expect(warm.packed == cold.packed)
        #expect(second.choice("which kernel") == 5)
        #expect(second.choice("another question") == nil)
        let before = file.bytes
        try second.save()
        #expect(file.bytes == before)
    }

    @Test func otherWeightsAreNotTaken() throws {
        let file = TemporaryFile()
        let first = try PackedWeightCache()
        _ = first.attach(file.path, model: 1)
        _ = try pack(constants(), with: first)
        try first.save()
        var changed = try constants()
        changed[1] = try Bytes(copying: [UInt8](repeating: 9, count: 77))
        let second = try PackedWeightCache()
        _ = second.attach(file.path, model: 1)
        let result = try pack(changed, with: second)
        #expect(result.made == 1)
        #expect(result.packed[1] == [UInt8](repeating: 9, count: 77))
    }

    /// A mapped source is known by its file; the same contents elsewhere by what they are.
    @Test func mappedSourcesAreKnownWithoutBeingRead() throws {
        let (source, file) = (TemporaryFile(), TemporaryFile())
        source.bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for expected in [1, 0] {
            let cache = try PackedWeightCache()
            _ = cache.attach(file.path, model: 1)
            #expect(try pack([Bytes(Storage.map(path: source.path))], with: cache).made == expected)
            try cache.save()
        }
        let copied = TemporaryFile()
        copied.bytes = source.bytes
        let cache = try PackedWeightCache()
        _ = cache.attach(file.path, model: 1)
        #expect(try pack([Bytes(Storage.map(path: copied.path))], with: cache).made == 0)
        // Other contents under the old name.
        source.bytes = [UInt8](repeating: 1, count: 100_000)
        #expect(try pack([Bytes(Storage.map(path: source.path))], with: cache).made == 1)
    }

    /// Every byte changed, every length: no crash, and never a wrong byte.
    @Test func damagedFilesAreIgnored() throws {
        let file = TemporaryFile()
        let first = try PackedWeightCache()
        _ = first.attach(file.path, model: 1)
        let expected = try pack(constants(), with: first).packed
        try first.save()
        let sound = file.bytes
        var refused = 0
        func tryWith(_ bytes: [UInt8]) throws {
            file.bytes = bytes
            let cache = try PackedWeightCache()
            if cache.attach(file.path, model: 1) != nil { refused += 1 }
            #expect(try pack(constants(), with: cache).packed == expected)
        }
        for position in stride(from: 0, to: sound.count, by: sound.count / 500 + 1) {
            for flip in [UInt8(1), 0x80, 0xff] {
                var bytes = sound
                bytes[position] ^= flip
                try tryWith(bytes)
            }
        }
        for length in 0..<min(sound.count, 300) { try tryWith(Array(sound[..<length])) }
        try tryWith(Array(sound.dropLast()))
        try tryWith(sound + [0])
        #expect(refused > 300)
    }

    /// Bytes are looked at once, and again when somebody has written to the file.
    @Test func sealsLastUntilAFileIsChanged() throws {
        let file = TemporaryFile()
        func made() throws -> Int {
            let cache = try PackedWeightCache()
            _ = cache.attach(file.path, model: 1)
            let result = try pack(constants(), with: cache)
            try cache.save()
            return result.made
        }
        func isSealed() -> Bool {
            let bytes = file.bytes
            let number = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[40 + $1]) << UInt64(8 * $1) }
            #expect(!platform_is_sealed(file.path, number ^ 1))
            return platform_is_sealed(file.path, number)
        }
        #expect(try made() == 3)
        #expect(isSealed())
        #expect(try made() == 0)
        // The same bytes, but who knows: read, found sound, and sealed again.
        let sound = file.bytes
        file.bytes = sound
        #expect(!isSealed())
        #expect(try made() == 0)
        #expect(isSealed())
        // Bytes in the middle are gone.
        truncate(file.path, sound.count - 100)
        truncate(file.path, sound.count)
        #expect(!isSealed())
        #expect(try made() == 1)
        #expect(file.bytes == sound)
    }

    /// A file whose digests are right but whose numbers are not, as only somebody who means it would make.
    @Test func forgedNumbersStayInside() throws {
        let file = TemporaryFile()
        let first = try PackedWeightCache()
        _ = first.attach(file.path, model: 1)
        let expected = try pack(constants(), with: first).packed
        try first.save()
        let sound = file.bytes
        let count = 3
        for field in 3..<5 {
            for value: UInt64 in [0, 1, 63, 64, 1 << 20, 1 << 40, .max - 63, .max] {
                var bytes = sound
                for entry in 0..<count { store(value, at: 64 + (entry * 6 + field) * 8, in: &bytes) }
                let digest = bytes[64..<64 + count * 48].withUnsafeBytes { eo_digest($0.baseAddress!, $0.count, 0) | 1 }
                store(digest, at: 40, in: &bytes)
                file.bytes = bytes
                let cache = try PackedWeightCache()
                _ = cache.attach(file.path, model: 1)
                #expect(try pack(constants(), with: cache).packed == expected)
            }
        }
    }

    @Test func unwritablePlacesAreSaid() throws {
        let cache = try PackedWeightCache()
        _ = cache.attach("/nowhere/at/all", model: 1)
        _ = try pack(constants(), with: cache)
        #expect(throws: Failure.self) { try cache.save() }
        #expect(cache.attach("/tmp", model: 1) == nil)
    }

    @Test func derivedConstantsAreReleased() throws {
        let cache = try PackedWeightCache()
        let source = try constants()[2]
        var kept: Storage? = try cache.derived(source, form: "kept") { () throws(Failure) in try source.copied().storage
        }
        _ = try cache.derived(source, form: "dropped") { () throws(Failure) in try source.copied().storage }
        #expect(cache.byteCount == 8192)
        cache.releaseUnused()
        #expect(cache.byteCount == 4096)
        withExtendedLifetime(kept) {}
        kept = nil
        cache.releaseUnused()
        #expect(cache.byteCount == 0)
    }
}

private func store(_ value: UInt64, at offset: Int, in bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: UInt64.self) }
}
