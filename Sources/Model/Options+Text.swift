extension Options {
    /// "padding=SAME stride_w=2 ...": every scalar, with the schema's default where it is absent, and every vector that
    /// is there. Empty for an operator without options.
    package var text: String {
        var words: [String] = []
        for (id, field) in table.schema.fields.enumerated() {
            if field.isVector || field.type.storage == .string, case .absent = self[id] { continue }
            var value = self[id]
            if case .absent = value {
                value = field.type.storage == .float ? .float(float(id)) : .int(Int64(int(id)))
            }
            words.append(field.name + "=" + field.text(value))
        }
        return words.joined(separator: " ")
    }
}

extension OptionSchema.Field {
    func text(_ value: OptionValue) -> String {
        switch value {
        case .absent: "absent"
        case .int(let number): text(number)
        case .ints(let numbers): "[" + numbers.map { text($0) }.joined(separator: ",") + "]"
        case .float(let number): number.description
        case .floats(let numbers): "[" + numbers.map { $0.description }.joined(separator: ",") + "]"
        case .string(let string): "\"" + string + "\""
        case .bytes(let bytes): ("<\(bytes.count) bytes>" as Sentence).text
        }
    }

    private func text(_ number: Int64) -> String {
        switch type.meaning {
        case .tensorType:
            if let type = UInt8(exactly: number).flatMap({ TensorType(rawValue: $0) }) { return type.name }
        case .enumeration(let names):
            if number >= 0, number < names.count { return names[Int(number)] }
        case .plain, .subgraph: break
        }
        return type.storage == .bool ? (number == 0 ? "false" : "true") : number.description
    }
}
