import Compression
import Model
import Operators
import Quantization
import Testing

@testable import Training

/// Training with simulated quantization, from a float model to an integer one.
@Suite struct QuantizationAwareTests {
    static let classes = 4

    /// Numbers in [-1, 1] without structure, the same on every run.
    private static func noise(_ count: Int, seed: UInt32) -> [Float] {
        var state = seed &* 2_654_435_761 | 1
        return (0..<count).map { _ in
            state ^= state << 13
            state ^= state >> 17
            state ^= state << 5
            return Float(state >> 8) / Float(1 << 23) - 1
        }
    }

    /// A convolution, a depthwise one with a shortcut, a pool and a classifier.
    static func network() throws -> Model {
        var model = Model()
        model.subgraphs = [Subgraph()]
        func tensor(_ name: String, _ shape: [Int], _ values: [Float]? = nil) throws -> Int {
            var tensor = Tensor(name: name, type: .float32, shape: shape)
            if let values {
                model.buffers.append(Buffer(try Bytes(copying: values)))
                tensor.buffer = model.buffers.count - 1
            }
            model.subgraphs[0].tensors.append(tensor)
            return model.subgraphs[0].tensors.count - 1
        }
        func op(_ code: BuiltinOperator, _ inputs: [Int], _ output: Int, _ options: Options) {
            model.operatorCodes.append(OperatorCode(code, version: 1))
            model.subgraphs[0].operators.append(
                Operator(opcode: model.operatorCodes.count - 1, inputs: inputs, outputs: [output], options: options))
        }
        let x = try tensor("x", [1, 8, 8, 1])
        let c = try tensor("c", [1, 8, 8, 6])
        let d = try tensor("d", [1, 8, 8, 6])
        let s = try tensor("s", [1, 8, 8, 6])
        let p = try tensor("p", [1, 1, 1, 6])
        let r = try tensor("r", [1, 6])
        let logits = try tensor("logits", [1, classes])
        let y = try tensor("y", [1, classes])
        op(
            .conv2D,
            [
                x, try tensor("conv/w", [6, 3, 3, 1], noise(54, seed: 1)),
                try tensor("conv/b", [6], [Float](repeating: 0, count: 6)),
            ], c,
            Options(.conv2D, [.int(0), .int(1), .int(1), .int(3), .int(1), .int(1)]))
        op(
            .depthwiseConv2D,
            [
                c, try tensor("depth/w", [1, 3, 3, 6], noise(54, seed: 2).map { $0 / 2 }),
                try tensor("depth/b", [6], [Float](repeating: 0.1, count: 6)),
            ], d,
            Options(.depthwiseConv2D, [.int(0), .int(1), .int(1), .int(1), .int(1), .int(1), .int(1)]))
        op(.add, [c, d], s, Options(.add, [.int(0)]))
        op(.averagePool2D, [s], p, Options(.pool2D, [.int(1), .int(8), .int(8), .int(8), .int(8)]))
        model.buffers.append(Buffer(try Bytes(copying: [Int32(1), 6])))
        model.subgraphs[0].tensors.append(
            Tensor(name: "shape", type: .int32, shape: [2], buffer: model.buffers.count - 1))
        op(.reshape, [p, model.subgraphs[0].tensors.count - 1], r, Options(.reshape))
        op(
            .fullyConnected,
            [
                r, try tensor("dense/w", [classes, 6], noise(24, seed: 3)),
                try tensor("dense/b", [classes], [Float](repeating: 0, count: classes)),
            ], logits, Options(.fullyConnected))
        op(.softmax, [logits], y, Options(.softmax, [.float(1)]))
        model.subgraphs[0].inputs = [x]
        model.subgraphs[0].outputs = [y]
        return model
    }

    /// Stripes of four directions under noise.
    static func picture(_ index: Int) -> (pixels: [Float], label: Int32) {
        let label = index % classes
        let dirt = noise(64, seed: UInt32(1000 + index))
        let phase = index / classes % 4
        return (
            (0..<64).map { place in
                let (row, column) = (place / 8, place % 8)
                let at = [row, column, row + column, row - column + 8][label] + phase
                return (at % 4 < 2 ? 1 : -1) + dirt[place] * 0.4
            }, Int32(label)
        )
    }

    static func batch(_ number: Int, size: Int = 16) throws -> Batch {
        let pictures = (0..<size).map { picture(number * size + $0) }
        return Batch(
            sampleCount: size, inputs: [try Bytes(copying: pictures.flatMap { $0.pixels })],
            labels: [try Bytes(copying: pictures.map { $0.label })])
    }

