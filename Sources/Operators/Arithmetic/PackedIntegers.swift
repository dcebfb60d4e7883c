import Kernels
import Model

/// Weights of fewer than eight bits, several in a byte, the first in the lowest bits.
enum PackedIntegers {
    /// Two's complement numbers of `bits` (2 or 4) as int8. Made once per constant, kept in `cache`.
    static func unpacked(
        _ packed: Bytes, bits: Int, count: Int, cache: PackedWeightCache
    ) throws(Failure) -> Bytes {
        let storage = try cache.derived(packed, form: "int8 from int\(bits)") { () throws(Failure) in
            let storage = try Storage.allocate(count)
            try storage.withMutableBytes { bytes throws(Failure) in unpack(packed.span, bits: bits, into: &bytes) }
            return storage
        }
        return Bytes(storage)
    }

    private static func unpack(_ packed: RawSpan, bits: Int, into unpacked: inout MutableRawSpan) {
        let perByte = 8 / bits
        for index in 0..<unpacked.byteCount {
            let byte = unsafe packed.unsafeLoad(fromByteOffset: index / perByte, as: UInt8.self)
            let raised = Int8(bitPattern: byte << UInt8(8 - bits * (index % perByte + 1)))
            unpacked.storeBytes(of: raised >> Int8(8 - bits), toByteOffset: index, as: Int8.self)
        }
    }
}
