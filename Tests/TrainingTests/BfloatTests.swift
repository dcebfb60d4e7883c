import Kernels
import Model
import Runtime
import Testing

@testable import Operators
@testable import Training

/// Training whose products take factors of bfloat16. Where the processor has none, it is training in float32.
@Suite struct BfloatTests {
    /// Convolutions of all kinds and a linear layer, few of whose sizes fill a tile.
    private static func model() throws -> (model: Model, loss: Int, parameters: [Int]) {
        var empty = Model()
        empty.subgraphs = [Subgraph()]
        let graph = GraphEmitter(empty)
        func input(_ name: String, _ shape: [Int]) -> Value {
            graph.add(Tensor(name: name, type: .float32, shape: shape))
        }
        /// Padding, strides, activation, dilations.
        func options(_ padding: Int64, _ height: Int64, _ width: Int64, _ dilation: Int64 = 1) -> Options {
            Options(
                .conv2D,
                [.int(padding), .int(width), .int(height), .int(0), .int(dilation), .int(dilation)])
        }
        let x = input("x", [3, 19, 21, 5])
        let layers: [(shape: [Int], options: Options)] = [
            ([24, 3, 3, 5], options(0, 1, 1)), ([20, 3, 3, 24], options(0, 2, 2)),
            ([36, 1, 1, 20], options(0, 1, 1)), ([36, 3, 2, 36], options(1, 1, 1, 2)),
            ([18, 1, 1, 36], options(0, 2, 1)), ([15, 3, 3, 6], options(0, 1, 1)),
        ]
        var (value, parameters) = (x, [x])
        for (number, layer) in layers.enumerated() {
            let (w, b) = (input("w\(number)", layer.shape), input("b\(number)", [layer.shape[0]]))
            value = try value.apply(.conv2D, w, b, options: layer.options).apply(.tanh)
            parameters += [w, b]
        }
        let (v, c) = (input("v", [7, value.count / 3]), input("c", [7]))
        value = try value.reshape([3, value.count / 3])
            .apply(.fullyConnected, v, c, options: Options(.fullyConnected))
        let loss = try (value * value).sum([0, 1], keep: false)
        var model = graph.model
        model.subgraphs[0].inputs = (parameters + [v, c]).map { $0.tensor }
        model.subgraphs[0].outputs = [loss.tensor]
        return (model, loss.tensor, model.subgraphs[0].inputs)
    }

    private static func gradients(_ precision: Precision, threads: Int = 1, runs: Int = 1) throws -> [[Float]] {
        let (model, loss, parameters) = try model()
        let training = try model.appendingGradients(of: loss, withRespectTo: parameters).model
        var options = Interpreter.Options()
        (options.threadCount, options.precision) = (threads, precision)
        let interpreter = try Interpreter(try LoadedModel(training), options)
        // Weights of an earlier run must leave nothing behind.
        for run in (0..<runs).reversed() {
            for (index, tensor) in training.subgraphs[0].inputs.enumerated() {
                let count = training.subgraphs[0].tensors[tensor].shape.reduce(1, *)
                try interpreter.inputTensor(index).write(
                    BackwardTests.values(count, index + run).map { index == 0 ? $0 : $0 / 4 })
            }
            try interpreter.invoke()
        }
        return try (0...parameters.count).map { try interpreter.outputTensor($0).read() }
    }

    /// Rounding to 8 bits shows in the third digit, and seven layers add that up.
    @Test func gradientsAreThoseOfFloat32ButForRounding() throws {
        let (exact, rounded) = (try Self.gradients(.float32), try Self.gradients(.bfloat16))
        for (index, (a, b)) in zip(exact, rounded).enumerated() {
            let length = a.reduce(0) { $0 + $1 * $1 }.squareRoot()
            let distance = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
            #expect(length > 0 && distance < 0.03 * length, "output \(index): \(distance) of \(length)")
        }
        #expect((exact == rounded) != BfloatConvolution.isFast)
    }

    @Test func theNumberOfThreadsDoesNotShow() throws {
        let one = try Self.gradients(.bfloat16)
        #expect(try Self.gradients(.bfloat16, threads: 2) == one)
        #expect(try Self.gradients(.bfloat16, threads: 3) == one)
    }

    @Test(arguments: [Precision.float32, .bfloat16]) func weightsThatChangeArePackedAnew(_ precision: Precision) throws
    {
        #expect(try Self.gradients(precision, runs: 3) == Self.gradients(precision))
    }

    @Test func theLossFallsAndEvaluationIsFloat32() throws {
        let trainers = try [Precision.bfloat16, .float32].map { precision in
            try Digits.trainer {
                $0.schedule.rate = 0.003
                $0.precision = precision
            }
        }
        let batch = try Digits.batch(8)
        #expect(try trainers[0].evaluate(batch).loss == trainers[1].evaluate(batch).loss)
        let first = try trainers[0].evaluate(batch).loss
        for step in 0..<60 { _ = try trainers[0].step(Digits.batch(8, seed: UInt32(step % 3 + 1))) }
        #expect(try trainers[0].evaluate(batch).loss < first / 4)
    }

    /// Simulated integers stay exact: only gradients are rounded.
    @Test func simulatedQuantizationSeesExactForwardResults() throws {
        let losses = try [Precision.bfloat16, .float32].map { precision in
            try QuantizationAwareTests.trainer(precision: precision)
        }.map { try $0.step(QuantizationAwareTests.batch(0)).loss }
        #expect(losses[0] == losses[1])
    }
}
