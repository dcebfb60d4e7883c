import ArgumentParser
import CEdgeOpt
import Glibc

struct Benchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures latency and memory (flags and log lines of TFLite's benchmark_model).",
        discussion: """
            Flags are written --name=value. Flags of benchmark_model that choose or tune a delegate which this command \
            does not have are accepted, and a remark says that they change nothing.
            """)

    @Option(name: .customLong("graph"), help: "A .tflite file.") var graph: String
    @OptionGroup(title: "How often") var repetition: BenchmarkRepetition
    @OptionGroup(title: "Inputs") var inputs: BenchmarkInputs
    @OptionGroup(title: "Profile") var profile: BenchmarkProfileOptions

    @Option(name: .customLong("num_threads"), help: "Threads. Default: 1.") var numThreads: Int32?
    @Option(name: .customLong("reference"), help: "Compute integers as LiteRT's reference kernels do; slow.")
    var reference: Switch?
    @Option(name: .customLong("precision"), help: "Compute float32 layers in float32 or, where fast, bfloat16.")
    var precision: Precision = .float32
    @Option(name: .customLong("autotune"), help: "Time the kernels that can run a layer, and take the fastest.")
    var autotune: Switch?
    @Option(name: .customLong("dry_run"), help: "Load and compile, but do not run.") var dryRun: Switch?
    @Option(name: .customLong("verbose"), help: "Also log parameters that are not set.") var verbose: Switch?
    @Option(name: .customLong("benchmark_name"), help: "Logged as it is.") var benchmarkName: String?
    @Option(name: .customLong("output_prefix"), help: "Logged as it is.") var outputPrefix: String?
    @Option(name: .customLong("report_peak_memory_footprint"), help: "Report the largest memory use of the process.")
    var reportPeak: Switch?
    @Option(name: .customLong("signature_to_run_for"), help: "Run this signature instead of the main subgraph.")
    var signature: String?
    @Option(name: .customLong("list_signatures"), help: "Only list the model's signatures.") var listSignatures: Switch?
    @Option(name: .customLong("output_filepath"), help: "Write the outputs' bytes to <path>, with several <path><i>.")
    var outputPath: String?
    @Option(name: .customLong("weight_cache"), help: "Take packed weights from this file; it is written if need be.")
    var weightCache: String?
    @Argument(parsing: .allUnrecognized, help: .hidden) var others: [String] = []

    func validate() throws {
        for flag in others {
            let name = flag.drop { $0 == "-" }.prefix { $0 != "=" }
            guard flag.hasPrefix("--"), benchmarkFlagsWithoutEffect.contains(String(name)) else {
                throw ValidationError("Unknown option '\(flag)'")
            }
        }
    }

    func run() throws {
        print("STARTING!")
        for flag in others { note("\(flag): accepted, changes nothing here") }
        logParameters()
        let memoryAtStart = residentPeak()
        let start = now()
        let model = try Model(path: graph)
        if listSignatures?.isOn == true {
            for signature in try model.signatures() { print("Signature: [\(signature.key)]") }
            return
        }
        let interpreter = try Interpreter(
            model,
            .init(
                threads: max(1, numThreads ?? 1), reference: reference?.isOn == true, signature: signature,
                weightCache: weightCache, precision: precision,
                autotune: autotune?.isOn == true))
        try inputs.resize(interpreter)
        let initMicroseconds = (now() - start) / 1000
        let memoryAfterInit = residentPeak()
        print("Loaded model \(graph)")
        print("The input model file size (MB): \(number(Double(try readFile(graph).count) / 1e6))")
        print("Initialized session in \(number(Double(initMicroseconds) / 1000))ms.")
        try inputs.fill(interpreter)

        let runs = BenchmarkRuns(interpreter: interpreter, options: repetition)
        let dry = dryRun?.isOn == true
        let warmup = try runs.measure(
            atLeast: dry ? 0 : repetition.warmupRuns ?? 1, seconds: dry ? -1 : repetition.warmupSeconds ?? 0.5)
        let profiler = profile.isOn ? BenchmarkProfiler(model, interpreter) : nil
        profiler?.start()
        let regular = try runs.measure(
            atLeast: dry ? 0 : repetition.numRuns ?? 50, seconds: dry ? -1 : repetition.minSeconds ?? 1,
            afterFirst: { try profiler?.noteFirstRun() })

        print(
            "Inference timings in us: Init: \(initMicroseconds), First inference: \(number(warmup.first)), "
                + "Warmup (avg): \(number(warmup.average)), Inference (avg): \(number(regular.average))")
        print(
            "Note: memory is that of the whole process, this tool included, so it only bounds what the model needs.")
        print(
            "Memory footprint delta from the start of the tool (MB): "
                + "init=\(number(Double(memoryAfterInit - memoryAtStart) / 1024)) "
                + "overall=\(number(Double(residentPeak() - memoryAtStart) / 1024))")
        if reportPeak?.isOn == true {
            print(
                "Overall peak memory footprint (MB) via periodic monitoring: \(number(Double(residentPeak()) / 1024))")
        }
        if let outputPath { try writeOutputs(interpreter, to: outputPath) }
        if let profiler, regular.count > 0 { try profile.write(profiler.report(runs: regular)) }
    }

    private func writeOutputs(_ interpreter: Interpreter, to path: String) throws {
        let outputs = try interpreter.outputs()
        for (index, output) in outputs.enumerated() {
            try writeFile(outputs.count == 1 ? path : "\(path)\(index)", Array(output.bytes))
        }
    }

    private func logParameters() {
        let all = verbose?.isOn == true
        print("Log parameter values verbosely: [\(all ? 1 : 0)]")
        let parameters: [(String, String?, default: String)] =
            repetition.parameters
            + [
                ("Num threads", numThreads.map(String.init), default: "-1"),
                ("Benchmark name", benchmarkName, default: ""),
                ("Output prefix", outputPrefix, default: ""),
                ("Run w/o invoking kernels", dryRun?.logged, default: "0"),
                ("Report the peak memory footprint", reportPeak?.logged, default: "0"),
                ("Graph", graph, default: ""),
            ] + inputs.parameters + profile.parameters
        for (title, value, standard) in parameters where value != nil || all {
            print("\(title): [\(value ?? standard)]")
        }
    }
}

