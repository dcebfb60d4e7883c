import Model

/// All operators the library can run: one row each.
package enum OperatorRegistry {
    /// nil: there is no such operator here.
    package static func definition(_ code: OperatorCode) -> OperatorDefinition? {
        code.builtin == .custom ? custom(code.custom ?? "") : builtin(code.builtin)
    }

    private static func custom(_ name: String) -> OperatorDefinition? { nil }

    private static func builtin(_ code: BuiltinOperator) -> OperatorDefinition? {
        switch code {
        case .abs: Abs.definition
        default: nil
        }
    }
}
