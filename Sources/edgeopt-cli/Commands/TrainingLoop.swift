import CEdgeOpt
import Glibc

/// Set by Ctrl-C.
private nonisolated(unsafe) var isInterrupted: sig_atomic_t = 0

/// Passes over the data, with checkpoints, a line of progress and a log.
struct TrainingLoop {
    let trainer: Trainer
    let training: LabelledSamples
    /// What is measured after each epoch.
    var validation: LabelledSamples?
    let labels: [Tensor]
    let settings: TrainingSettings
    var augmentation: Augmentation?
    var checkpoint: String?
    var log: String?
    /// The share of zeros is told, too.
    var isPruning = false
    /// No line for each epoch on standard output.
    var isQuiet = false

    private var batches: Int { settings.batches(of: training.count) }

    func run() throws {
        var (epoch, first) = (0, 0)
        if let checkpoint, access(checkpoint, F_OK) == 0 {
            (epoch, first) = try position(try trainer.restore(from: checkpoint), checkpoint)
        }
        let header =
            "epoch,loss,accuracy,seconds" + (validation == nil ? "" : ",val_loss,val_accuracy")
            + (isPruning ? ",sparsity" : "")
        var lines = epoch == 0 && first == 0 ? [header] : []
        if let log, lines.isEmpty { lines = (try? readLines(log)) ?? [] }
        if checkpoint != nil { signal(SIGINT) { _ in isInterrupted = 1 } }
        while epoch < settings.epochs {
            lines.append(try pass(epoch, from: first))
            (epoch, first) = (epoch + 1, 0)
            if let log { try writeFile(log, Array((lines.joined(separator: "\n") + "\n").utf8)) }
            try save(epoch, 0)
        }
    }

    /// One epoch; its line of the log.
    private func pass(_ epoch: Int, from first: Int) throws -> String {
        let order = shuffled(epoch)
        let start = now()
        var seen = Means()
        var line = StatusLine()
        var zeros = ""
        for batch in first..<max(first, batches) {
            let chosen = order[(batch * settings.batchSize)..<min(order.count, (batch + 1) * settings.batchSize)]
            let (inputs, answers) = try training.batch(chosen, labels: labels) { bytes, input, index in
                guard let augmentation else { return bytes }
                var random = SplitMix(settings.seed, UInt64(epoch), UInt64(index))
                return try augmentation.applied(to: bytes, of: input, using: &random)
            }
            seen.add(try trainer.step(chosen.count, inputs: inputs, labels: answers), chosen.count)
            let left =
                Double(now() - start) / 1e9 / Double(batch - first + 1)
                * Double((settings.epochs - epoch) * batches - batch - 1)
            if isPruning, (batch - first) % 50 == 0 { zeros = try summary(trainer.sparsity()) }
            line.show(
                "epoch \(epoch + 1)/\(settings.epochs), \(batch + 1)/\(batches)" + seen.summary + zeros
                    + format(", %d:%02d left", Int(left) / 60, Int(left) % 60))
            guard isInterrupted == 0 else {
                line.finish()
                try save(epoch, batch + 1)
                throw Failure("stopped; the same command goes on from \(checkpoint ?? "")")
            }
        }
        line.finish()
        let seconds = Double(now() - start) / 1e9
        let measured = try validated()
        if isQuiet { return "" }
        let sparsity = isPruning ? try trainer.sparsity() : nil
        print(
            "epoch \(epoch + 1)/\(settings.epochs)" + seen.summary + (sparsity.map(summary) ?? "")
                + (measured.map { "; validation" + $0.summary } ?? ""))
        fflush(nil)  // a pipe's reader wants to see it now
        return "\(epoch + 1),\(seen.columns),\(number(seconds))" + (measured.map { "," + $0.columns } ?? "")
            + (sparsity.map { "," + number($0) } ?? "")
    }

    private func summary(_ sparsity: Double) -> String { format(", %.2f %% zeros", 100 * sparsity) }

    private func validated() throws -> Means? {
        guard let validation else { return nil }
        var means = Means()
        for first in stride(from: 0, to: validation.count, by: settings.batchSize) {
            let chosen = validation.chosen[first..<min(validation.count, first + settings.batchSize)]
            let (inputs, answers) = try validation.batch(chosen, labels: labels)
            means.add(try trainer.evaluate(chosen.count, inputs: inputs, labels: answers), chosen.count)
        }
        return means
    }

    /// The same order for the same seed and epoch.
    private func shuffled(_ epoch: Int) -> [Int] {
        var generator = SplitMix(settings.seed, UInt64(epoch))
        return training.chosen.shuffled(using: &generator)
    }

    private func save(_ epoch: Int, _ batch: Int) throws {
        guard let checkpoint else { return }
        let numbers = "\(settings.seed) \(training.count) \(epoch) \(batch)"
        try trainer.save(to: checkpoint, position: Array(numbers.utf8))
    }

    private func position(_ bytes: [UInt8], _ path: String) throws -> (Int, Int) {
        let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        guard words.count == 4, words[0] == "\(settings.seed)", words[1] == "\(training.count)",
            let epoch = Int(words[2]), epoch >= 0, let batch = Int(words[3]), (0...batches).contains(batch)
        else { throw Failure("\(path): the checkpoint is of another seed, other data, or another program") }
        return (epoch, batch)
    }
}

/// Loss and right answers of all samples seen.
private struct Means {
    private var (loss, samples, correct, counted) = (0.0, 0, 0, 0)

    mutating func add(_ result: eo_batch_result, _ count: Int) {
        loss += Double(result.loss) * Double(count)
        (samples, correct, counted) = (samples + count, correct + Int(result.correct), counted + Int(result.counted))
    }

    private var mean: Double { loss / Double(max(1, samples)) }

    var summary: String {
        format(": loss %.4f", mean)
            + (counted == 0 ? "" : format(", accuracy %.2f %%", 100 * Double(correct) / Double(counted)))
    }

    /// For the log.
    var columns: String {
        number(mean) + "," + (counted == 0 ? "" : number(Double(correct) / Double(counted)))
    }
}

/// A line on standard error that is written over; only where somebody looks at it.
private struct StatusLine {
    private let isVisible = isatty(STDERR_FILENO) == 1
    private var last: UInt64 = 0

    mutating func show(_ text: String) {
        guard isVisible, now() - last > 100_000_000 else { return }
        last = now()
        writeError("\r\u{1B}[K" + text)
    }

    func finish() { if isVisible, last > 0 { writeError("\r\u{1B}[K") } }
}
