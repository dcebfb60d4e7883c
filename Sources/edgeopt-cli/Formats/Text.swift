import Glibc

/// As printf: format("%5.1f%%", 12.5).
func format(_ pattern: String, _ arguments: any CVarArg...) -> String {
    withVaList(arguments) { list in
        var buffer = [CChar](repeating: 0, count: 512)
        let count = vsnprintf(&buffer, buffer.count, pattern, list)
        return String(
            decoding: buffer.prefix(min(Int(max(count, 0)), buffer.count - 1)).map(UInt8.init(bitPattern:)),
            as: UTF8.self)
    }
}

/// Six significant digits, as C++ streams print numbers: the logs that scripts parse look so.
func number(_ value: Double) -> String { format("%g", value) }

/// Columns as wide as their widest cell; numbers to the right.
struct Table {
    private var rows: [[String]] = []
    private let header: [String]

    init(_ header: String...) { self.header = header }

    mutating func add(_ cells: String...) { rows.append(cells) }

    func print(indent: String = "") {
        guard !rows.isEmpty else { return }
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { $0[column].count }.max()! }
        let toTheRight = header.indices.map { column in
            rows.allSatisfy { $0[column].isEmpty || $0[column].first!.isNumber || $0[column].first! == "-" }
        }
        for row in all {
            let cells = row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].count)
                return toTheRight[column] ? space + row[column] : row[column] + space
            }
            let line = cells.joined(separator: "  ")
            Swift.print(
                indent + String(line[..<(line.lastIndex { $0 != " " }.map(line.index(after:)) ?? line.startIndex)]))
        }
    }
}

/// A line on standard error that counts; only where somebody looks at it.
struct Progress {
    private let title: String
    private let total: Int?
    private var done = 0
    private let visible = isatty(STDERR_FILENO) == 1

    init(_ title: String, of total: Int?) {
        self.title = title
        self.total = total
    }

    mutating func step() {
        done += 1
        guard visible else { return }
        writeError("\r\(title): \(done)\(total.map { "/\($0)" } ?? "")")
    }

    func finish() {
        if visible && done > 0 { writeError("\n") }
    }
}

/// A remark on standard error.
func note(_ text: String) { writeError(text + "\n") }

/// Writes to standard error, unchanged.
func writeError(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
    }
}

/// Nanoseconds of a clock that only goes forward.
func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
