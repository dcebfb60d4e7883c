import Model
import Testing

@testable import Runtime

/// Random graphs: with memory shared in every way (reuse, in place, views, bound outputs) the results are those of a
/// run in which no two tensors share any.
struct SharingTests {
    @Test(arguments: 0..<150)
    func sharedMemoryChangesNoResult(seed: Int) throws {
        var random = SplitMix(seed: UInt64(seed))
        let maker = try Self.randomModel(&random)
        var unshared = Interpreter.Options()
        unshared.keepAll = true
        let plain = try maker.interpreter(unshared)
        let shared = try maker.interpreter()
        #expect(shared.arenaSize <= plain.arenaSize)
        let outputs = (0..<shared.outputCount).map { index in
            index % 2 == 0 ? CallerMemory(floats: (try? shared.outputTensor(index).byteCount / 4) ?? 0) : nil
        }
        for (index, memory) in outputs.enumerated() {
            if let memory { try shared.bindOutput(index, memory.base, byteCount: memory.count) }
        }
        for _ in 0..<2 {
            shared.poison()
            plain.poison()
            for index in 0..<plain.inputCount {
                let values = (0..<(try plain.inputTensor(index).byteCount / 4)).map { _ in random.float() }
                try plain.inputTensor(index).fill(values)
                try shared.inputTensor(index).fill(values)
            }
            try plain.invoke()
            try shared.invoke()
            for index in 0..<plain.outputCount {
                let expected = try plain.outputTensor(index).floats
                #expect(try shared.outputTensor(index).floats == expected)
                if let memory = outputs[index] { #expect(memory.values == expected) }
            }
        }
    }

    /// Dynamic range layers that read the same tensor: the first one quantizes it, each time anew.
    @Test(arguments: [BuiltinOperator.conv2D, .fullyConnected])
    func readersShareWhatIsQuantized(_ code: BuiltinOperator) throws {
        let shape = code == .conv2D ? [1, 6, 5, 8] : [30, 8]
        func layers(_ numbers: [Int]) throws -> Interpreter {
            var maker = ModelMaker()
            let x = maker.tensor("x", shape)
            var results: [Int] = []
            for number in numbers {
                let (filter, _) = try maker.weights(
                    code == .conv2D ? [8, 3, 3, 8] : [8, 8], channels: 8, .int8, seed: UInt64(number))
                var options = Options(code == .conv2D ? .conv2D : .fullyConnected)
                if code == .conv2D { for field in 1...2 { options[field] = .int(1) } }
                // The second of each three reads what the first one computes.
                let input = number % 3 == 1 ? results.last ?? x : x
                results.append(maker.result(code, [input, filter, -1], shape: shape, options))
            }
            maker.ends([x], results)
            return try maker.interpreter()
        }
        let together = try layers([0, 1, 2, 3])
        let segment = together.execution.segments[0]
        let quantized = segment.steps.map { segment.blocks[$0.first + $0.inputs + $0.outputs].base }
        #expect(quantized[0] == quantized[2] && quantized[0] == quantized[3] && quantized[0] != quantized[1])
        var random = SplitMix(seed: 3)
        for scale in [Float(1), 5, 0] {
            let values = (0..<240).map { _ in scale * random.float() }
            try together.inputTensor(0).fill(values)
            together.poison()
            try together.invoke()
            for (index, numbers) in [[0], [0, 1], [2], [3]].enumerated() {
                let alone = try layers(numbers)
                try alone.inputTensor(0).fill(values)
                try alone.invoke()
                #expect(
                    try together.outputTensor(index).floats == alone.outputTensor(numbers.count - 1).floats)
            }
        }
    }

    /// Elementwise operators, views, joins and splits, fully connected layers over tensors of 12 elements, in a random
    /// order; outputs and constants anywhere.
    static func randomModel(_ random: inout SplitMix) throws -> ModelMaker {
        var maker = ModelMaker()
        let shapes = [[12], [3, 4], [2, 6], [1, 12]]
        var tensors: [Int] = []
        for index in 0..<1 + random.below(3) { tensors.append(maker.tensor("in\(index)", shapes[random.below(4)])) }
        let inputs = tensors
        if random.below(2) == 0 {
            let values = (0..<12).map { _ in random.float() }
            tensors.append(try maker.constant("c", [12], values, .float32))
        }
        for _ in 0..<2 + random.below(14) {
            let a = tensors[random.below(tensors.count)]
            let shape = maker.model.subgraphs[0].tensors[a].shape
            switch random.below(7) {
            case 0: tensors.append(maker.result(.abs, [a], shape: shape))
            case 1: tensors.append(maker.result(.relu, [a], shape: shape))
            case 2:
                let same = tensors.filter { maker.model.subgraphs[0].tensors[$0].shape == shape }
                tensors.append(
                    maker.result(.add, [a, same[random.below(same.count)]], shape: shape, Options(.add)))
            case 3:
                let same = tensors.filter { maker.model.subgraphs[0].tensors[$0].shape == shape }
                tensors.append(
                    maker.result(.sub, [same[random.below(same.count)], a], shape: shape, Options(.sub)))
            case 4 where shape.count == 2:
                let (filter, _) = try maker.weights([shape[1], shape[1]], channels: 1, .int8)
                tensors.append(
                    maker.result(.fullyConnected, [a, filter, -1], shape: shape, Options(.fullyConnected)))
            default:
                let wanted = shapes[random.below(4)]
                let numbers = try maker.constant(
                    "s\(maker.model.buffers.count)", [wanted.count], wanted.map { Int32($0) }, .int32)
                tensors.append(maker.result(.reshape, [a, numbers], shape: wanted))
            }
        }
        var outputs: [Int] = [tensors[tensors.count - 1]]
        for _ in 0..<random.below(4) { outputs.append(tensors[random.below(tensors.count)]) }
        maker.ends(inputs, outputs)
        return maker
    }
}
