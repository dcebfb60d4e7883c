import ArgumentParser
import CEdgeOpt
import FoundationEssentials

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what is in a model: operators, tensors, types, sizes.",
        discussion: """
            With --plan also what the interpreter decides for it: kernels, fusions, places in memory. With --weights what \
            the weights look like: zeros, different values, deflated sizes; with --json also histograms.
            """)

    @Argument(help: "A .tflite file.") var model: String
    @Flag(help: "Compile the model and show the decisions.") var plan = false
    @Flag(help: "Show what the weights look like.") var weights = false
    @Flag(help: "Print JSON instead of tables.") var json = false
    @Option(help: "Threads to plan for.") var threads: Int32 = 1

    func run() throws {
        var report = try ModelReport(path: model, plan: plan, threads: threads)
        if weights { report.weights = try weightReports() }
        guard json else { return report.print() }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        Swift.print(String(decoding: try encoder.encode(report), as: UTF8.self))
    }
}

extension Inspect {
    private static let bins = 64

    private func weightReports() throws -> [WeightReport] {
        let source = try Model(path: model)
        var reports = try source.weights()
        guard json else { return reports }
        for index in reports.indices {
            reports[index].histogram = try source.histogram(
                reports[index].subgraph, reports[index].tensor, bins: Self.bins)
        }
        return reports
    }
}

/// All that inspect shows.
struct ModelReport: Encodable {
    let file: String
    let size: Int
    let deflatedSize: Int
    let description: String
    let subgraphs: [SubgraphReport]
    let signatures: [Signature]
    let metadata: [MetadataEntry]
    var plan: PlanReport?
    var weights: [WeightReport]?

    init(path: String, plan wanted: Bool, threads: Int32) throws {
        let model = try Model(path: path)
        let bytes = try readFile(path)
        file = path
        size = bytes.count
        deflatedSize = bytes.withUnsafeBytes(edgeopt_cli.deflatedSize)
        description = model.description
        subgraphs = try (0..<model.subgraphCount).map { try SubgraphReport(model, $0) }
        signatures = try model.signatures()
        metadata = try model.metadata()
        if wanted { plan = try PlanReport(model, threads: threads) }
    }

    func print() {
        Swift.print(
            "\(file): \(size) bytes, deflated \(deflatedSize)" + (description.isEmpty ? "" : ", \(description)"))
        for (index, subgraph) in subgraphs.enumerated() { subgraph.print(index) }
        for signature in signatures {
            Swift.print("\nsignature '\(signature.key)' of subgraph \(signature.subgraph)")
            Swift.print("  inputs   \(signature.inputs.joined(separator: ", "))")
            Swift.print("  outputs  \(signature.outputs.joined(separator: ", "))")
        }
        if !metadata.isEmpty { Swift.print("") }
        for entry in metadata { Swift.print("metadata '\(entry.name)', \(entry.size) bytes") }
        plan?.print()
        if let weights { WeightReport.print(weights) }
    }
}

struct TensorReport: Encodable {
    let index: Int
    let name: String
    let type: String
    let shape: [Int]
    let shapeSignature: [Int]
    let isConstant: Bool
    let isVariable: Bool
    let isSparse: Bool
    let size: Int
    let quantization: Quantization?

    init(_ tensor: Tensor) {
        index = tensor.index
        name = tensor.name
        type = tensor.typeName
        shape = tensor.shape
        shapeSignature = tensor.shapeSignature
        isConstant = tensor.data != nil
        isVariable = tensor.isVariable
        isSparse = tensor.isSparse
        size = tensor.size
        quantization = tensor.quantization
    }

    var quantizationText: String {
        guard let quantization else { return "" }
        guard quantization.scales.count == 1 else {
            let block = quantization.blockSize > 0 ? ", blocks of \(quantization.blockSize)" : ""
            return "\(quantization.scales.count) scales, dimension \(quantization.dimension)\(block)"
        }
        return "\(number(Double(quantization.scales[0]))) * (q - \(quantization.zeroPoints[0]))"
    }

    var kind: String { isConstant ? "constant" : isVariable ? "variable" : "" }
}

struct SubgraphReport: Encodable {
    let name: String
    let inputs: [Int]
    let outputs: [Int]
    let operators: [Operator]
    let tensors: [TensorReport]

    init(_ model: Model, _ index: Int32) throws {
        name = model.name(ofSubgraph: index)
        inputs = try model.inputs(of: index).map(\.index)
        outputs = try model.outputs(of: index).map(\.index)
        operators = try model.operators(of: index)
        tensors = try model.tensors(of: index).map(TensorReport.init)
    }

    func print(_ index: Int) {
        Swift.print("\nsubgraph \(index)\(name.isEmpty ? "" : " '\(name)'")")
        for (word, ends) in [("input ", inputs), ("output", outputs)] {
            for end in ends {
                Swift.print(
                    "  \(word)  \(end)  \(tensors[end].type) \(brief(tensors[end].shapeSignature))  \(tensors[end].name)"
                )
            }
        }

        var counts: [String: Int] = [:]
        for op in operators { counts[op.name, default: 0] += 1 }
        let summary = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
        Swift.print("\n\(operators.count) operators: \(summary.joined(separator: ", "))")
        var table = Table("", "operator", "version", "inputs", "outputs", "options")
        for op in operators {
            table.add(
                "\(op.index)", op.name + (op.isCustom ? " (custom)" : ""), "\(op.version)",
                op.inputs.map { $0 < 0 ? "-" : "\($0)" }.joined(separator: " "),
                op.outputs.map(String.init).joined(separator: " "), op.options)
        }
        table.print()

        let constants = tensors.filter(\.isConstant).reduce(0) { $0 + $1.size }
        Swift.print("\n\(tensors.count) tensors, constants \(constants) bytes")
        table = Table("", "type", "shape", "bytes", "", "quantization", "name")
        for tensor in tensors {
            table.add(
                "\(tensor.index)", tensor.type, brief(tensor.shape), "\(tensor.size)",
                tensor.kind + (tensor.isSparse ? " sparse" : ""), tensor.quantizationText, tensor.name)
        }
        table.print()
    }
}

/// What compiling the model decided.
struct PlanReport: Encodable {
    let isa: String
    let threads: Int
    let arenaSize: Int
    let operators: [OperatorReport]

    init(_ model: Model, threads: Int32) throws {
        let interpreter = try Interpreter(model, .init(threads: threads))
        isa = string(eo_isa())
        self.threads = Int(threads)
        arenaSize = interpreter.arenaSize
        operators = try interpreter.operators()
    }

    func print() {
        Swift.print("\nplan for \(threads) threads on \(isa): arena \(arenaSize) bytes")
        var table = Table("", "operator", "runs on", "kernel", "output at", "reason")
        for op in operators {
            table.add(
                "\(op.index)", op.name, op.runner, op.kernel, op.outputOffset.map(String.init) ?? "",
                op.reason)
        }
        table.print()
    }
}
