import Kernels
import Model
import Quantization
import Runtime
import Testing

@testable import Operators
@testable import Training

/// Recurrent layers as operators with gradients, compared with the layer itself.
@Suite struct RecurrentTests {
    struct Layer: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var timeMajor = false
        var coupled = false
        var peepholes = false
        var projection = false
        var cellClip: Float = 0
        /// The schema's number.
        var activation: Int64 = 4
    }

    static let layers = [
        Layer(testDescription: "batch major", cellClip: 10),
        Layer(testDescription: "time major", timeMajor: true),
        Layer(testDescription: "coupled gates", coupled: true),
        Layer(testDescription: "peepholes", peepholes: true),
        Layer(testDescription: "projection", projection: true),
        Layer(testDescription: "tight clipping", cellClip: 0.05),
        Layer(testDescription: "no activation", activation: 0),
        Layer(testDescription: "all", timeMajor: true, coupled: true, peepholes: true, projection: true, cellClip: 2),
    ]

    /// A layer of 3 features and 4 cells on 2 samples and 5 steps, and a loss; the sequence and all weights are inputs.
    static func network(_ layer: Layer) throws -> (model: Model, loss: Int) {
        var empty = Model()
        empty.subgraphs = [Subgraph()]
        let graph = GraphEmitter(empty)
        var parameters: [Value] = []
        func input(_ shape: [Int]) -> Value {
            parameters.append(graph.add(Tensor(name: "p\(parameters.count)", type: .float32, shape: shape)))
            return parameters.last!
        }
        func state(_ width: Int) -> Value {
            var tensor = Tensor(name: "state", type: .float32, shape: [2, width])
            tensor.isVariable = true
            return graph.add(tensor)
        }
        let width = layer.projection ? 2 : 4
        var inputs: [Value?] = [input(layer.timeMajor ? [5, 2, 3] : [2, 5, 3])]
        for gate in 0..<4 { inputs.append(gate == 0 && layer.coupled ? nil : input([4, 3])) }
        for gate in 0..<4 { inputs.append(gate == 0 && layer.coupled ? nil : input([4, width])) }
        for gate in 0..<3 { inputs.append(layer.peepholes && !(gate == 0 && layer.coupled) ? input([4]) : nil) }
        for gate in 0..<4 { inputs.append(gate == 0 && layer.coupled ? nil : input([4])) }
        inputs.append(layer.projection ? input([width, 4]) : nil)
        inputs.append(layer.projection ? input([width]) : nil)
        inputs += [state(width), state(4), nil, nil, nil, nil]
        let options = Options(
            .unidirectionalSequenceLSTM,
            [.int(layer.activation), .float(layer.cellClip), .float(0), .int(layer.timeMajor ? 1 : 0)])
        let y = try graph.emit(OperatorCode(.unidirectionalSequenceLstm), inputs, options)[0]
        let factors = try graph.constant(BackwardTests.values(y.count, 7), y.shape)
        let loss = try (y * factors).sum([0, 1, 2], keep: false)
        var model = graph.model
        model.subgraphs[0].inputs = parameters.map { $0.tensor }
        model.subgraphs[0].outputs = [loss.tensor, y.tensor]
        return (model, loss.tensor)
    }

    @Test(arguments: layers) func expandedForward(_ layer: Layer) throws {
        let (model, _) = try Self.network(layer)
        let expanded = try model.expandingSequenceLSTMs()
        #expect(!expanded.subgraphs[0].operators.indices.contains { expanded.code(0, $0).name.hasSuffix("LSTM") })
        #expect(Array(expanded.subgraphs[0].tensors[..<model.subgraphs[0].tensors.count]) == model.subgraphs[0].tensors)
        var results: [[Float]] = []
        for model in [model, expanded] {
            let interpreter = try BackwardTests.interpreter(model)
            try interpreter.invoke()
            results.append(try interpreter.outputTensor(1).read())
        }
        #expect(results[0].contains { abs($0) > 0.01 })
        for (a, b) in zip(results[0], results[1]) { #expect(abs(a - b) < 2e-6) }
    }

    /// The differences are those of the layer itself, which has no gradient.
    @Test(arguments: layers.filter { $0.testDescription != "tight clipping" })
    func gradientsAreDifferencesOfTheLayer(_ layer: Layer) throws {
        let (model, loss) = try Self.network(layer)
        let parameters = model.subgraphs[0].inputs
        let (training, gradients) = try model.expandingSequenceLSTMs().appendingGradients(
            of: loss, withRespectTo: parameters)
        #expect(gradients.allSatisfy { $0 != nil })
        let (forward, backward) = (
            try BackwardTests.interpreter(model), try BackwardTests.interpreter(training)
        )
        try backward.invoke()
        for index in parameters.indices {
            let gradient = try backward.outputTensor(2 + index).read()
            let start = BackwardTests.values(gradient.count, index)
            for element in gradient.indices {
                var losses: [Float] = []
                for step: Float in [0.01, -0.01] {
                    var moved = start
                    moved[element] += step
                    try forward.inputTensor(index).write(moved)
                    forward.resetVariables()
                    try forward.invoke()
                    losses.append(try forward.outputTensor(0).read()[0])
                }
                let difference = (losses[0] - losses[1]) / 0.02
                #expect(
                    abs(difference - gradient[element]) <= 5e-4 + 0.01 * abs(difference),
                    "parameter \(index), element \(element)")
            }
            try forward.inputTensor(index).write(start)
        }
    }

    // MARK: Training

    static let steps = 6

    /// Sequences of 3 features through two layers and a linear one to 2 classes, for one sample as Keras writes it.
    static func classifier() throws -> Model {
        var empty = Model()
        empty.subgraphs = [Subgraph()]
        let graph = GraphEmitter(empty)
        func weights(_ name: String, _ shape: [Int], _ seed: UInt32, _ value: Float? = nil) throws -> Value {
            let noise = Digits.noise(shape.reduce(1, *), seed: seed).map { value ?? $0 - 0.5 }
            let constant = try graph.constant(noise, shape)
            graph.name(constant.tensor, name)
            return constant
        }
        let x = graph.add(Tensor(name: "x", type: .float32, shape: [1, steps, 3]))
        var y = x
        let (zeros, ones) = (try weights("zeros", [4], 0, 0), try weights("ones", [4], 0, 1))
        for layer in UInt32(0)..<2 {
            var inputs: [Value?] = [y]
            for gate in UInt32(0)..<4 {
                inputs.append(try weights("layer\(layer)/w\(gate)", [4, y.shape[2]], 10 * layer + gate + 1))
            }
            for gate in UInt32(0)..<4 {
                inputs.append(try weights("layer\(layer)/r\(gate)", [4, 4], 10 * layer + gate + 5))
            }
            inputs += [nil, nil, nil, zeros, ones, zeros, zeros, nil, nil]
            for _ in 0..<2 {
                var state = Tensor(name: "state", type: .float32, shape: [1, 4])
                state.isVariable = true
                inputs.append(graph.add(state))
            }
            let options = Options(.unidirectionalSequenceLSTM, [.int(4), .float(10), .float(0), .int(0)])
            y = try graph.emit(OperatorCode(.unidirectionalSequenceLstm), inputs, options)[0]
        }
        let last = try graph.emit(
            OperatorCode(.stridedSlice),
            [y, graph.indices([0, -1, 0]), graph.indices([0, 0, 0]), graph.indices([1, 1, 1])],
            Options(.stridedSlice, [.int(5), .int(5), .int(0), .int(0), .int(2)]))[0]
        let output = try last.apply(
            .fullyConnected, weights("dense/w", [2, 4], 31), weights("dense/b", [2], 0, 0.125),
            options: Options(.fullyConnected)
        ).apply(.softmax, options: Options(.softmax, [.float(1)]))
        var model = graph.model
        model.subgraphs[0].inputs = [x.tensor]
        model.subgraphs[0].outputs = [output.tensor]
        return model
    }

    /// The label says whether the first feature is larger at the first or at the last step.
    static func batch(_ samples: Int, seed: UInt32 = 1) throws -> Batch {
        let values = Digits.noise(samples * steps * 3, seed: seed).map { 2 * $0 - 1 }
        let labels = (0..<samples).map { sample -> Int32 in
            let first = sample * steps * 3
            return values[first] > values[first + (steps - 1) * 3] ? 1 : 0
        }
        return Batch(
            sampleCount: samples, inputs: [try Bytes(copying: values)], labels: [try Bytes(copying: labels)])
    }

    static func trainer(_ model: Model) throws -> Trainer {
        var options = TrainerOptions()
        options.batchSize = 16
        options.schedule.rate = 0.02
        return try Trainer.make(model, options)
    }

    @Test func aClassifierLearnsAndKeepsItsGraph() throws {
        let source = try Self.classifier()
        let trainer = try Self.trainer(source)
        // Two layers of 8 weights and 4 biases, none of them shared, and the linear one.
        #expect(trainer.parameterCount == 26)
        let first = try trainer.evaluate(Self.batch(16)).loss
        for step in 0..<150 { _ = try trainer.step(Self.batch(16, seed: UInt32(step % 4 + 1))) }
        let last = try trainer.evaluate(Self.batch(16))
        #expect(last.loss < first / 4, "\(first), \(last.loss)")
        #expect(last.correct >= 15)

        let exported = try Model.read(try trainer.export().serialized(), origin: "exported")
        func names(_ model: Model) -> [String] {
            model.subgraphs[0].operators.map { model.operatorCodes[$0.opcode].name }
        }
        #expect(names(exported) == names(source))
        #expect(exported.subgraphs[0].tensors[exported.subgraphs[0].inputs[0]].shape == [1, Self.steps, 3])
        #expect(try Self.trainer(exported).weights == trainer.weights)

        // The exported layer itself says what the trainer says.
        let batch = try Self.batch(1, seed: 9)
        let interpreter = try Interpreter(try LoadedModel(exported))
        try interpreter.inputTensor(0).write(batch.inputs[0].array(of: Float.self))
        try interpreter.invoke()
        let predictions = try trainer.predict(batch)[0].read()
        for (a, b) in zip(try interpreter.outputTensor(0).read(), predictions) { #expect(abs(a - b) < 1e-5) }
    }

    // MARK: Simulated quantization

    /// The layer with constant weights, on one sample of 12 steps.
    static func constantLayer(_ layer: Layer, cells: Int, features: Int) throws -> Model {
        var empty = Model()
        empty.subgraphs = [Subgraph()]
        let graph = GraphEmitter(empty)
        var seed: UInt32 = 1
        func weights(_ shape: [Int], _ scale: Float) throws -> Value {
            seed += 1
            return try graph.constant(Digits.noise(shape.reduce(1, *), seed: seed).map { scale * (2 * $0 - 1) }, shape)
        }
        func state(_ width: Int) -> Value {
            var tensor = Tensor(name: "state", type: .float32, shape: [1, width])
            tensor.isVariable = true
            return graph.add(tensor)
        }
        let width = layer.projection ? cells / 2 : cells
        let x = graph.add(
            Tensor(name: "x", type: .float32, shape: layer.timeMajor ? [12, 1, features] : [1, 12, features]))
        var inputs: [Value?] = [x]
        for gate in 0..<4 { inputs.append(gate == 0 && layer.coupled ? nil : try weights([cells, features], 0.6)) }
        for gate in 0..<4 { inputs.append(gate == 0 && layer.coupled ? nil : try weights([cells, width], 0.5)) }
        for gate in 0..<3 {
            inputs.append(layer.peepholes && !(gate == 0 && layer.coupled) ? try weights([cells], 0.3) : nil)
        }
        for gate in 0..<4 { inputs.append(gate == 0 && layer.coupled ? nil : try weights([cells], 0.5)) }
        inputs.append(layer.projection ? try weights([width, cells], 0.4) : nil)
        inputs.append(layer.projection ? try weights([width], 0.2) : nil)
        inputs += [state(width), state(cells), nil, nil, nil, nil]
        let options = Options(
            .unidirectionalSequenceLSTM,
            [.int(4), .float(layer.cellClip), .float(0), .int(layer.timeMajor ? 1 : 0)])
        let y = try graph.emit(OperatorCode(.unidirectionalSequenceLstm), inputs, options)[0]
        var model = graph.model
        model.subgraphs[0].inputs = [x.tensor]
        model.subgraphs[0].outputs = [y.tensor]
        return model
    }

    /// The results are those of the exported layer, one and all; a projection is rounded in float in the simulation.
    @Test(arguments: layers.filter { $0.activation == 4 })
    func simulatedLayerIsTheExportedOne(_ layer: Layer) throws {
        let (cells, features) = (22, 13)
        let model = try Self.constantLayer(layer, cells: cells, features: features).preparedForTraining()
        func sample(_ seed: UInt32) throws -> [Bytes] {
            [try Bytes(copying: Digits.noise(12 * features, seed: seed).map { 4 * $0 - 2 })]
        }
        let quantizer = try Quantizer(model, QuantizerOptions())
        for seed in UInt32(1)...10 { try quantizer.calibrate(sample(seed)) }
        let plan = try quantizer.plan()
        let simulated = try SimulatedModel(plan, ranges: .fixed).model.expandingSequenceLSTMs()
        let check = try ExportCheck(plan, simulated: simulated, exported: try plan.quantized())
        for seed in UInt32(100)..<140 { try check.add(sample(seed)) }
        #expect(check.report.elements == 40 * 12 * (layer.projection ? cells / 2 : cells))
        #expect(check.report.withinOneStep == 1, "\(check.report)")
        if !layer.projection { #expect(check.report.apart[0] == check.report.elements, "\(check.report)") }
    }

    @Test func aClassifierIsExportedAsItWasSimulated() throws {
        let prepared = try Self.classifier().preparedForTraining()
        var next: UInt32 = 0
        var options = QuantizationAwareOptions()
        (options.quantizer.inputType, options.quantizer.outputType) = (.int8, .int8)
        let source = try TrainingSource.quantizationAware(prepared, options) { () throws(Failure) in
            next += 1
            return next <= 8 ? [try Bytes(copying: Digits.noise(Self.steps * 3, seed: next).map { 2 * $0 - 1 })] : nil
        }
        var settings = TrainerOptions()
        settings.batchSize = 16
        settings.schedule.rate = 0.01
        let trainer = try Trainer.make(source, settings)
        let first = try trainer.evaluate(Self.batch(16)).loss
        for step in 0..<300 { _ = try trainer.step(Self.batch(16, seed: UInt32(step % 4 + 1))) }
        let last = try trainer.evaluate(Self.batch(16)).loss
        #expect(last < first / 2, "\(first), \(last)")
        next = 1000
        let report = try trainer.checkExport { () throws(Failure) in
            next += 1
            return next <= 1100
                ? [try Bytes(copying: Digits.noise(Self.steps * 3, seed: next).map { 2 * $0 - 1 })] : nil
        }
        #expect(report.samples == 100 && report.sameTop1 == 100 && report.withinOneStep == 1, "\(report)")
        let exported = try trainer.export()
        let layer = try #require(exported.subgraphs[0].operators.first)
        #expect(exported.subgraphs[0].tensors[layer.inputs[1]].type == .int8)
    }

    @Test func whatCannotBeExpandedIsNamed() throws {
        var (model, _) = try Self.network(Layer(testDescription: ""))
        model.subgraphs[0].operators[0].options[5] = .int(1)
        let failure = #expect(throws: Failure.self) { try model.expandingSequenceLSTMs() }
        #expect(failure?.message.contains("UNIDIRECTIONAL_SEQUENCE_LSTM") == true)
    }
}
