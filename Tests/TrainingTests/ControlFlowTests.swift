import Kernels
import Model
import Runtime
import Testing

@testable import Operators
@testable import Training

/// Loops and calls become operators of the main subgraph.
@Suite struct ControlFlowTests {
    static let steps = 5

    private static func integer(_ graph: GraphEmitter, _ value: Int) throws -> Value {
        try graph.constant(.int32, [], Bytes(copying: [Int32(value)]))
    }

    /// The body of a loop as a converter writes it: h = tanh(W x + R h) and a list of all h, or of the last.
    private static func body(_ given: Model, _ subgraph: Int, features: Int, list: Int, seed: UInt32) throws -> Model {
        let graph = GraphEmitter(given, subgraph: subgraph)
        func input(_ type: TensorType, _ shape: [Int]) -> Value {
            graph.add(Tensor(name: "in", type: type, shape: shape))
        }
        let counter = input(.int32, [])
        let time = input(.int32, [])
        let (past, hidden) = (input(.float32, [list, 1, 4]), input(.float32, [1, 4]))
        let x = input(.float32, [steps, 1, features])
        let one = try integer(graph, 1)
        let w = try graph.constant(Digits.noise(4 * features, seed: seed).map { $0 - 0.5 }, [4, features])
        let r = try graph.constant(Digits.noise(16, seed: seed + 1).map { $0 - 0.5 }, [4, 4])
        graph.name(w.tensor, "w\(seed)")
        graph.name(r.tensor, "r\(seed)")
        let now = try x.apply(.gather, time, options: Options(.gather, [.int(0), .int(0)]))
        let next = try
            (now.apply(.fullyConnected, w, nil, options: Options(.fullyConnected))
            + hidden.apply(.fullyConnected, r, nil, options: Options(.fullyConnected))).apply(.tanh)
        var written = try next.reshape([1, 1, 4])
        let later = try time + one
        if list > 1 {
            func place(_ index: Value, _ rest: [Int]) throws -> Value {
                try graph.emit(
                    OperatorCode(.concatenation), [index.reshape([1]), graph.indices(rest)],
                    Options(.concatenation, [.int(0), .int(0)]))[0]
            }
            // What these slices are is only known in each round.
            func slice(_ begin: Value, _ size: Value, _ count: Int) throws -> Value {
                let result = graph.add(Tensor(name: "part", type: .float32, shape: [count, 1, 4]))
                graph.append(
                    OperatorCode(.slice), inputs: [past.tensor, begin.tensor, size.tensor], outputs: [result.tensor],
                    Options(.slice))
                return result
            }
            let before = try slice(graph.indices([0, 0, 0]), place(time, [-1, -1]), 1)
            let after = try slice(place(later, [0, 0]), graph.indices([-1, -1, -1]), list - 2)
            written = try graph.emit(
                OperatorCode(.concatenation), [before, written, after], Options(.concatenation, [.int(0), .int(0)]))[0]
        }
        let counted = try counter + one
        var model = graph.model
        model.subgraphs[subgraph].inputs = [0, 1, 2, 3, 4]
        model.subgraphs[subgraph].outputs = [counted, later, written, next, x].map { $0.tensor }
        return model
    }

    private static func condition(_ given: Model, _ subgraph: Int, features: Int, list: Int) throws -> Model {
        let graph = GraphEmitter(given, subgraph: subgraph)
        for shape in [[], [], [list, 1, 4], [1, 4], [steps, 1, features]] {
            _ = graph.add(Tensor(name: "in", type: shape.isEmpty ? .int32 : .float32, shape: shape))
        }
        let result = try graph.value(1).compare(.less, integer(graph, steps))
        var model = graph.model
        model.subgraphs[subgraph].inputs = [0, 1, 2, 3, 4]
        model.subgraphs[subgraph].outputs = [result.tensor]
        return model
    }

