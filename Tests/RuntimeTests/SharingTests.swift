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

    /// Elementwise operators, views, joins and splits over tensors of 12 elements, in a random order; outputs and
    /// constants anywhere.
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
            switch random.below(6) {
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
