import CEdgeOpt
import Model
import Testing

@testable import Training

/// Wrong arguments and values get a sentence and change nothing.
@Suite struct WrongUseTests {
    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch { return (error as? Failure)?.message ?? "" }
    }

    @Test func aLabelOutOfRange() throws {
        let trainer = try Digits.trainer()
        let before = try trainer.weights
        var batch = try Digits.batch(3)
        batch.labels = [try Bytes(copying: [Int32(1), 10, 2])]
        #expect(message { _ = try trainer.step(batch) }.contains("sample 1 has class 10, there are 10"))
        batch.labels = [try Bytes(copying: [Int32(1), 2, -1])]
        #expect(message { _ = try trainer.step(batch) }.contains("sample 2 has class -1"))
        #expect(try trainer.weights == before && trainer.step == 0)
    }

    @Test func wrongSizes() throws {
        let trainer = try Digits.trainer()
        var batch = try Digits.batch(8)
        batch.sampleCount = 9
        #expect(message { _ = try trainer.step(batch) }.contains("1 to 8 samples, not 9"))
        batch.sampleCount = 0
        #expect(message { _ = try trainer.step(batch) }.contains("not 0"))
        batch.sampleCount = 7
        #expect(message { _ = try trainer.step(batch) }.contains("has 1792 bytes for 7 samples, not 2048"))
        batch = try Digits.batch(8)
        batch.labels = []
        #expect(message { _ = try trainer.step(batch) }.contains("labels for 1 losses, not for 0"))
        batch = try Digits.batch(8)
        batch.weights = try Bytes(copying: [Float(1), -1, 1, 1, 1, 1, 1, 1])
        #expect(message { _ = try trainer.step(batch) }.contains("sample 1 has weight -1"))
    }

    @Test func aValueThatIsNotFiniteStopsTheStep() throws {
        let trainer = try Digits.trainer()
        _ = try trainer.step(Digits.batch(8))
        let before = try trainer.weights
        var images = Digits.noise(8 * 64, seed: 1)
        images[5] = .nan
        var batch = try Digits.batch(8)
        batch.inputs = [try Bytes(copying: images)]
        let sentence = message { _ = try trainer.step(batch) }
        #expect(sentence.contains("step 1") && sentence.contains("input 0"))
        #expect(try trainer.weights == before && trainer.step == 1)
        // Weights so large that a product overflows: the operator is named.
        try trainer.setParameter(0, try Bytes(copying: before[0].map { _ in Float(3e38) }))
        let overflow = message { _ = try trainer.step(Digits.batch(8)) }
        #expect(overflow.contains("operator 0, CONV_2D"), "\(overflow)")
    }

    @Test func options() throws {
        func failure(_ change: (inout TrainerOptions) -> Void) -> String { message { _ = try Digits.trainer(change) } }
        #expect(failure { $0.batchSize = 0 }.contains("batch size is 0"))
        #expect(failure { $0.frozen = ["*"] }.contains("all parameters are frozen"))
        #expect(failure { $0.frozen = ["nothing like it"] }.contains("no parameter has a name like"))
        #expect(failure { $0.optimizer.momentum = 2 }.contains("momentum is 2"))
        #expect(
            failure {
                $0.losses = [LossTerm()]; $0.losses[0].output = 3
            }.contains("there is no output 3"))
        #expect(
            failure {
                $0.losses = [LossTerm()]; $0.losses[0].kind = .host
            }.contains("there is no function for it"))
        #expect(
            failure {
                $0.losses = [LossTerm()]; $0.losses[0].kind = .ctc
            }.contains("CTC needs outputs of shape"))
        #expect(failure { $0.signature = "none" }.contains("there is no signature 'none'"))
    }

    @Test func aModelWithoutParameters() throws {
        var model = Model()
        model.subgraphs = [Subgraph()]
        model.operatorCodes = [OperatorCode(.softmax)]
        model.subgraphs[0].tensors = [
            Tensor(name: "x", type: .float32, shape: [1, 4]), Tensor(name: "y", type: .float32, shape: [1, 4]),
        ]
        model.subgraphs[0].operators = [
            Operator(opcode: 0, inputs: [0], outputs: [1], options: Options(.softmax, [.float(1)]))
        ]
        (model.subgraphs[0].inputs, model.subgraphs[0].outputs) = ([0], [1])
        #expect(message { _ = try Trainer.make(model, TrainerOptions()) }.contains("no tensor that could be trained"))
    }

    @Test func parameters() throws {
        let trainer = try Digits.trainer()
        #expect(message { _ = try trainer.parameter(99) }.contains("there is no parameter 99"))
        #expect(message { try trainer.setParameter(0, Bytes(copying: [Float(1)])) }.contains("bytes, not 4"))
        let count = try trainer.parameter(0).memory.count
        let infinite = try Bytes(copying: [Float](repeating: .infinity, count: count))
        #expect(message { try trainer.setParameter(0, infinite) }.contains("not finite"))
        #expect(message { try trainer.setLearningRate(.nan) }.contains("learning rate"))
    }
}
