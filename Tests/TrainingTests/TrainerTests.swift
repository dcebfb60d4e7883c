import CEdgeOpt
import Model
import Testing

@testable import Training

@Suite struct TrainerTests {
    @Test func theLossFalls() throws {
        let trainer = try Digits.trainer { $0.schedule.rate = 0.003 }
        let first = try trainer.evaluate(Digits.batch(8)).loss
        for step in 0..<60 { _ = try trainer.step(Digits.batch(8, seed: UInt32(step % 3 + 1))) }
        let last = try trainer.evaluate(Digits.batch(8))
        #expect(last.loss < first / 4)
        #expect(last.counted == 8 && last.correct >= 7)
    }

    /// What SGD does to a parameter is the derivative of the loss, as differences of losses show it.
    @Test func stepsFollowTheDerivative() throws {
        let trainer = try Digits.trainer {
            $0.optimizer.kind = .sgd
            $0.schedule.rate = 1
        }
        let before = try trainer.weights
        let batch = try Digits.batch(8)
        _ = try trainer.step(batch)
        let after = try trainer.weights
        for index in before.indices { try trainer.setParameter(index, try Bytes(copying: before[index])) }
        for index in before.indices {
            let element = before[index].count / 2
            let gradient = before[index][element] - after[index][element]
            var losses: [Float] = []
            for delta in [Float(-0.002), 0.002] {
                var moved = before[index]
                moved[element] += delta
                try trainer.setParameter(index, try Bytes(copying: moved))
                losses.append(try trainer.evaluate(batch).loss)
            }
            try trainer.setParameter(index, try Bytes(copying: before[index]))
            let expected = (losses[1] - losses[0]) / 0.004
            let name = try trainer.parameter(index).name
            #expect(abs(gradient - expected) < 0.002 + 0.02 * abs(expected), "\(name): \(gradient), \(expected)")
        }
    }

    @Test(arguments: [1, 2]) func sameStartAndDataGiveTheSameBits(_ threads: Int) throws {
        let trainers = try (0..<2).map { _ in try Digits.trainer { $0.threadCount = threads } }
        for step in 0..<5 {
            let results = try trainers.map { try $0.step(Digits.batch(8, seed: UInt32(step + 1))) }
            #expect(results[0].loss == results[1].loss)
        }
        #expect(try trainers[0].weights == trainers[1].weights)
    }

