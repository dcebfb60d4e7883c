import ArgumentParser
import CEdgeOpt

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a model once and shows its outputs.",
        discussion: """
            Inputs are .npy arrays, a .npz with all of them, raw files, or JPEG and PNG images; one --input for each, in \
            the model's order. An array with another shape than the model's resizes the input. Outputs can be written \
            as .npy files.
            """)

    @Argument(help: "A .tflite file.") var model: String
    @Option(name: .shortAndLong, help: ArgumentHelp("An input.", valueName: "path")) var input: [String] = []
    @Flag(help: "Use random inputs instead.") var random = false
    @Option(name: .shortAndLong, help: ArgumentHelp("Write output i to <prefix><i>.npy.", valueName: "prefix"))
    var output: String?
    @Option(help: "Run this signature instead of the main subgraph.") var signature: String?
    @Flag(help: "Compute integers as LiteRT's reference kernels do; slow.") var reference = false
    @Option(help: "Compute float32 layers in float32 or, where fast, bfloat16.") var precision: Precision = .float32
    @Option(help: "Threads; 0: one for each core.") var threads: Int32 = 1
    @OptionGroup(title: "Images") var images: ImagePreprocessing

    func validate() throws {
        if input.isEmpty && !random { throw ValidationError("give --input for each input of the model, or --random") }
    }

    func run() throws {
        let model = try Model(path: self.model)
        let interpreter = try Interpreter(
            model, .init(threads: threads, reference: reference, signature: signature, precision: precision))
        try resize(interpreter)
        let inputs = try interpreter.inputs()
        let samples =
            try random ? Samples(random: 1, for: inputs) : Samples(input, for: inputs, images: images)
        for (index, bytes) in try samples[0].enumerated() { try interpreter.setInput(index, bytes) }
        let start = now()
        try interpreter.invoke()
        note(format("one run took %.3f ms", Double(now() - start) / 1e6))
        for index in 0..<interpreter.outputCount { try show(index, interpreter) }
    }

    /// Arrays say their shapes themselves.
    private func resize(_ interpreter: Interpreter) throws {
        let inputs = try interpreter.inputs()
        guard input.count == inputs.count else { return }
        try interpreter.resizeInputs(
            to: zip(input, inputs).map { path, tensor in
                if path.hasSuffix(".npy") { return try NumPyFile.read(path).shape }
                let isImage = [".jpg", ".jpeg", ".png"].contains(where: path.lowercased().hasSuffix)
                return isImage ? try images.shape(of: tensor) : tensor.shape
            })
    }

    private func show(_ index: Int, _ interpreter: Interpreter) throws {
        let tensor = try interpreter.output(index)
        let title = "output \(index) '\(interpreter.outputName(index))' \(tensor.typeName) \(brief(tensor.shape))"
        guard let array = try? NumericArray(tensor) else { return print(title) }
        if let output { try NumPyFile.write(array, to: "\(output)\(index).npy") }
        let values = array.values()
        guard let first = values.first else { return print(title) }
        var (low, high, sum) = (first, first, 0.0)
        for value in values {
            (low, high, sum) = (min(low, value), max(high, value), sum + value)
        }
        print("\(title): min \(number(low)), max \(number(high)), mean \(number(sum / Double(values.count)))")
        let top = values.indices.sorted { (values[$1], $0) < (values[$0], $1) }.prefix(5)
        print("  largest: " + top.map { "[\($0)] \(number(values[$0]))" }.joined(separator: ", "))
    }
}
