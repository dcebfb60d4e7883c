import Model
import Testing

@testable import Training

@Suite struct BatchNormalizationTests {
    private func trainer() throws -> Trainer {
        try Digits.trainer {
            $0.normalizesBatches = true
            $0.batchSize = 16
            $0.batchMomentum = 0.5
        }
    }

    /// Put back, it changes nothing: evaluation before the first step gives what the model gives.
    @Test func beginsAsTheIdentity() throws {
        let plain = try Digits.trainer { $0.batchSize = 16 }
        let normalized = try trainer()
        let batch = try Digits.batch(16)
        let expected = try plain.evaluate(batch).loss
        #expect(abs(try normalized.evaluate(batch).loss - expected) < 1e-4 * max(1, expected))
        // The statistics of the batch are what gamma and beta undo, so the first step has the same loss too.
        let first = try normalized.step(batch).loss
        #expect(abs(first - expected) < 1e-3 * max(1, expected))
    }

    @Test func isFoldedAtExport() throws {
        let trainer = try trainer()
        for step in 0..<8 { _ = try trainer.step(Digits.batch(16, seed: UInt32(step % 4 + 1))) }
        let batch = try Digits.batch(16, seed: 9)
        let exported = try trainer.export()
        let source = try Digits.model().preparedForTraining()
        #expect(exported.subgraphs[0].operators.count == source.subgraphs[0].operators.count)
        let plain = try Trainer.make(exported, Digits.trainer { $0.batchSize = 16 }.options)
        let (a, b) = (try plain.evaluate(batch), try trainer.evaluate(batch))
        #expect(abs(a.loss - b.loss) < 1e-3 * max(1, b.loss))
        #expect(a.correct == b.correct)
    }

    @Test func learns() throws {
        let trainer = try trainer()
        let first = try trainer.step(Digits.batch(16)).loss
        for step in 0..<40 { _ = try trainer.step(Digits.batch(16, seed: UInt32(step % 2 + 1))) }
        #expect(try trainer.step(Digits.batch(16)).loss < first / 2)
    }
}
