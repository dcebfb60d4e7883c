import ArgumentParser
import CEdgeOpt

/// Whether and where benchmark writes times of operators.
struct BenchmarkProfileOptions: ParsableArguments {
    @Option(name: .customLong("enable_op_profiling"), help: "Time every operator.") var enabled: Switch?
    @Option(name: .customLong("op_profiling_output_mode"), help: "stdout (default) or csv.") var mode: OutputMode?
    @Option(name: .customLong("op_profiling_output_file"), help: "Where to, instead of standard output.")
    var file: String?
    @Option(name: .customLong("profiling_output_csv_file"), help: "The same, as CSV.") var csvFile: String?

    enum OutputMode: String, ExpressibleByArgument, CaseIterable { case stdout, csv }

    var isOn: Bool { enabled?.isOn == true }

    var parameters: [(String, String?, default: String)] {
        [
            ("Enable op profiling", enabled?.logged, default: "0"),
            ("Op profiling output mode.", mode?.rawValue, default: "stdout"),
            ("Op profiling output file.", file, default: ""),
            ("CSV File to export profiling data to", csvFile, default: ""),
        ]
    }

    func write(_ report: BenchmarkProfileReport) throws {
        let asCSV = csvFile != nil || mode == .csv
        let text = "Operator-wise Profiling Info for Regular Benchmark Runs:\n" + report.text(asCSV: asCSV)
        guard let path = csvFile ?? file else { return print(text) }
        try writeFile(path, Array((text + "\n").utf8))
    }
}

/// Reads the interpreter's own times of operators.
final class BenchmarkProfiler {
    private let model: Model
    private let interpreter: Interpreter
    private var firstRun: [Double] = []

    init(_ model: Model, _ interpreter: Interpreter) {
        self.model = model
        self.interpreter = interpreter
    }

    func start() { interpreter.setProfile(true) }

    func noteFirstRun() throws { firstRun = try interpreter.operators().map { Double($0.nanoseconds) / 1e6 } }

    /// Operators that cost nothing (views, folded constants, parts of fusions) are not nodes that run.
    func report(runs: Statistics) throws -> BenchmarkProfileReport {
        let operators = try model.operators(of: 0)
        let tensors = try model.tensors(of: 0)
        var start = 0.0
        var nodes: [BenchmarkProfileReport.Node] = []
        for (index, found) in try interpreter.operators().enumerated() where found.calls > 0 {
            let average = Double(found.nanoseconds) / 1e6 / Double(runs.count)
            let outputs = found.index < operators.count ? operators[found.index].outputs : []
            let names = outputs.map { $0 < tensors.count ? tensors[$0].name : "" }.joined(separator: ", ")
            nodes.append(
                .init(
                    type: found.name, start: start, first: index < firstRun.count ? firstRun[index] : average,
                    average: average, timesCalled: Int(found.calls) / runs.count,
                    name: "[\(names)]:\(found.index)"))
            start += average
        }
        return BenchmarkProfileReport(nodes: nodes, runs: runs)
    }
}

/// The three tables of TFLite's profiler. Times are milliseconds for one run.
struct BenchmarkProfileReport {
    struct Node {
        let type: String
        let start: Double
        let first: Double
        let average: Double
        let timesCalled: Int
        let name: String
    }

    let nodes: [Node]
    let runs: Statistics

    private var total: Double { max(nodes.reduce(0) { $0 + $1.average }, .leastNormalMagnitude) }

    func text(asCSV: Bool) -> String {
        let byTime = nodes.sorted { $0.average > $1.average }.prefix(10)
        var lines = table("Run Order", nodes, asCSV) + [""]
        lines += table("Top by Computation Time", Array(byTime), asCSV) + [""]
        lines += ["Number of nodes executed: \(nodes.count)"] + typeTable(asCSV) + [""]
        lines += ["Timings (microseconds): \(runs.line)", "Memory (bytes): count=0", "\(nodes.count) nodes observed"]
        return lines.joined(separator: "\n")
    }

    private static func title(_ text: String) -> String {
        let rule = String(repeating: "=", count: 30)
        return "\(rule) \(text) \(rule)"
    }

    private func table(_ title: String, _ nodes: [Node], _ asCSV: Bool) -> [String] {
        var lines = [Self.title(title)]
        let columns: [(String, Int)] = [
            ("[node type]", 24), ("[start]", 17), ("[first]", 9), ("[avg ms]", 9), ("[%]", 8), ("[cdf%]", 8),
            ("[mem KB]", 10), ("[times called]", 9),
        ]
        lines.append(
            asCSV
                ? "node type, start, first, avg_ms, %, cdf%, mem KB, times called, name"
                : aligned(columns) + "\t[Name]")
        var cumulative = 0.0
        for node in nodes {
            cumulative += node.average
            let numbers = [node.start, node.first, node.average]
            let shares = [100 * node.average / total, 100 * cumulative / total]
            if asCSV {
                let cells = [node.type] + numbers.map(number) + shares.map { number($0) + "%" }
                lines.append((cells + ["0", "\(node.timesCalled)", node.name]).joined(separator: ", "))
            } else {
                let cells = [node.type] + numbers.map(fixed) + shares.map { fixed($0) + "%" }
                lines.append(
                    aligned(Array(zip(cells + ["0.000", "\(node.timesCalled)"], columns.map(\.1)))) + "\t\(node.name)")
            }
        }
        return lines
    }

    private func typeTable(_ asCSV: Bool) -> [String] {
        var lines = [Self.title("Summary by node type")]
        let columns: [(String, Int)] = [
            ("[Node type]", 24), ("[count]", 9), ("[avg ms]", 10), ("[avg %]", 11), ("[cdf %]", 11), ("[mem KB]", 10),
            ("[times called]", 10),
        ]
        lines.append(asCSV ? "node type, count, avg_ms, avg %, cdf %, mem KB, times called" : aligned(columns))
        let groups = Dictionary(grouping: nodes, by: \.type).map { type, nodes in
            (type, nodes.count, nodes.reduce(0) { $0 + $1.average }, nodes.reduce(0) { $0 + $1.timesCalled })
        }
        var cumulative = 0.0
        for (type, count, average, timesCalled) in groups.sorted(by: { $0.2 > $1.2 }) {
            cumulative += average
            let shares = [100 * average / total, 100 * cumulative / total]
            let form = asCSV ? number : fixed
            let cells = [type, "\(count)", form(average)] + shares.map { form($0) + "%" }
            let all = cells + [asCSV ? "0" : "0.000", "\(timesCalled)"]
            lines.append(asCSV ? all.joined(separator: ", ") : aligned(Array(zip(all, columns.map(\.1)))))
        }
        return lines
    }

    private func fixed(_ value: Double) -> String { format("%.3f", value) }

    /// Each cell after a tab, to the right of its width.
    private func aligned(_ cells: [(String, Int)]) -> String {
        cells.map { text, width in "\t" + String(repeating: " ", count: max(0, width - text.count)) + text }.joined()
    }
}
