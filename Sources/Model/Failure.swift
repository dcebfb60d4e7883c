import CEdgeOpt

/// What goes wrong, everywhere in the library: a status of the C API and a sentence that names the file, tensor or
/// operator, what was expected and what was found.
package struct Failure: Error {
    package let status: eo_status
    package let message: String

    package init(_ status: eo_status, _ message: Sentence) {
        self.status = status
        self.message = message.text
    }

    package static func invalidModel(_ message: Sentence) -> Failure { Failure(EO_INVALID_MODEL, message) }
    package static func invalidArgument(_ message: Sentence) -> Failure { Failure(EO_INVALID_ARGUMENT, message) }
    package static func unsupported(_ message: Sentence) -> Failure { Failure(EO_UNSUPPORTED, message) }
    package static func outOfRange(_ message: Sentence) -> Failure { Failure(EO_OUT_OF_RANGE, message) }
    package static func wrongSize(_ message: Sentence) -> Failure { Failure(EO_WRONG_SIZE, message) }
    package static func execution(_ message: Sentence) -> Failure { Failure(EO_EXECUTION_ERROR, message) }
    package static func outOfMemory(_ bytes: Int) -> Failure {
        Failure(EO_OUT_OF_MEMORY, "\(bytes) bytes of memory could not be allocated")
    }
}

extension [Int] {
    /// "[1, 2, 3]", for messages. Interpolating an array says nothing in Embedded Swift.
    package var listed: String { "[" + map { String($0) }.joined(separator: ", ") + "]" }
}
