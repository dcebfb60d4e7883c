import Testing

@testable import Model

@Suite struct EncodingTests {
    @Test func int4ElementZeroIsTheLowNibble() throws {
        let data = try Samples.bytes([UInt8(0x12), 0x34, 0x0f])
        #expect(PackedIntegers.unpack(data, type: .int4, count: 5) == [2, 1, 4, 3, -1])
        #expect(PackedIntegers.unpack(data, type: .uint4, count: 5) == [2, 1, 4, 3, 15])
        #expect(PackedIntegers.unpack(data, type: .int4, count: 7) == nil)
        #expect(PackedIntegers.unpack(data, type: .int8, count: 1) == nil)
    }

    @Test func int2ElementZeroIsTheLowestBits() throws {
        let data = try Samples.bytes([UInt8(0b11_10_01_00), 0b01])
        #expect(PackedIntegers.unpack(data, type: .int2, count: 5) == [0, 1, -2, -1, 1])
    }

    @Test(arguments: [TensorType.int4, .uint4, .int2]) func packingRoundTrips(type: TensorType) throws {
        let range = try #require(type.integerRange)
        for count in 0..<18 {
            let values = (0..<count).map { Int8(range.lowerBound + ($0 * 7) % range.count) }
            let packed = try #require(PackedIntegers.pack(values, type: type))
            #expect(packed.count == type.byteCount(count))
            #expect(PackedIntegers.unpack(try Samples.bytes(packed), type: type, count: count) == values)
        }
    }

    @Test func stringsRoundTrip() throws {
        for strings in [[], [""], ["a", "", "größer"], ["x\0y"]] {
            let data = try StringTensor.encode(strings.map { Array($0.utf8) })
            let decoded = try #require(StringTensor.decode(data))
            #expect(decoded.map { String(decoding: $0.array(of: UInt8.self), as: UTF8.self) } == strings)
        }
    }

    @Test(arguments: [[], [1], [-1, 8], [1, 12, 13], [1, 12, 11], [1, 4, 12], [2, 16, 16], [Int32.max, 0]])
    func stringsOutsideTheBufferAreRefused(words: [Int32]) throws {
        #expect(StringTensor.decode(try Samples.bytes(words)) == nil)
    }

    @Test func halfToFloatIsExact() {
        for bits in UInt16.min...UInt16.max {
            let expected = Float(Float16(bitPattern: bits))
            let found = FloatValues.float(half: bits)
            #expect(found == expected || found.isNaN && expected.isNaN)
        }
    }
}
