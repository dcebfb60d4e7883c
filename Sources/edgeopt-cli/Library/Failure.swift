import CEdgeOpt

/// Something failed; the sentence says what.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ sentence: String) { description = sentence }
}

/// Throws the library's sentence if a call failed.
func check(_ status: eo_status) throws {
    guard status != EO_OK else { return }
    throw Failure(String(cString: eo_last_error()))
}

/// A string that the library lends.
func string(_ text: UnsafePointer<CChar>?) -> String { text.map { String(cString: $0) } ?? "" }