    static func trainer(
        _ change: (inout QuantizationAwareOptions) -> Void = { _ in },
        recomputing: Bool = false, precision: Precision = .float32,
        constraints: (Model) throws -> [(parameter: String, constraint: any ParameterConstraint)] = { _ in [] }
    ) throws -> Trainer {
        var options = QuantizationAwareOptions()
        options.quantizer.inputType = .int8
        options.quantizer.outputType = .int8
        change(&options)
        let prepared = try network().preparedForTraining()
        var next = 0
        var source = try TrainingSource.quantizationAware(prepared, options) { () throws(Failure) in
            next += 1
            return next <= 8 ? [try Bytes(copying: picture(next).pixels)] : nil
        }
        source.constraints = try constraints(prepared)
        var settings = TrainerOptions()
        settings.batchSize = 16
        settings.schedule.rate = 0.01
        (settings.recomputesActivations, settings.precision) = (recomputing, precision)
        return try Trainer.make(source, settings)
    }

    private static func check(_ trainer: Trainer) throws -> ExportReport {
        var next = 400
        return try trainer.checkExport { () throws(Failure) in
            next += 1
            return next <= 500 ? [try Bytes(copying: picture(next).pixels)] : nil
        }
    }

    static let variants: [(String, @Sendable (inout QuantizationAwareOptions) -> Void)] = [
        ("int8", { _ in }), ("int4 weights", { $0.quantizer.weightBits = 4 }),
        ("12-bit weights", { $0.quantizer.weightBits = 12 }),
        ("4-bit activations", { $0.quantizer.activationBits = 4 }), ("last value", { $0.ranges = .lastValue }),
        ("all values", { $0.ranges = .allValues }), ("fixed", { $0.ranges = .fixed }),
        (
            "learned",
            {
                $0.ranges = .learned
                $0.quantizer.weightBits = 3
                var rule = LayerRule("*")
                rule.learnsWeightScales = true
                $0.quantizer.layers = [rule]
            }
        ),
    ]

    @Test(arguments: variants.indices) func learnsAndExportsWhatItSimulated(_ index: Int) throws {
        let (name, change) = Self.variants[index]
        let trainer = try Self.trainer(change)
        let first = try trainer.evaluate(Self.batch(20, size: 16))
        for number in 0..<80 { _ = try trainer.step(Self.batch(number % 20)) }
        let last = try trainer.evaluate(Self.batch(20, size: 16))
        #expect(last.loss < 0.6 * first.loss, "\(name): \(first.loss) became \(last.loss)")
        let report = try Self.check(trainer)
        #expect(report.samples == 100 && report.sameTop1 == 100, "\(name): \(report)")
        #expect(report.withinOneStep == 1, "\(name): \(report)")
        let exported = try trainer.export()
        #expect(!exported.operatorCodes.contains { $0.builtin == .custom })
        #expect(exported.subgraphs[0].tensors.contains { $0.type == .int8 || $0.type == .int4 || $0.type == .int16 })
    }

    @Test func rangesFollowUntilTheyAreFrozen() throws {
        let trainer = try Self.trainer { $0.freezeStep = 10 }
        let before = trainer.stateValues(0, 1)
        for number in 0..<10 { _ = try trainer.step(Self.batch(number)) }
        let after = trainer.stateValues(0, 1)
        #expect(before != after)
        for number in 10..<15 { _ = try trainer.step(Self.batch(number)) }
        #expect(trainer.stateValues(0, 1) == after)
    }

    @Test func prunedZerosStay() throws {
        let trainer = try Self.trainer(
            { $0.quantizer.weightBits = 4 },
            constraints: { prepared in
                let weights = try #require(prepared.subgraphs[0].tensors.first { $0.name == "depth/w" })
                var values = try #require(prepared.buffers[weights.buffer].data).array(of: Float.self)
                for place in values.indices where place % 2 == 0 { values[place] = 0 }
                let matrix = try #require(prepared.weightTensors().first { $0.name == "depth/w" }).matrix
                return [("depth/w", PruningConstraint(preservingZerosOf: values, matrix))]
            })
        for number in 0..<20 { _ = try trainer.step(Self.batch(number)) }
        let exported = try trainer.export()
        let weights = try #require(exported.subgraphs[0].tensors.first { $0.name == "depth/w" })
        let bytes = try #require(exported.buffers[weights.buffer].data).array(of: UInt8.self)
        #expect(weights.type == .int4 && bytes.allSatisfy { $0 & 15 == 0 } && bytes.contains { $0 != 0 })
    }

    /// Also where results are computed again instead of kept.
    @Test func theSameTrainingGivesTheSameBits() throws {
        let models = try (0..<2).map { number in
            let trainer = try Self.trainer(recomputing: number == 1)
            for number in 0..<5 { _ = try trainer.step(Self.batch(number)) }
            return try trainer.export()
        }
        #expect(models[0] == models[1])
    }

    @Test func wrongOptionsAreRefused() throws {
        #expect(#expect(throws: Failure.self) { try Self.trainer { $0.quantizer.scheme = .float16 } } != nil)
        #expect(#expect(throws: Failure.self) { try Self.trainer { $0.ranges = .movingAverage(momentum: 1) } } != nil)
        #expect(#expect(throws: Failure.self) { try Self.trainer { $0.freezeStep = -1 } } != nil)
    }
}
