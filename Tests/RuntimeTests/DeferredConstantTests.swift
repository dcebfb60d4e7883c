import CPlatform
import Model
import Testing

@testable import Runtime

/// Half-precision weights of a mapped model, which become float32 only where somebody reads them.
struct DeferredConstantTests {
    private enum Reader: CaseIterable { case packed, definition, layerAndAnother, twoLayers, scaled }

    /// One layer or several that read the same widened weights in one way or another.
    private func model(_ reader: Reader) throws -> ModelMaker {
        var maker = ModelMaker()
        var random = SplitMix(seed: 3)
        let (rows, depth, columns) = (96, 96, 64)
        let input = maker.tensor("x", [rows, depth])
        let halves = (0..<columns * depth).map { _ in Float16(random.float()).bitPattern }
        let stored = try maker.constant("half", [columns, depth], halves, .float16)
        let weights = maker.result(.dequantize, [stored], shape: [columns, depth], name: "weights")
        func layer(_ activation: Int64) -> Options { Options(.fullyConnected, [.int(activation)]) }
        var outputs = [
            maker.result(
                .fullyConnected, [input, weights], shape: [rows, columns], layer(reader == .definition ? 4 : 1))
        ]
        switch reader {
        case .packed, .definition: break
        case .layerAndAnother: outputs.append(maker.result(.abs, [weights], shape: [columns, depth]))
        case .twoLayers:
            outputs.append(maker.result(.fullyConnected, [input, weights], shape: [rows, columns], layer(4)))
            outputs.append(maker.result(.fullyConnected, [input, weights], shape: [rows, columns], layer(3)))
        case .scaled:
            let factors = try maker.constant("f", [columns], (0..<columns).map { Float($0 % 7) / 3 }, .float32)
            let sums = maker.result(.fullyConnected, [input, weights], shape: [rows, columns], layer(0))
            outputs.append(maker.result(.mul, [sums, factors], shape: [rows, columns], Options(.mul)))
        }
        maker.ends([input], outputs)
        return maker
    }

    private func results(_ loaded: LoadedModel, cache: String? = nil) throws -> (outputs: [[Float]], weights: [Float]) {
        var options = Interpreter.Options()
        options.weightCache = cache
        let interpreter = try Interpreter(loaded, options)
        var random = SplitMix(seed: 9)
        try interpreter.inputTensor(0).fill((0..<96 * 96).map { _ in random.float() })
        for _ in 0..<2 { try interpreter.invoke() }
        return (
            try (0..<interpreter.outputCount).map { try interpreter.outputTensor($0).floats },
            try interpreter.tensor(2).floats
        )
    }

    @Test(arguments: 0..<5)
    func widenedWeightsAreThoseOfAModelInMemory(number: Int) throws {
        let reader = Reader.allCases[number]
        let maker = try model(reader)
        try maker.model.validate()
        let expected = try results(try LoadedModel(maker.model))
        let path = "/tmp/edgeopt-deferred-\(UInt64.random(in: .min ... .max))"
        defer { for name in [path, path + ".weights"] { unlink(name) } }
        try maker.model.save(path: path)
        let loaded = try LoadedModel(try Model.open(path: path))
        for cache in [nil, nil, path + ".weights", path + ".weights"] {
            // Interpreters of one model, and one that finds only the file.
            for model in [loaded, try LoadedModel(try Model.open(path: path))] {
                let found = try results(model, cache: cache)
                #expect(found.outputs == expected.outputs)
                // Kept only where something but a packed form is read.
                let isKept = reader != .packed && reader != .scaled
                #expect(found.weights == (isKept ? expected.weights : []))
            }
        }
    }
}

@_silgen_name("unlink") @discardableResult private func unlink(_ path: UnsafePointer<CChar>) -> Int32