    /// A batch that is not full gives what a trainer for so many samples gives.
    @Test func paddingCountsNowhere() throws {
        let large = try Digits.trainer()
        let small = try Digits.trainer { $0.batchSize = 5 }
        let results = try [large, small].map { try $0.step(Digits.batch(5)) }
        #expect(abs(results[0].loss - results[1].loss) < 1e-6)
        #expect(results[0].counted == 5)
        for (a, b) in zip(try large.weights, try small.weights) {
            for (x, y) in zip(a, b) { #expect(abs(x - y) < 1e-4) }
        }
    }

    /// A batch in parts, of which the last is not full, gives what the whole batch gives; also where a teacher speaks,
    /// beside labels, since with nothing else to learn the first gradient is but rounding.
    @Test(arguments: [[LossKind.automatic], [.automatic, .distillation]]) func partsAddUp(_ kinds: [LossKind]) throws {
        let trainers = try [8, 3, 3].map { size in
            try Digits.trainer {
                $0.samplesAtATime = size
                $0.losses = kinds.map { kind in
                    var term = LossTerm()
                    term.kind = kind
                    return term
                }
            }
        }
        for step in 1...3 {
            var batch = try Digits.batch(8, seed: UInt32(step))
            batch.weights = try Bytes(copying: (0..<8).map { Float($0) / 4 })
            let results = try trainers.map { try $0.step(batch) }
            #expect(abs(results[0].loss - results[1].loss) < 1e-5 && results[1].loss == results[2].loss)
            #expect(results[0].counted == results[1].counted && results[0].correct == results[1].correct)
            #expect(abs(results[0].gradientNorm - results[1].gradientNorm) < 1e-4)
        }
        #expect(try trainers[1].weights == trainers[2].weights)
        #expect(trainers[1].inputs[0].shape[0] == 8 && trainers[1].arenaSize < trainers[0].arenaSize)
    }

    @Test func sampleWeightsMultiplyLosses() throws {
        let trainer = try Digits.trainer()
        var batch = try Digits.batch(2)
        let both = try trainer.evaluate(batch).loss
        batch.weights = try Bytes(copying: [Float(2), 0])
        let first = try trainer.evaluate(batch).loss
        batch.weights = try Bytes(copying: [Float(0), 2])
        let second = try trainer.evaluate(batch).loss
        #expect(abs((first + second) / 2 - both) < 1e-5)
    }

    @Test func exportHasTheTrainedWeightsAndNothingElse() throws {
        let trainer = try Digits.trainer()
        _ = try trainer.step(Digits.batch(8))
        let exported = try Model.read(try trainer.export().serialized(), origin: "exported")
        let source = try Digits.model()
        #expect(exported.subgraphs[0].operators.count <= source.subgraphs[0].operators.count)
        #expect(exported.subgraphs[0].tensors[exported.subgraphs[0].inputs[0]].shape.first == 1)
        let again = try Trainer.make(exported, trainer.options)
        #expect(try again.weights == trainer.weights)
        #expect(try again.evaluate(Digits.batch(8)).loss == trainer.evaluate(Digits.batch(8)).loss)
    }

    @Test func frozenParametersStay() throws {
        let all = try Digits.trainer().parameterCount
        let name = try Digits.trainer().parameter(0).name
        let trainer = try Digits.trainer { $0.frozen = [String(name.prefix(name.count - 2)) + "*"] }
        #expect(trainer.parameterCount < all)
        #expect(trainer.parameterIndex(name) == -1)
    }

    @Test func averagesAreWhatIsEvaluatedAndExported() throws {
        let trainer = try Digits.trainer { $0.optimizer.averaging = 0.5 }
        var expected = try trainer.weights
        for step in 0..<3 {
            _ = try trainer.step(Digits.batch(8, seed: UInt32(step + 1)))
            for (index, now) in try trainer.weights.enumerated() {
                expected[index] = zip(expected[index], now).map { step == 0 ? $1 : 0.5 * $0 + 0.5 * $1 }
            }
        }
        let exported = try Trainer.make(try trainer.export(), TrainerOptions())
        for (a, b) in zip(try exported.weights, expected) { for (x, y) in zip(a, b) { #expect(abs(x - y) < 1e-6) } }
    }

    @Test func clippingBoundsTheStep() throws {
        let trainer = try Digits.trainer {
            $0.optimizer.kind = .sgd
            $0.optimizer.clipGlobalNorm = 0.01
            $0.schedule.rate = 1
        }
        let before = try trainer.weights
        let result = try trainer.step(Digits.batch(8))
        #expect(result.gradientNorm > 0.01)
        var squares = 0.0
        for (a, b) in zip(before, try trainer.weights) {
            for (x, y) in zip(a, b) { squares += Double((x - y) * (x - y)) }
        }
        #expect(abs(squares.squareRoot() - 0.01) < 1e-4)
    }

    @Test func distillationFromItselfIsNothingToLearn() throws {
        let trainer = try Digits.trainer {
            var term = LossTerm()
            term.kind = .distillation
            term.temperature = 2
            $0.losses = [term]
        }
        #expect(trainer.labels.isEmpty)
        let images = try Digits.batch(8).inputs
        let result = try trainer.step(Batch(sampleCount: 8, inputs: images))
        #expect(abs(result.loss) < 1e-6 && result.gradientNorm < 1e-4)
        #expect(result.correct == 8)
        var spoiled = try trainer.parameter(0).memory.values
        for index in spoiled.indices { spoiled[index] *= 1.5 }
        try trainer.setParameter(0, try Bytes(copying: spoiled))
        let first = try trainer.step(Batch(sampleCount: 8, inputs: images)).loss
        #expect(first > 1e-4)
        for _ in 0..<40 { _ = try trainer.step(Batch(sampleCount: 8, inputs: images)) }
        #expect(try trainer.evaluate(Batch(sampleCount: 8, inputs: images)).loss < first / 2)
    }

    /// The host computes the squared error: the same step as our own squared error.
    @Test func theHostsLossIsMinimized() throws {
        let images = try Digits.batch(8).inputs
        func options(_ kind: LossKind) -> TrainerOptions {
            var options = TrainerOptions()
            options.batchSize = 8
            options.optimizer.kind = .sgd
            options.schedule.rate = 0.1
            var term = LossTerm()
            term.kind = kind
            options.losses = [term]
            return options
        }
        var host = options(.host)
        host.hostLoss = { call in
            let count = call.predictions[0].count
            var loss: Float = 0
            var gradient = [Float](repeating: 0, count: count)
            for (index, value) in call.predictions[0].values.enumerated() {
                loss += value * value / Float(count)
                gradient[index] = 2 * value / Float(count)
            }
            call.gradients[0].set(gradient)
            return loss
        }
        let ours = try Trainer.make(try Digits.model(), options(.meanSquaredError))
        let theirs = try Trainer.make(try Digits.model(), host)
        let zeros = try Bytes(copying: [Float](repeating: 0, count: 80))
        for _ in 0..<3 {
            let a = try ours.step(Batch(sampleCount: 8, inputs: images, labels: [zeros]))
            let b = try theirs.step(Batch(sampleCount: 8, inputs: images))
            #expect(abs(a.loss - b.loss) < 1e-6)
        }
        for (a, b) in zip(try ours.weights, try theirs.weights) {
            for (x, y) in zip(a, b) { #expect(abs(x - y) < 1e-6) }
        }
    }
}
