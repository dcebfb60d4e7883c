import Testing

@testable import Model

@Suite struct FlexBufferTests {
    /// {"anchors": 1917, "flag": true, "name": "ssd", "scale": 0.5, "shift": -3}, as the FlexBuffers library writes it.
    static let map: [UInt8] = [
        97, 110, 99, 104, 111, 114, 115, 0, 102, 108, 97, 103, 0, 115, 99, 97, 108, 101, 0, 115, 104, 105, 102, 116, 0,
        110, 97, 109, 101, 0, 3, 115, 115, 100, 0, 5, 36, 29, 13, 26, 21, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0,
        125, 7, 0, 0, 1, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0, 63, 253, 255, 255, 255, 6, 106, 20, 14, 6, 25, 38, 1,
    ]

    private func map(_ bytes: [UInt8]) throws -> FlexBufferMap? { FlexBufferMap(try Bytes(copying: bytes)) }

    @Test func numbersAreFoundByName() throws {
        let map = try #require(try map(Self.map))
        #expect(map.number("anchors") == 1917 && map.number("flag") == 1)
        #expect(map.number("scale") == 0.5 && map.number("shift") == -3)
        #expect(map.number("name") == nil && map.number("missing") == nil && map.number("anchor") == nil)
    }

    @Test func brokenMapsHaveNothing() throws {
        for count in 0..<Self.map.count { _ = try map(Array(Self.map[..<count]))?.number("scale") }
        for place in Self.map.indices {
            for value in [0, 1, 2, 4, 8, 38, 127, 128, 255] as [UInt8] {
                var bytes = Self.map
                bytes[place] = value
                for name in ["anchors", "name", "shift"] as [StaticString] { _ = try map(bytes)?.number(name) }
            }
        }
        let nothing = try map([0, 0, 0])
        #expect(nothing == nil)
    }
}
