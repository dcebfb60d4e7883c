import ArgumentParser
import CEdgeOpt

struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures an image classifier's Top-1 to Top-10 accuracy (as TFLite's run_eval).",
        discussion: """
            The images of a folder, in the alphabetical order of their names, are cropped, resized and given to the \
            model. Each line of the labels' file is the label of one of them. With --model_output_labels labels are \
            names, and line i of that file names output i; without, labels are the outputs' numbers.
            """)

    @Option(name: .customLong("model_file"), help: "A .tflite file.") var modelFile: String
    @Option(name: .customLong("ground_truth_images_path"), help: "Folder of JPEG or PNG images.") var imagesPath: String
    @Option(name: .customLong("ground_truth_labels"), help: "File with one label a line.") var labelsPath: String
    @Option(name: .customLong("model_output_labels"), help: "File with the name of each output.")
    var outputLabelsPath: String?
    @Option(name: .customLong("denylist_file_path"), help: "File with numbers, from 1, of images to leave out.")
    var denylistPath: String?
    @Option(name: .customLong("output_file_path"), help: "Also write the lines to this file.") var outputPath: String?
    @Option(name: .customLong("num_images"), help: "At most this many images; 0: all.") var numImages = 0
    @Option(name: .customLong("num_interpreter_threads"), help: "Threads.") var threads: Int32 = 1
    @Option(name: .customLong("delegate"), help: .hidden) var delegate = ""
    @OptionGroup(title: "Images") var preprocessing: ImagePreprocessing

    private static let largestK = 10

    func validate() throws {
        if !delegate.isEmpty { throw ValidationError("Unsupported delegate: \(delegate)") }
    }

    func run() throws {
        let items = try images()
        let interpreter = try Interpreter(try Model(path: modelFile), .init(threads: threads))
        guard interpreter.inputCount == 1, interpreter.outputCount == 1 else {
            throw Failure("\(modelFile): expected one input and one output")
        }
        let input = try interpreter.input(0)
        try interpreter.resizeInputs(to: [preprocessing.shape(of: input)])

        var hits = [Int](repeating: 0, count: Self.largestK)
        var (loading, inference) = (Statistics(), Statistics())
        var progress = Progress("evaluating", of: items.count)
        for (path, label) in items {
            let start = now()
            let image = try preprocessing.load(path, for: input)
            let loaded = now()
            try interpreter.setInput(0, image.bytes)
            try interpreter.invoke()
            inference.add(Double((now() - loaded) / 1000))
            loading.add(Double((loaded - start) / 1000))
            let scores = try NumericArray(interpreter.output(0)).values()
            guard label < scores.count else {
                throw Failure("\(path): label \(label), the model has \(scores.count) outputs")
            }
            // How many outputs score higher; of equal ones the earlier wins.
            let rank = scores.indices.filter {
                scores[$0] > scores[label] || (scores[$0] == scores[label] && $0 < label)
            }.count
            for k in rank..<max(rank, Self.largestK) { hits[k] += 1 }
            progress.step()
        }
        progress.finish()
        try report(items.count, loading, inference, hits)
    }

    private func report(_ count: Int, _ loading: Statistics, _ inference: Statistics, _ hits: [Int]) throws {
        func latency(_ name: String, _ values: Statistics) -> String {
            "\(name) latency: avg=\(number(values.average))(us), std_dev=\(Int(values.standardDeviation))(us)"
        }
        var lines = [
            "Num evaluation runs: \(count)", latency("Preprocessing", loading), latency("Inference", inference),
        ]
        for (index, hit) in hits.enumerated() {
            lines.append("Top-\(index + 1) Accuracy: \(number(Double(hit) / Double(count)))")
        }
        for line in lines { print(line) }
        if let outputPath { try writeFile(outputPath, Array((lines.joined(separator: "\n") + "\n").utf8)) }
    }

    /// Paths with the numbers of the outputs that are right.
    private func images() throws -> [(String, Int)] {
        let paths = try files(in: imagesPath, endingWith: [".jpg", ".jpeg", ".png"])
        let labels = try readLines(labelsPath)
        guard paths.count == labels.count, !paths.isEmpty else {
            throw Failure("\(imagesPath) has \(paths.count) images, \(labelsPath) \(labels.count) labels")
        }
        let names = try outputLabelsPath.map(readLines)
        var items: [(String, Int)] = []
        let denied = Set(try denylistPath.map(readLines)?.compactMap { Int($0) } ?? [])
        for (index, (path, label)) in zip(paths, labels).enumerated() where !denied.contains(index + 1) {
            guard let output = names.map({ $0.firstIndex(of: label) }) ?? Int(label), output >= 0 else {
                throw Failure("\(labelsPath): line \(index + 1), '\(label)', names no output of the model")
            }
            items.append((path, output))
        }
        guard !items.isEmpty else { throw Failure("no images are left to evaluate") }
        return numImages > 0 ? Array(items.prefix(numImages)) : items
    }
}
