/// A property that is copied by counting its owners once more, not once for each of its arrays.
@propertyWrapper
package struct Shared<Value: Equatable & Sendable>: Equatable, Sendable {
    private final class Box: Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    private var box: Box?

    package init(wrappedValue: Value?) { box = wrappedValue.map { Box($0) } }

    package var wrappedValue: Value? {
        get { box?.value }
        set { box = newValue.map { Box($0) } }
    }

    /// For another owner.
    package var projectedValue: Shared { self }

    package static func == (a: Shared, b: Shared) -> Bool { a.box === b.box || a.wrappedValue == b.wrappedValue }
}
