import ArgumentParser
import CEdgeOpt

struct Quantize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes a smaller copy of a float model.",
        discussion: """
            Schemes:
              float16        weights as float16: half the size
              dynamic_range  weights as int8, arithmetic mostly in integers: a quarter
              int8           weights and activations as int8: a quarter, and the fastest
              int16x8        activations as int16, weights as int8: more exact than int8

            int8 and int16x8 need samples of real input, a hundred or so: --calibration with a folder of JPEG or PNG \
            images, a .npy array of samples, a .npz with one array for each input, or a raw file. With several inputs \
            give --calibration once for each, in their order.
            """)

    @Argument(help: "A float .tflite file.") var model: String
    @Option(name: .shortAndLong, help: "Where to write.") var output: String
    @Option(help: "float16, dynamic_range, int8 or int16x8.") var scheme: Scheme = .int8
    @Option(help: ArgumentHelp("Samples of real input.", valueName: "path")) var calibration: [String] = []
    @Option(help: "Use this many random samples instead; good for measuring speed, not for using the model.")
    var randomSamples: Int?
    @Option(help: "At most this many samples.") var maxSamples: Int?
    @Option(help: "How ranges of samples are joined: min_max or moving_average.") var method: Method = .minMax
    @Flag(help: "One scale for a weight tensor instead of one for each output channel.") var perTensor = false
    @Option(help: "float32, or int8 or uint8 (int8), int16 (int16x8).") var inputType: EndType = .float32
    @Option(help: "The same for outputs.") var outputType: EndType = .float32
    @Option(help: "Threads for the calibration; 0: one for each core.") var threads: Int32 = 1
    @OptionGroup(title: "Images") var images: ImagePreprocessing

    func validate() throws {
        for count in [maxSamples, randomSamples] where count ?? 1 < 1 {
            throw ValidationError("the number of samples is \(count!), expected at least 1")
        }
        guard scheme.needsSamples else { return }
        guard !calibration.isEmpty || randomSamples != nil else {
            throw ValidationError("--scheme \(scheme.rawValue) needs --calibration (or --random-samples to try it)")
        }
    }

    func run() throws {
        let source = try Model(path: model)
        var options = eo_quantizer_options.usual
        options.scheme = scheme.value
        options.per_tensor_weights = perTensor
        options.input_type = inputType.value
        options.output_type = outputType.value
        options.calibration = method.value
        options.num_threads = threads
        let quantizer = try Quantizer(source, options)
        if scheme.needsSamples { try calibrate(quantizer) }
        let result = try quantizer.finish()
        try result.save(to: output)

        let (before, after) = (try readFile(model).count, try readFile(output).count)
        print("\(output): \(after) bytes, " + format("%.1f %%", 100 * Double(after) / Double(before)) + " of \(before)")
    }

    private func calibrate(_ quantizer: Quantizer) throws {
        let inputs = try quantizer.inputs()
        let samples =
            try randomSamples.map { try Samples(random: $0, for: inputs) }
            ?? Samples(calibration, for: inputs, images: images)
        let count = min(samples.count, maxSamples ?? .max)
        if randomSamples != nil { note("calibrating with random numbers: accuracy will suffer") }
        var progress = Progress("calibrating", of: count)
        for index in 0..<count {
            try quantizer.calibrate(samples[index])
            progress.step()
        }
        progress.finish()
    }
}

enum Scheme: String, ExpressibleByArgument, CaseIterable {
    case float16
    case dynamicRange = "dynamic_range"
    case int8
    case int16x8

    var needsSamples: Bool { self == .int8 || self == .int16x8 }
    var value: eo_scheme {
        switch self {
        case .float16: EO_SCHEME_FLOAT16
        case .dynamicRange: EO_SCHEME_DYNAMIC_RANGE
        case .int8: EO_SCHEME_INT8
        case .int16x8: EO_SCHEME_INT16X8
        }
    }
}

enum Method: String, ExpressibleByArgument, CaseIterable {
    case minMax = "min_max"
    case movingAverage = "moving_average"

    var value: eo_calibration { self == .minMax ? EO_CALIBRATION_MIN_MAX : EO_CALIBRATION_MOVING_AVERAGE }
}

enum EndType: String, ExpressibleByArgument, CaseIterable {
    case float32, int8, uint8, int16

    var value: eo_type {
        switch self {
        case .float32: EO_FLOAT32
        case .int8: EO_INT8
        case .uint8: EO_UINT8
        case .int16: EO_INT16
        }
    }
}
