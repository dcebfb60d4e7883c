import Kernels
import Model
import Testing

@testable import Operators
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

    /// y, mean, variance, and the gradients of x, gamma and beta; of the joined operator or of those it stands for.
    private func results(_ shape: [Int], isJoined: Bool, threads: Int = 1) throws -> [[Float]] {
        var empty = Model()
        empty.subgraphs = [Subgraph()]
        let graph = GraphEmitter(empty)
        let channels = shape[shape.count - 1]
        let inputs = [shape, [channels], [channels], shape].map {
            graph.add(Tensor(name: "input", type: .float32, shape: $0))
        }
        let (x, gamma, beta) = (inputs[0], inputs[1], inputs[2])
        var y = graph.add(Tensor(name: "y", type: .float32, shape: shape))
        var (mean, variance) = (0, 0)
        if isJoined {
            (mean, variance) = BatchNormalize.append(
                x, gamma: gamma.tensor, beta: beta.tensor, given: nil, y: y.tensor, .relu, epsilon: 1e-3)
        } else {
            let axes = try graph.indices(Array(0..<x.rank - 1))
            let average = try x.apply(.mean, axes, options: Options(.reducer))
            let spread = try (x - average).apply(.square).apply(.mean, axes, options: Options(.reducer))
            let scaled = try (x - average) * (gamma * (spread + 1e-3).apply(.rsqrt))
            y = try scaled.apply(.add, beta, options: Options(.add, [.int(1)]))
            (mean, variance) = (average.tensor, spread.tensor)
        }
        let loss = try (y * inputs[3]).sum(Array(shape.indices), keep: false)
        var model = graph.model
        model.subgraphs[0].inputs = inputs.map { $0.tensor }
        model.subgraphs[0].outputs = [y.tensor, mean, variance]
        let (complete, gradients) = try model.appendingGradients(
            of: loss.tensor, withRespectTo: [x, gamma, beta].map { $0.tensor })
        #expect(gradients.allSatisfy { $0 != nil })
        let interpreter = try BackwardTests.interpreter(complete, threads: threads)
        try interpreter.invoke()
        return try (0..<6).map { try interpreter.outputTensor($0).read() }
    }

    @Test(arguments: [[3, 8, 8, 5], [700, 3], [2, 70, 65, 16], [2, 3, 600]])
    func isWhatItsOperatorsAre(_ shape: [Int]) throws {
        let (found, expected) = (try results(shape, isJoined: true), try results(shape, isJoined: false))
        for (index, (a, b)) in zip(found, expected).enumerated() {
            let size = b.reduce(1e-3) { max($0, abs($1)) }
            let error = zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
            #expect(a.count == b.count && error < 1e-4 * size, "\(shape), result \(index): \(error) of \(size)")
        }
        #expect(try results(shape, isJoined: true, threads: 3) == found)
    }

    /// Operands that a file may have, but its kernel cannot do without or with.
    @Test func otherOperandsAreRefused() throws {
        var evaluation = Evaluation(
            BatchNormalize.definition, options: Options(.fakeQuant, [.float(0), .float(1), .float(1e-3)]),
            pool: try ThreadPool(threads: 1), weights: try PackedWeightCache())
        evaluation.arithmetic = .fast
        let x = TensorInfo(
            type: .float32, shape: [4, 3], constant: try Bytes(copying: [Float](repeating: 1, count: 12)))
        let few = TensorInfo(type: .float32, shape: [3], constant: try Bytes(copying: [1, 2, 3] as [Float]))
        let (y, byte) = (TensorInfo(type: .float32, shape: []), TensorInfo(type: .int8, shape: []))
        let good: [TensorInfo?] = [nil, x, few, few, nil, nil]
        #expect(try evaluation.evaluate(good, outputs: [y, y, y]) != nil)
        let cases: [([TensorInfo?], [TensorInfo])] = [
            (good, [y]), (good, [y, y]), (good, [byte, y, y]), (good, [y, byte, y]), ([nil, x, few], [y, y, y]),
            ([nil, x, few, nil, nil, nil], [y, y, y]), ([nil, x, few, few, few, nil], [y, y, y]),
            ([x, x, few, few, nil, nil], [y, y, y]), ([few, x, few, few, few, few], [y, y, y]),
            ([nil, x, few, x, nil, nil], [y, y, y]), ([nil, few, x, x, nil, nil], [y, y, y]),
        ]
        for (inputs, outputs) in cases {
            #expect(throws: Failure.self) { try evaluation.evaluate(inputs, outputs: outputs) }
        }
    }
}
