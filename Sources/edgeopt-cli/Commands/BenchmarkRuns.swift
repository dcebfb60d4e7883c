import ArgumentParser
import CEdgeOpt
import Glibc

/// How often benchmark runs a model.
struct BenchmarkRepetition: ParsableArguments {
    @Option(name: .customLong("num_runs"), help: "At least this many runs. Default: 50.") var numRuns: Int?
    @Option(name: .customLong("min_secs"), help: "And for at least so many seconds. Default: 1.") var minSeconds:
        Double?
    @Option(name: .customLong("max_secs"), help: "No new run begins after so many seconds. Default: 150.")
    var maxSeconds: Double?
    @Option(name: .customLong("warmup_runs"), help: "At least this many runs before measuring. Default: 1.")
    var warmupRuns: Int?
    @Option(name: .customLong("warmup_min_secs"), help: "And for at least so many seconds. Default: 0.5.")
    var warmupSeconds: Double?
    @Option(name: .customLong("run_delay"), help: "Seconds to wait between runs.") var runDelay: Double?
    @Option(name: .customLong("run_frequency"), help: "Runs for each second, instead of a delay.")
    var runFrequency: Double?

    var parameters: [(String, String?, default: String)] {
        [
            ("Min num runs", numRuns.map(String.init), default: "50"),
            ("Min runs duration (seconds)", minSeconds.map(number), default: "1"),
            ("Max runs duration (seconds)", maxSeconds.map(number), default: "150"),
            ("Inter-run delay (seconds)", runDelay.map(number), default: "-1"),
            ("Number of prorated runs per second", runFrequency.map(number), default: "-1"),
            ("Min warmup runs", warmupRuns.map(String.init), default: "1"),
            ("Min warmup runs duration (seconds)", warmupSeconds.map(number), default: "0.5"),
        ]
    }
}

struct BenchmarkRuns {
    let interpreter: Interpreter
    let options: BenchmarkRepetition

    /// Times of runs, in whole microseconds.
    func measure(atLeast count: Int, seconds: Double, afterFirst: () throws -> Void = {}) throws -> Statistics {
        let most = options.maxSeconds ?? 150
        print(
            "Running benchmark for at least \(count) iterations and at least \(number(seconds)) seconds but"
                + " terminate if exceeding \(number(most)) seconds.")
        var times = Statistics()
        let start = now()
        func elapsed() -> Double { Double(now() - start) / 1e9 }
        while (times.count < count || elapsed() < seconds) && elapsed() <= most {
            let begin = now()
            try interpreter.invoke()
            times.add(Double((now() - begin) / 1000))
            if times.count == 1 { try afterFirst() }
            let pause =
                options.runFrequency.map { Double(times.count) / $0 - elapsed() } ?? options.runDelay ?? 0
            if pause > 0 { usleep(UInt32(min(pause * 1e6, 1e9))) }
        }
        print("\(times.line)\n")
        return times
    }
}

/// What benchmark puts into the inputs.
struct BenchmarkInputs: ParsableArguments {
    @Option(name: .customLong("input_layer"), help: "Names of the inputs that the next three are about: a,b.")
    var layers: String?
    @Option(name: .customLong("input_layer_shape"), help: "Their shapes: 1,224,224,3:1,20.") var shapes: String?
    @Option(name: .customLong("input_layer_value_range"), help: "Ranges of integer values: a,0,254:b,1,2.")
    var ranges: String?
    @Option(name: .customLong("input_layer_value_files"), help: "Files with their bytes: a:path,b:path.")
    var files: String?

    var parameters: [(String, String?, default: String)] {
        [
            ("Input layers", layers, default: ""), ("Input shapes", shapes, default: ""),
            ("Input value ranges", ranges, default: ""), ("Input value files", files, default: ""),
        ]
    }

    func validate() throws {
        let (names, given) = (split(layers, ","), split(shapes, ":"))
        guard names.count == given.count else {
            throw ValidationError("--input_layer names \(names.count) inputs, --input_layer_shape has \(given.count)")
        }
    }

    func resize(_ interpreter: Interpreter) throws {
        guard layers != nil else { return }
        var wanted = try interpreter.inputs().map(\.shape)
        for (name, shape) in zip(split(layers, ","), split(shapes, ":")) {
            let sizes = shape.split(separator: ",").map { Int($0) }
            guard !sizes.contains(nil), sizes.allSatisfy({ $0! >= 0 }) else {
                throw Failure("--input_layer_shape: '\(shape)' is not a shape")
            }
            wanted[try index(of: name, interpreter)] = sizes.map { $0! }
        }
        try interpreter.resizeInputs(to: wanted)
    }

    /// Random values, as benchmark_model draws them, or those of the files.
    func fill(_ interpreter: Interpreter) throws {
        var limits: [Int: ClosedRange<Double>] = [:]
        for item in split(ranges, ":") {
            let parts = item.split(separator: ",").map(String.init)
            guard parts.count == 3, let low = Double(parts[1]), let high = Double(parts[2]), low <= high else {
                throw Failure("--input_layer_value_range: '\(item)' is not name,low,high")
            }
            limits[try index(of: parts[0], interpreter)] = low...high
        }
        for input in 0..<interpreter.inputCount {
            try interpreter.setInput(input, try randomBytes(try interpreter.input(input), limits[input]))
        }
        for item in split(files, ",") {
            guard let colon = item.firstIndex(of: ":") else { throw Failure("'\(item)' is not name:path") }
            let input = try index(of: String(item[..<colon]), interpreter)
            try interpreter.setInput(input, try readFile(String(item[item.index(after: colon)...])))
        }
    }

    private func randomBytes(_ tensor: Tensor, _ limits: ClosedRange<Double>?) throws -> [UInt8] {
        let type = try elementType(of: tensor)
        let standard: ClosedRange<Double> =
            switch type {
            case .float16, .float32, .float64: -0.5...0.5
            case .uint8: 0...254
            case .int8: -127...127
            case .bool: 0...1
            default: 0...99
            }
        var bytes = [UInt8](repeating: 0, count: tensor.size)
        bytes.withUnsafeMutableBytes { bytes in
            for index in 0..<tensor.count {
                type.store(.random(in: limits ?? standard), bytes, index * type.size)
            }
        }
        return bytes
    }

    private func index(of name: String, _ interpreter: Interpreter) throws -> Int {
        let names = try (0..<interpreter.inputCount).map {
            [interpreter.inputName($0), try interpreter.input($0).name]
        }
        guard let found = names.firstIndex(where: { $0.contains(name) }) else {
            throw Failure("the model has no input '\(name)', only \(names.map { $0[0] })")
        }
        return found
    }

    private func split(_ text: String?, _ separator: Character) -> [String] {
        text?.split(separator: separator).map(String.init) ?? []
    }
}
