/// The text of a failure. Written as an ordinary string literal; its pieces are joined by functions that are never
/// inlined, because the library has hundreds of messages and String's own interpolation is expanded at each of them
/// (about ten times the code).
package struct Sentence: ExpressibleByStringInterpolation, Sendable {
    package private(set) var text: String

    @inline(never) package init(_ text: String) { self.text = text }
    @inline(never) package init(stringLiteral value: StaticString) { text = value.description }
    @inline(never) package init(stringInterpolation pieces: Pieces) { text = pieces.text }

    @inline(never) package static func + (left: Sentence, right: Sentence) -> Sentence {
        Sentence(left.text + right.text)
    }

    package struct Pieces: StringInterpolationProtocol {
        fileprivate var text = ""

        @inline(never) package init(literalCapacity: Int, interpolationCount: Int) {}
        @inline(never) package mutating func appendLiteral(_ literal: StaticString) { text += literal.description }
        @inline(never) package mutating func appendInterpolation(_ value: String) { text += value }
        @inline(never) package mutating func appendInterpolation(_ value: Sentence) { text += value.text }
        @inline(never) package mutating func appendInterpolation(_ value: Int) { text += value.description }
        @inline(never) package mutating func appendInterpolation(_ value: UInt64) { text += value.description }
        @inline(never) package mutating func appendInterpolation(_ value: Float) { text += value.description }
        @inline(never) package mutating func appendInterpolation(_ value: Double) { text += value.description }
        @inline(never) package mutating func appendInterpolation(_ value: Bool) { text += value ? "true" : "false" }
        package mutating func appendInterpolation<T: BinaryInteger>(_ value: T) {
            appendInterpolation(Int(truncatingIfNeeded: value))
        }
        @inline(never) package mutating func appendInterpolation(_ values: [Int]) { text += values.listed }
    }
}
