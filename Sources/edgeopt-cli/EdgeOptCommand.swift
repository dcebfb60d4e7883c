import ArgumentParser
import CEdgeOpt
import Glibc

struct EdgeOptCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edgeopt",
        abstract: "Makes .tflite models smaller, runs them, and measures both.",
        discussion: """
            A first session:

              edgeopt inspect model.tflite
              edgeopt quantize model.tflite -o small.tflite --scheme int8 --calibration photos/
              edgeopt diff --model_file=model.tflite --test_model_file=small.tflite
              edgeopt benchmark --graph=small.tflite --num_threads=2

            Results go to standard output, progress and errors to standard error. The exit status is 0 when all went \
            well, 1 when something failed, 2 when the command was used wrongly.
            """,
        version: String(cString: eo_version()),
        subcommands: [
            Inspect.self, Quantize.self, Prune.self, Cluster.self, Optimize.self, Finetune.self, Run.self,
            Benchmark.self, Diff.self,
            Evaluate.self,
        ])
}

@main
enum Entry {
    static func main() {
        do {
            var command = try EdgeOptCommand.parseAsRoot()
            try command.run()
        } catch {
            // ArgumentParser's own exit status for wrong usage is 64.
            let code = EdgeOptCommand.exitCode(for: error)
            let text = EdgeOptCommand.fullMessage(for: error)
            if !text.isEmpty && code == .success { print(text) }
            if !text.isEmpty && code != .success { note(text) }
            exit(code == .validationFailure ? 2 : code.rawValue)
        }
    }
}
