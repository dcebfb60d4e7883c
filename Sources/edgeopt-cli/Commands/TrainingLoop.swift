import CEdgeOpt
import Glibc

/// Set by Ctrl-C.
private nonisolated(unsafe) var isInterrupted: sig_atomic_t = 0

/// Passes over the data, with checkpoints, a line of progress and a log.
struct TrainingLoop {
    let trainer: Trainer
    let samples: Samples
    let answers: Labels?
    let tensors: [Tensor]
    let epochs: Int
    let batchSize: Int
    let seed: UInt64
    let checkpoint: String?
    let log: String?

    private var batches: Int { (samples.count + batchSize - 1) / batchSize }

    func run() throws {
        var (epoch, first) = (0, 0)
        if let checkpoint, access(checkpoint, F_OK) == 0 {
            (epoch, first) = try position(try trainer.restore(from: checkpoint), checkpoint)
        }
        var lines = epoch == 0 && first == 0 ? ["epoch,loss,accuracy,seconds"] : []
        if let log, lines.isEmpty { lines = (try? readLines(log)) ?? [] }
        if checkpoint != nil { signal(SIGINT) { _ in isInterrupted = 1 } }
        while epoch < epochs {
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
        var (loss, seen, correct, counted) = (0.0, 0, 0, 0)
        var line = StatusLine()
        for batch in first..<max(first, batches) {
            let chosen = order[(batch * batchSize)..<min(order.count, (batch + 1) * batchSize)]
            let result = try step(chosen)
            loss += Double(result.loss) * Double(chosen.count)
            (seen, correct, counted) = (
                seen + chosen.count, correct + Int(result.correct), counted + Int(result.counted)
            )
            let left =
                Double(now() - start) / 1e9 / Double(batch - first + 1)
                * Double((epochs - epoch) * batches - batch - 1)
            line.show(
                "epoch \(epoch + 1)/\(epochs), \(batch + 1)/\(batches)" + summary(loss, seen, correct, counted)
                    + format(", %d:%02d left", Int(left) / 60, Int(left) % 60))
            guard isInterrupted == 0 else {
                line.finish()
                try save(epoch, batch + 1)
                throw Failure("stopped; the same command goes on from \(checkpoint ?? "")")
            }
        }
        line.finish()
        print("epoch \(epoch + 1)/\(epochs)" + summary(loss, seen, correct, counted))
        fflush(nil)  // a pipe's reader wants to see it now
        let accuracy = counted == 0 ? "" : number(Double(correct) / Double(counted))
        return "\(epoch + 1),\(number(loss / Double(max(1, seen)))),\(accuracy),"
            + number(Double(now() - start) / 1e9)
    }

    private func summary(_ loss: Double, _ seen: Int, _ correct: Int, _ counted: Int) -> String {
        format(": loss %.4f", loss / Double(max(1, seen)))
            + (counted == 0 ? "" : format(", accuracy %.2f %%", 100 * Double(correct) / Double(counted)))
    }

    private func step(_ chosen: ArraySlice<Int>) throws -> eo_batch_result {
        var inputs: [[UInt8]] = []
        for index in chosen {
            let sample = try samples[index]
            if inputs.isEmpty { inputs = sample.map { _ in [] } }
            for place in sample.indices { inputs[place] += sample[place] }
        }
        let labels = try answers.map { answers in try tensors.map { try answers.bytes(chosen, as: $0) } } ?? []
        return try trainer.step(chosen.count, inputs: inputs, labels: labels)
    }

    /// The same order for the same seed and epoch.
    private func shuffled(_ epoch: Int) -> [Int] {
        var generator = SplitMix(state: seed &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(epoch))
        return Array(0..<samples.count).shuffled(using: &generator)
    }

    private func save(_ epoch: Int, _ batch: Int) throws {
        guard let checkpoint else { return }
        try trainer.save(to: checkpoint, position: Array("\(seed) \(samples.count) \(epoch) \(batch)".utf8))
    }

    private func position(_ bytes: [UInt8], _ path: String) throws -> (Int, Int) {
        let numbers = String(decoding: bytes, as: UTF8.self).split(separator: " ").map { Int($0) ?? -1 }
        guard numbers.count == 4, numbers[0] == Int(seed), numbers[1] == samples.count, numbers[2] >= 0,
            (0...batches).contains(numbers[3])
        else { throw Failure("\(path): the checkpoint is of another seed, other data, or another program") }
        return (numbers[2], numbers[3])
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

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
