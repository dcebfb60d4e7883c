import CKernels
import Kernels
import Model
import Runtime
import Testing

@testable import Operators
@testable import Training

/// Whole small graphs, differentiated and compared with differences of the loss.
@Suite struct BackwardTests {
    /// Images through a convolution, a pool, a residual sum and a linear layer to a softmax cross-entropy; returns the
    /// loss and the parameters.
    static func network(_ graph: GraphEmitter) throws -> (loss: Int, parameters: [Int]) {
        func input(_ name: String, _ shape: [Int]) -> Value {
            graph.add(Tensor(name: name, type: .float32, shape: shape))
        }
        let x = input("x", [3, 8, 8, 2])
        let (w, b) = (input("w", [4, 3, 3, 2]), input("b", [4]))
        let (d, db) = (input("d", [1, 3, 3, 4]), input("db", [4]))
        let (v, c) = (input("v", [5, 64]), input("c", [5]))
        let same = Options(.conv2D, [.int(0), .int(1), .int(1), .int(1)])
        let first = try x.apply(.conv2D, w, b, options: same)
        let each = Options(.depthwiseConv2D, [.int(0), .int(1), .int(1), .int(1), .int(0)])
        let sum = try first + first.apply(.depthwiseConv2D, d, db, options: each)
        let pool = Options(.pool2D, [.int(1), .int(2), .int(2), .int(2), .int(2), .int(0)])
        let logits = try sum.apply(.maxPool2D, options: pool).reshape([3, 64])
            .apply(.fullyConnected, v, c, options: Options(.fullyConnected))
        let labels = try graph.constant([1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1], [3, 5])
        let loss = try -(logits.apply(.logSoftmax) * labels).sum([0, 1], keep: false)
        return (loss.tensor, [x, w, b, d, db, v, c].map { $0.tensor })
    }

    static func model() throws -> (model: Model, loss: Int, parameters: [Int]) {
        var empty = Model()
        empty.subgraphs = [Subgraph()]
        let graph = GraphEmitter(empty)
        let (loss, parameters) = try network(graph)
        var model = graph.model
        model.subgraphs[0].inputs = parameters
        model.subgraphs[0].outputs = [loss]
        return (model, loss, parameters)
    }

    static func interpreter(_ model: Model, threads: Int = 1) throws -> Interpreter {
        var options = Interpreter.Options()
        options.threadCount = threads
        let interpreter = try Interpreter(try LoadedModel(model), options)
        for (index, tensor) in model.subgraphs[0].inputs.enumerated() {
            let count = model.subgraphs[0].tensors[tensor].shape.reduce(1, *)
            try interpreter.inputTensor(index).write(values(count, index))
        }
        return interpreter
    }

    static func values(_ count: Int, _ seed: Int) -> [Float] {
        (0..<count).map { Float((($0 * 37 + seed * 11) * 29) % 101 - 50) / 120 }
    }

