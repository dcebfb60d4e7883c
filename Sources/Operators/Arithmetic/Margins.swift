import Model

/// Zeros around an image that a PAD before the layer had added, in a field of the layer's options that no file has.
package struct Margins: Equatable, Sendable {
    package var top = 0
    package var bottom = 0
    package var left = 0
    package var right = 0

    /// Behind all fields of the schema.
    package static let field = 31

    package static let none = Margins()

    private init() {}

    /// From the paddings of a PAD of NHWC images; nil if batch or channels are padded, or a number is out of range.
    package init?(_ paddings: [Int]) {
        guard paddings.count == 8, paddings.allSatisfy({ (0..<1 << 24).contains($0) }),
            paddings[0] == 0, paddings[1] == 0, paddings[6] == 0, paddings[7] == 0
        else { return nil }
        (top, bottom, left, right) = (paddings[2], paddings[3], paddings[4], paddings[5])
    }

    init(_ options: Options) {
        let numbers = options.ints(Self.field)
        guard numbers.count == 4 else { return }
        (top, bottom, left, right) = (numbers[0], numbers[1], numbers[2], numbers[3])
    }

    package var option: OptionValue { .ints([Int64(top), Int64(bottom), Int64(left), Int64(right)]) }

    package func areSmaller(than height: Int, _ width: Int) -> Bool {
        max(top, bottom) < height && max(left, right) < width
    }
}