    /// Two recurrent layers as loops and a linear one, for one sample.
    static func classifier() throws -> Model {
        var model = Model()
        model.subgraphs = [Subgraph](repeating: Subgraph(), count: 5)
        model = try condition(model, 1, features: 3, list: steps)
        model = try body(model, 2, features: 3, list: steps, seed: 1)
        model = try condition(model, 3, features: 4, list: 1)
        model = try body(model, 4, features: 4, list: 1, seed: 3)
        let graph = GraphEmitter(model)
        let x = graph.add(Tensor(name: "x", type: .float32, shape: [1, steps, 3]))
        var sequence = try x.reshape([steps, 1, 3])
        for layer in 0..<2 {
            let list = layer == 0 ? steps : 1
            let zero = try integer(graph, 0)
            let inputs = [
                zero, zero, try graph.constant([Float](repeating: 0, count: 4 * list), [list, 1, 4]),
                try graph.constant([0, 0, 0, 0], [1, 4]), sequence,
            ]
            let outputs = inputs.map { graph.add(Tensor(name: "out", type: $0.type, shape: $0.shape)) }
            graph.append(
                OperatorCode(.while), inputs: inputs.map { $0.tensor }, outputs: outputs.map { $0.tensor },
                Options(.while, [.int(Int64(2 * layer + 1)), .int(Int64(2 * layer + 2))]))
            sequence = outputs[2]
        }
        let last = try graph.emit(
            OperatorCode(.stridedSlice),
            [sequence, graph.indices([-1, 0, 0]), graph.indices([0, 0, 0]), graph.indices([1, 1, 1])],
            Options(.stridedSlice, [.int(6), .int(6), .int(0), .int(0), .int(1)]))[0]
        let w = try graph.constant(Digits.noise(8, seed: 5).map { $0 - 0.5 }, [2, 4])
        let output = try last.apply(.fullyConnected, w, nil, options: Options(.fullyConnected))
            .apply(.softmax, options: Options(.softmax, [.float(1)]))
        model = graph.model
        model.subgraphs[0].inputs = [x.tensor]
        model.subgraphs[0].outputs = [output.tensor]
        return model
    }

    /// The classifier on one sample, written down once more.
    static func expected(_ x: [Float]) -> [Float] {
        func weights(_ count: Int, _ seed: UInt32) -> [Float] { Digits.noise(count, seed: seed).map { $0 - 0.5 } }
        func product(_ w: [Float], _ x: [Float]) -> [Float] {
            (0..<w.count / x.count).map { row in x.indices.reduce(Float(0)) { $0 + w[row * x.count + $1] * x[$1] } }
        }
        var sequence = (0..<steps).map { Array(x[3 * $0..<3 * $0 + 3]) }
        for layer in UInt32(0)..<2 {
            let (w, r) = (weights(layer == 0 ? 12 : 16, 2 * layer + 1), weights(16, 2 * layer + 2))
            var hidden: [Float] = [0, 0, 0, 0]
            for step in sequence.indices {
                hidden = zip(product(w, sequence[step]), product(r, hidden)).map { Real.tanh($0 + $1) }
                sequence[step] = hidden
            }
        }
        let logits = product(weights(8, 5), sequence[steps - 1])
        let powers = logits.map { Real.exp($0) }
        return powers.map { $0 / (powers[0] + powers[1]) }
    }

    static func batch(_ samples: Int, seed: UInt32 = 1) throws -> Batch {
        let values = Digits.noise(samples * steps * 3, seed: seed).map { 2 * $0 - 1 }
        let labels = (0..<samples).map { sample -> Int32 in
            values[sample * steps * 3] > values[(sample * steps + steps - 1) * 3] ? 1 : 0
        }
        return Batch(
            sampleCount: samples, inputs: [try Bytes(copying: values)], labels: [try Bytes(copying: labels)])
    }

