import ArgumentParser
import CEdgeOpt

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compares two ways of running a model on random input (as TFLite's inference_diff).",
        discussion: """
            The reference run is one thread with LiteRT's reference arithmetic; the test run is what the options say: \
            more threads, or another model with the same inputs and outputs, the quantized one, say.
            """)

    @Option(name: .customLong("model_file"), help: "A .tflite file.") var modelFile: String
    @Option(name: .customLong("test_model_file"), help: "Run this model in the test run instead.")
    var testModelFile: String?
    @Option(name: .customLong("num_runs"), help: "Number of runs, of three invocations each.") var numRuns = 50
    @Option(name: .customLong("num_interpreter_threads"), help: "Threads of the test run.") var threads: Int32 = 1
    @Option(name: .customLong("output_file_path"), help: "Also write the lines to this file.") var outputPath: String?
    @Option(name: .customLong("delegate"), help: .hidden) var delegate = ""

    /// So that making random numbers does not disturb the timing.
    private static let invocationsPerRun = 3

    func validate() throws {
        if !delegate.isEmpty { throw ValidationError("Unsupported delegate: \(delegate)") }
        if numRuns < 1 { throw ValidationError("--num_runs is \(numRuns), expected at least 1") }
    }

    func run() throws {
        let model = try Model(path: modelFile)
        let reference = try Interpreter(model, .init(reference: true))
        let test = try Interpreter(testModelFile.map(Model.init(path:)) ?? model, .init(threads: threads))
        try checkSame(reference, test)
        var (referenceLatency, testLatency) = (Statistics(), Statistics())
        var errors = [Statistics](repeating: Statistics(), count: reference.outputCount)
        var random = SystemRandomNumberGenerator()
        var progress = Progress("comparing", of: numRuns)
        for _ in 0..<numRuns {
            for index in 0..<reference.inputCount {
                let input = try reference.input(index)
                let values = try gaussian(input, using: &random)
                try reference.setInput(index, values.converted(to: elementType(of: input)).bytes)
                try put(values, of: input, into: try test.input(index))
            }
            try time(test, &testLatency)
            try time(reference, &referenceLatency)
            for index in errors.indices {
                errors[index].add(try averageError(reference.output(index), test.output(index)))
            }
            progress.step()
        }
        progress.finish()
        try report(referenceLatency, testLatency, errors)
    }

    private func report(_ reference: Statistics, _ test: Statistics, _ errors: [Statistics]) throws {
        func latency(_ name: String, _ values: Statistics) -> String {
            "\(name) run latency: avg=\(number(values.average))(us), std_dev=\(Int(values.standardDeviation))(us)"
        }
        var lines = ["Num evaluation runs: \(numRuns)", latency("Reference", reference), latency("Test", test)]
        for (index, error) in errors.enumerated() {
            lines.append(
                "OutputDiff[\(index)]: avg_error=\(number(error.average)), std_dev=\(number(error.standardDeviation))")
        }
        for line in lines { print(line) }
        if let outputPath { try writeFile(outputPath, Array((lines.joined(separator: "\n") + "\n").utf8)) }
    }

    private func time(_ interpreter: Interpreter, _ latency: inout Statistics) throws {
        for _ in 0..<Self.invocationsPerRun {
            let start = now()
            try interpreter.invoke()
            latency.add(Double((now() - start) / 1000))
        }
    }

    private func checkSame(_ one: Interpreter, _ other: Interpreter) throws {
        let (inputs, outputs) = (try one.inputs().map(\.shape), try one.outputs().map(\.shape))
        guard try inputs == other.inputs().map(\.shape), try outputs == other.outputs().map(\.shape) else {
            throw Failure("the two models have different inputs or outputs")
        }
    }

    /// Normal with mean 0.5 and deviation 1/3, drawn again until in [0, 1), then stretched over the type's range.
    private func gaussian(_ input: Tensor, using random: inout SystemRandomNumberGenerator) throws -> NumericArray {
        let range: (Double, Double)
        switch input.type {
        case EO_UINT8: range = (0, 255)
        case EO_INT8: range = (-128, 127)
        case EO_INT16: range = (-32768, 32767)
        case EO_INT32, EO_INT64, EO_BOOL: range = (0, 1)  // mostly indices: larger ones would not be valid
        default: range = (-1, 1)
        }
        var result = NumericArray(
            shape: input.shape, type: .float64, bytes: [UInt8](repeating: 0, count: 8 * input.count))
        result.bytes.withUnsafeMutableBytes { bytes in
            for index in 0..<input.count {
                var draw: Double
                repeat { draw = 0.5 + normal(using: &random) / 3 } while draw < 0 || draw >= 1
                let value = range.0 + (range.1 - range.0) * draw
                bytes.storeBytes(
                    of: ElementType(input.type)?.isInteger == true ? value.rounded(.towardZero) : value,
                    toByteOffset: 8 * index, as: Double.self)
            }
        }
        return result
    }

    /// The same real values, through the scales of both inputs where those differ.
    private func put(_ values: NumericArray, of source: Tensor, into target: Tensor) throws {
        var stored = values
        if source.type != target.type {
            stored.bytes.withUnsafeMutableBytes { bytes in
                for index in 0..<source.count {
                    let value = bytes.load(fromByteOffset: 8 * index, as: Double.self)
                    bytes.storeBytes(of: target.stored(source.real(value)), toByteOffset: 8 * index, as: Double.self)
                }
            }
        }
        target.bytes.copyBytes(from: stored.converted(to: try elementType(of: target)).bytes)
    }

    /// Mean absolute difference: of stored values where both outputs are of one type, else of real ones.
    private func averageError(_ reference: Tensor, _ test: Tensor) throws -> Double {
        let (expected, found) = (try NumericArray(reference).values(), try NumericArray(test).values())
        guard expected.count == found.count else { throw Failure("outputs \(reference.described) differ in size") }
        guard !expected.isEmpty else { return 0 }
        let alike = reference.type == test.type
        var sum = 0.0
        for index in expected.indices {
            sum +=
                alike
                ? abs(found[index] - expected[index]) : abs(test.real(found[index]) - reference.real(expected[index]))
        }
        return sum / Double(expected.count)
    }
}

extension Tensor {
    /// The real number that a stored one means; itself if the tensor is not quantized.
    func real(_ stored: Double) -> Double {
        guard let quantization, quantization.scales.count == 1 else { return stored }
        return Double(quantization.scales[0]) * (stored - Double(quantization.zeroPoints[0]))
    }

    /// The inverse of `real`, not rounded.
    func stored(_ real: Double) -> Double {
        guard let quantization, quantization.scales.count == 1 else { return real }
        return real / Double(quantization.scales[0]) + Double(quantization.zeroPoints[0])
    }
}