/// --flag=true, false, 1 or 0, as benchmark_model takes them.
struct Switch: ExpressibleByArgument {
    let isOn: Bool
    var logged: String { isOn ? "1" : "0" }

    init?(argument: String) {
        switch argument.lowercased() {
        case "true", "1": isOn = true
        case "false", "0": isOn = false
        default: return nil
        }
    }
}

/// The largest resident size of this process so far, in KB.
private func residentPeak() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Int(usage.ru_maxrss)
}

/// Flags of benchmark_model for what is not here.
private let benchmarkFlagsWithoutEffect: Set<String> = [
    "use_caching", "memory_footprint_check_interval_ms", "gpu_invoke_loop_times", "allow_fp16",
    "require_full_delegation", "max_profiling_buffer_entries", "allow_dynamic_profiling_buffer_increase",
    "export_model_runtime_info", "model_runtime_info_output_file", "print_preinvoke_state", "print_postinvoke_state",
    "release_dynamic_tensors", "optimize_memory_for_large_tensors", "disable_delegate_clustering",
    "enable_builtin_cast_constant_cache", "output_proto_filepath", "result_file_path", "tensor_name_display_length",
    "tensor_type_display_length", "alloc_type_display_length", "max_delegated_partitions", "min_nodes_per_partition",
    "first_delegate_node_index", "last_delegate_node_index", "delegate_serialize_dir", "delegate_serialize_token",
    "use_gpu", "gpu_precision_loss_allowed", "gpu_experimental_enable_quant", "gpu_inference_for_sustained_speed",
    "gpu_backend", "gpu_wait_type", "use_xnnpack", "xnnpack_force_fp16", "xnnpack_weight_cache_file_path",
    "xnnpack_runtime_flags", "use_ynnpack", "ynnpack_static_shape", "ynnpack_fast_math",
    "ynnpack_consistent_arithmetic", "ynnpack_no_excess_precision", "use_nnapi", "nnapi_execution_preference",
    "nnapi_execution_priority", "nnapi_accelerator_name", "nnapi_allow_fp16", "nnapi_allow_dynamic_dimensions",
    "nnapi_use_burst_mode", "nnapi_support_library_path", "disable_nnapi_cpu", "use_hexagon", "hexagon_lib_path",
    "hexagon_profiling", "use_coreml", "coreml_version", "external_delegate_path", "external_delegate_options",
    "stable_delegate_settings_file",
]