    @Test func aSmallNetwork() throws {
        let (model, loss, parameters) = try Self.model()
        let (training, gradients) = try model.appendingGradients(of: loss, withRespectTo: parameters)
        #expect(gradients.allSatisfy { $0 != nil })
        let (forward, backward) = (try Self.interpreter(model), try Self.interpreter(training))
        try backward.invoke()
        var compared = 0
        for (index, _) in parameters.enumerated() {
            let gradient = try backward.outputTensor(1 + index).read()
            for element in Swift.stride(from: 0, to: gradient.count, by: max(1, gradient.count / 9)) {
                var place = Self.values(gradient.count, index)
                var losses: [Double] = []
                for step: Float in [0.004, 0, -0.004] {
                    place[element] = Self.values(gradient.count, index)[element] + step
                    try forward.inputTensor(index).write(place)
                    try forward.invoke()
                    losses.append(Double(try forward.outputTensor(0).read()[0]))
                }
                try forward.inputTensor(index).write(Self.values(gradient.count, index))
                let difference = (losses[0] - losses[2]) / 0.008
                // A kink: the differences to both sides do not agree.
                let bend = (losses[0] - 2 * losses[1] + losses[2]) / 0.004
                guard abs(bend) <= 0.01 + 0.02 * abs(difference) else { continue }
                compared += 1
                #expect(
                    abs(difference - Double(gradient[element])) <= 0.01 + 0.02 * abs(difference),
                    "parameter \(index), element \(element)")
            }
        }
        #expect(compared >= 40)
    }

    /// A convolution that finds its maxima itself has the losses and gradients of one and a pool: with a fused
    /// activation, and with rounding between the two, whose range is the same.
    @Test(arguments: [false, true]) func poolingEarlyChangesNothing(rounds: Bool) throws {
        var empty = Model()
        empty.subgraphs = [Subgraph()]
        let graph = GraphEmitter(empty)
        // The range is that of all pixels only if the windows leave none out.
        let image = rounds ? [3, 18, 16, 1] : [3, 19, 17, 1]
        let inputs = [image, [20, 3, 3, 1], [20], [1], [1], [1]].map { shape in
            graph.add(Tensor(name: "x", type: .float32, shape: shape))
        }
        let same = Options(.conv2D, [.int(0), .int(1), .int(1), .int(rounds ? 0 : 1)])
        var y = try inputs[0].apply(.conv2D, inputs[1], inputs[2], options: same)
        var range: [Int] = []
        if rounds {
            var settings = FakeQuantizationSettings(low: -128, high: 127)
            settings.activation = .relu
            let results = try graph.emit(
                OperatorCode(.custom, custom: FakeRequantize.name), [y, inputs[3], nil, inputs[4], inputs[5]],
                types: [.float32, .float32], shapes: [y.shape, [2]], customOptions: settings.encoded())
            y = results[0]
            range = [results[1].tensor]
        }
        let pool = Options(.pool2D, [.int(1), .int(2), .int(2), .int(2), .int(2), .int(0)])
        let maxima = try y.apply(.maxPool2D, options: pool)
        let loss = try (maxima * maxima).sum([0, 1, 2, 3], keep: false)
        var model = graph.model
        model.subgraphs[0].inputs = inputs.map { $0.tensor }
        model.subgraphs[0].outputs = [loss.tensor] + range
        var early = model
        early.poolEarly(trained: [inputs[1].tensor, inputs[2].tensor])
        // Without a vector kernel a convolution and a pool are faster, and stay.
        let isFused = eo_f32_pooled_best().pointee.isa != ISA_SCALAR
        #expect(early.operatorCodes.contains { $0.custom == "edgeopt.conv_2d_max_pool" } == isFused)
        #expect(early.subgraphs[0].operators.count == model.subgraphs[0].operators.count - (isFused ? 1 : 0))
        var results: [[[Float]]] = []
        for (form, threads) in [(model, 1), (early, 1), (early, 3)] {
            let training = try form.appendingGradients(
                of: loss.tensor, withRespectTo: [inputs[1].tensor, inputs[2].tensor]
            ).model
            let interpreter = try Self.interpreter(training, threads: threads)
            for index in 3..<6 { try interpreter.inputTensor(index).write([0.0625 as Float]) }
            try interpreter.invoke()
            results.append(try training.subgraphs[0].outputs.indices.map { try interpreter.outputTensor($0).read() })
        }
        #expect(results[1] == results[2])
        // Where pixels round to the same number, gradients may go to another one.
        for (before, after) in zip(results[0], results[1]).prefix(rounds ? 2 : 4) {
            let size = before.reduce(0) { max($0, abs($1)) }
            #expect(zip(before, after).allSatisfy { abs($0 - $1) <= 1e-5 * size })
        }
    }

    /// The number of threads does not show.
    @Test func threadsDoNotShow() throws {
        let (model, loss, parameters) = try Self.model()
        let training = try model.appendingGradients(of: loss, withRespectTo: parameters).model
        var results: [[[Float]]] = []
        for threads in 1...3 {
            let interpreter = try Self.interpreter(training, threads: threads)
            try interpreter.invoke()
            results.append(try parameters.indices.map { try interpreter.outputTensor(1 + $0).read() })
        }
        #expect(results[0] == results[1] && results[0] == results[2])
    }

    /// What is computed again has the same bits, and needs less memory: a column of convolutions and residual sums.
    @Test func recomputedResultsAreTheSame() throws {
        var empty = Model()
        empty.subgraphs = [Subgraph()]
        let graph = GraphEmitter(empty)
        let x = graph.add(Tensor(name: "x", type: .float32, shape: [2, 12, 12, 8]))
        var (parameters, value) = ([x], x)
        for layer in 0..<12 {
            parameters.append(graph.add(Tensor(name: "w\(layer)", type: .float32, shape: [8, 3, 3, 8])))
            parameters.append(graph.add(Tensor(name: "b\(layer)", type: .float32, shape: [8])))
            let same = Options(.conv2D, [.int(0), .int(1), .int(1), .int(1)])
            let next = try value.apply(.conv2D, parameters[2 * layer + 1], parameters[2 * layer + 2], options: same)
            value = try layer % 3 == 2 ? value + next.apply(.tanh) : next.apply(.logistic)
        }
        let loss = try (value * value).sum([0, 1, 2, 3], keep: false)
        var model = graph.model
        model.subgraphs[0].inputs = parameters.map { $0.tensor }
        model.subgraphs[0].outputs = [loss.tensor]
        let interpreters = try [false, true].map { recomputing in
            let (training, _) = try model.appendingGradients(
                of: loss.tensor, withRespectTo: parameters.map { $0.tensor }, recomputing: recomputing)
            let interpreter = try Self.interpreter(training)
            try interpreter.invoke()
            return interpreter
        }
        for index in 0...parameters.count {
            let (kept, again) = (
                try interpreters[0].outputTensor(index).read(), try interpreters[1].outputTensor(index).read()
            )
            #expect(kept == again && kept.contains { $0 != 0 })
        }
        #expect(interpreters[1].arenaSize * 3 < interpreters[0].arenaSize * 2)
    }

    /// Only what leads from the chosen tensors to the loss gets a backward part.
    @Test func frozenPartsCostNothing() throws {
        let (model, loss, parameters) = try Self.model()
        let (training, _) = try model.appendingGradients(of: loss, withRespectTo: [parameters[6]])
        let names = training.subgraphs[0].operators[model.subgraphs[0].operators.count...].map {
            training.operatorCodes[$0.opcode].name
        }
        #expect(!names.contains { $0.hasPrefix("edgeopt") || $0 == "BATCH_MATMUL" }, "\(names)")
    }

    @Test func operatorsWithoutGradientAreNamed() throws {
        var empty = Model()
        empty.subgraphs = [Subgraph()]
        let graph = GraphEmitter(empty)
        let x = graph.add(Tensor(name: "x", type: .float32, shape: [4]))
        let y = try (x * x).apply(.floorMod, x)
        let loss = try y.sum([0], keep: false)
        let failure = #expect(throws: Failure.self) {
            try graph.model.appendingGradients(of: loss.tensor, withRespectTo: [x.tensor])
        }
        #expect(failure?.message.contains("operator 1, FLOOR_MOD") == true)
    }

    /// A tensor that is used twice, a tensor that the loss does not depend on, and one gradient for two tensors.
    @Test func usesAreSummedUp() throws {
        var empty = Model()
        empty.subgraphs = [Subgraph()]
        let graph = GraphEmitter(empty)
        let tensors = ["a", "b", "unused"].map { graph.add(Tensor(name: $0, type: .float32, shape: [2])) }
        let loss = try (tensors[0] * tensors[0] + tensors[0] + tensors[1]).sum([0], keep: false)
        var model = graph.model
        model.subgraphs[0].inputs = tensors.map { $0.tensor }
        let (training, gradients) = try model.appendingGradients(
            of: loss.tensor, withRespectTo: tensors.map { $0.tensor })
        #expect(gradients[2] == nil && gradients[0] != gradients[1])
        let interpreter = try Interpreter(try LoadedModel(training))
        try interpreter.inputTensor(0).write([3, -1])
        try interpreter.invoke()
        #expect(try interpreter.outputTensor(0).read() == [7, -1])
        #expect(try interpreter.outputTensor(1).read() == [1, 1])
    }
}

extension LiveTensor {
    func read() -> [Float] {
        data.map { Array(UnsafeBufferPointer(start: $0.assumingMemoryBound(to: Float.self), count: byteCount / 4)) }
            ?? []
    }

    func write(_ values: [Float]) {
        values.withUnsafeBytes { source in
            data?.copyMemory(from: source.baseAddress!, byteCount: min(source.count, byteCount))
        }
    }
}