    @Test(arguments: [1, 7]) func loopsAreUnrolled(_ samples: Int) throws {
        var options = TrainerOptions()
        options.batchSize = samples
        let trainer = try Trainer.make(try Self.classifier(), options)
        // The weights of the loops and the linear ones, once each; no state.
        #expect(trainer.parameterCount == 5)
        let batch = try Self.batch(samples)
        let predictions = try trainer.predict(batch)[0].read()
        let x = batch.inputs[0].array(of: Float.self)
        for sample in 0..<samples {
            let expected = Self.expected(Array(x[sample * Self.steps * 3..<(sample + 1) * Self.steps * 3]))
            for (a, b) in zip(expected, predictions[2 * sample..<2 * sample + 2]) { #expect(abs(a - b) < 1e-5) }
        }
    }

    @Test func loopsLearn() throws {
        var options = TrainerOptions()
        options.batchSize = 16
        options.schedule.rate = 0.02
        options.unrolls = true
        let trainer = try Trainer.make(try Self.classifier(), options)
        let first = try trainer.evaluate(Self.batch(16)).loss
        for step in 0..<150 { _ = try trainer.step(Self.batch(16, seed: UInt32(step % 4 + 1))) }
        let last = try trainer.evaluate(Self.batch(16))
        #expect(last.loss < first / 3, "\(first), \(last.loss)")
        let exported = try Model.read(try trainer.export().serialized(), origin: "exported")
        #expect(exported.subgraphs.count == 1)
        let interpreter = try Interpreter(try LoadedModel(exported))
        let sample = try Self.batch(1, seed: 9)
        try interpreter.inputTensor(0).write(sample.inputs[0].array(of: Float.self))
        try interpreter.invoke()
        let predictions = try trainer.predict(sample)[0].read()
        for (a, b) in zip(try interpreter.outputTensor(0).read(), predictions) { #expect(abs(a - b) < 1e-5) }
    }

    /// What is exported has the loops that the model had, with the trained weights in their bodies.
    @Test func loopsStayLoops() throws {
        var options = TrainerOptions()
        options.batchSize = 16
        let trainer = try Trainer.make(try Self.classifier(), options)
        for step in 0..<5 { _ = try trainer.step(Self.batch(16, seed: UInt32(step + 1))) }
        let exported = try Model.read(try trainer.export().serialized(), origin: "exported")
        #expect(exported.subgraphs.count == 5)
        #expect(exported.subgraphs[0].operators.contains { exported.operatorCodes[$0.opcode].builtin == .while })
        let again = try Trainer.make(exported, options)
        let batch = try Self.batch(16, seed: 9)
        #expect(try again.evaluate(batch).loss == trainer.evaluate(batch).loss)
        #expect(try again.evaluate(batch).loss != Trainer.make(Self.classifier(), options).evaluate(batch).loss)
    }

    /// Rounds that depend on data, and those that never end, are refused by a sentence.
    @Test(arguments: [true, false]) func loopsWithoutAKnownEnd(_ isEndless: Bool) throws {
        var model = try Self.classifier()
        if isEndless {
            // The time stays where it is.
            model.subgraphs[2].outputs[1] = 1
            model.subgraphs[2].outputs[2] = 2
            model.subgraphs[2].outputs[3] = 3
            model.subgraphs[2].operators = []
            model.subgraphs[2].outputs[0] = 0
        } else {
            let counter = model.subgraphs[0].operators.first { model.operatorCodes[$0.opcode].builtin == .while }!
                .inputs[1]
            model.subgraphs[0].tensors[counter].buffer = 0
            model.subgraphs[0].inputs.append(counter)
        }
        let failure = #expect(throws: Failure.self) { try Trainer.make(model, TrainerOptions()) }
        #expect(failure?.message.contains("WHILE") == true, "\(failure?.message ?? "")")
    }

    /// y = f(f(x)), f a composite or a subgraph: shared weights, whose gradients sum up.
    @Test(arguments: [true, false]) func callsAreInlined(_ isComposite: Bool) throws {
        var model = Model()
        model.subgraphs = [Subgraph(), Subgraph()]
        let inner = GraphEmitter(model, subgraph: 1)
        let a = inner.add(Tensor(name: "a", type: .float32, shape: [1, 2]))
        let w = try inner.constant([1, 2, 3, 4], [2, 2])
        let b = try a.apply(.fullyConnected, w, nil, options: Options(.fullyConnected))
        model = inner.model
        model.subgraphs[1].inputs = [a.tensor]
        model.subgraphs[1].outputs = [b.tensor]
        let outer = GraphEmitter(model)
        var y = outer.add(Tensor(name: "x", type: .float32, shape: [1, 2]))
        for _ in 0..<2 {
            let next = outer.add(Tensor(name: "y", type: .float32, shape: [1, 2]))
            outer.append(
                OperatorCode(isComposite ? .stablehloComposite : .call), inputs: [y.tensor], outputs: [next.tensor],
                isComposite
                    ? Options(.stablehloComposite, [.string("f"), .int(1)]) : Options(.call, [.int(1)]))
            y = next
        }
        model = outer.model
        model.subgraphs[0].inputs = [0]
        model.subgraphs[0].outputs = [y.tensor]
        var options = TrainerOptions()
        options.batchSize = 1
        options.losses = [LossTerm()]
        options.losses[0].kind = .meanSquaredError
        options.optimizer.kind = .sgd
        options.schedule.rate = 1
        let trainer = try Trainer.make(model, options)
        #expect(trainer.parameterCount == 1)
        let batch = Batch(
            sampleCount: 1, inputs: [try Bytes(copying: [Float(1), -1])], labels: [try Bytes(copying: [Float(-3), -8])])
        // f(1, -1) = (-1, -1); f(-1, -1) = (-3, -7): an error of 1 in the second element of two.
        #expect(try trainer.evaluate(batch).loss == 0.5)
        _ = try trainer.step(batch)
        // The gradient of the weights for d = (0, 1) is [[3, -3], [3, -5]]: by the outer call d (-1, -1)^T, by the inner one W^T d (1, -1)^T.
        let expected: [Float] = [-2, 5, 0, 9]
        #expect(try trainer.weights[0] == expected)
    }
}
