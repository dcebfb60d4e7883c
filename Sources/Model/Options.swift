/// The options of an operator: a table of the schema's unions, as numbered fields. What the fields mean is known to the
/// operator's own file; that the table is the right one for the operator is checked by `validate`.
package struct Options: Equatable, Sendable {
    package var table: OptionTable
    /// Index = field id of the schema; shorter than the table if the rest is absent.
    package var fields: [OptionValue]

    package init(_ table: OptionTable, _ fields: [OptionValue] = []) {
        self.table = table
        self.fields = fields
    }

    package static var none: Options { Options(.none) }

    package subscript(field: Int) -> OptionValue {
        get { field < fields.count ? fields[field] : .absent }
        set {
            while fields.count <= field { fields.append(.absent) }
            fields[field] = newValue
        }
    }

    /// The field's number, or the schema's default where it is absent.
    package func int(_ field: Int) -> Int {
        if case .int(let value) = self[field] { return Int(value) }
        return Int(table.defaultValue(field))
    }

    package func bool(_ field: Int) -> Bool { int(field) != 0 }

    package func float(_ field: Int) -> Float {
        if case .float(let value) = self[field] { return value }
        return Float(table.defaultValue(field))
    }

    /// A vector of integers; empty where it is absent.
    package func ints(_ field: Int) -> [Int] {
        if case .ints(let values) = self[field] { return values.map { Int($0) } }
        return []
    }

    package func floats(_ field: Int) -> [Float] {
        if case .floats(let values) = self[field] { return values }
        return []
    }

    package func string(_ field: Int) -> String? {
        if case .string(let value) = self[field] { return value }
        return nil
    }

    /// A vector of raw bytes (FlexBuffers attributes); nil where it is absent.
    package func bytes(_ field: Int) -> Bytes? {
        if case .bytes(let value) = self[field] { return value }
        return nil
    }

    package func padding(_ field: Int) -> Padding { Padding(rawValue: int(field)) ?? .same }

    package func activation(_ field: Int) -> FusedActivation { FusedActivation(rawValue: int(field)) ?? .none }

    package func tensorType(_ field: Int) -> TensorType {
        UInt8(exactly: int(field)).flatMap { TensorType(rawValue: $0) } ?? .float32
    }
}

/// Raw values are the schema's.
package enum Padding: Int, Sendable {
    case same = 0, valid
}

package enum OptionValue: Equatable, Sendable {
    case absent
    /// Every integer, enum and bool scalar.
    case int(Int64)
    case float(Float)
    /// A vector of any integer type, bools and enums included; the schema knows the width.
    case ints([Int64])
    case floats([Float])
    case string(String)
    /// A vector of raw bytes.
    case bytes(Bytes)
}
