import CEdgeOpt
import Model
import Operators
import Testing

@testable import Runtime

struct CompileTests {
    private func runners(_ interpreter: Interpreter) throws -> [String] {
        try (0..<interpreter.operatorCount).map { try interpreter.report($0).decision.runner }
    }

    @Test func allUnknownOperatorsAreNamedAtOnce() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [2])
        let a = maker.result(.skipGram, [x], shape: [2])
        let b = maker.result(.lshProjection, [a], shape: [2])
        let c = maker.result(.skipGram, [b], shape: [2])
        let d = maker.tensor("d", [2])
        maker.add(.abs, [c], [d], version: 99)
        maker.ends([x], [d])
        do {
            _ = try Interpreter(try LoadedModel(maker.model))
            Issue.record("compiled")
        } catch {
            #expect(error.status == EO_UNSUPPORTED)
            for part in [
                "SKIP_GRAM version 1 (operators 0, 2)", "LSH_PROJECTION version 1 (operator 1)", "ABS version 99",
            ] {
                #expect(error.message.contains(part), "\(error.message)")
            }
        }
    }

    /// Kernels of training trust their graphs, so a file cannot name them.
    @Test func operatorsOfTrainingAreNoneOfAFile() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [2])
        let y = maker.result(.custom, [x], shape: [2])
        maker.ends([x], [y])
        maker.model.operatorCodes[0].custom = "edgeopt.softplus"
        _ = try Interpreter(try LoadedModel(maker.model))
        let read = try Model.read(maker.model.serialized())
        do {
            _ = try Interpreter(try LoadedModel(read))
            Issue.record("compiled")
        } catch {
            #expect(error.status == EO_UNSUPPORTED && error.message.contains("edgeopt.softplus"), "\(error.message)")
        }
    }

    @Test func constantsAreFoldedAndUselessOperatorsDropped() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [3])
        let constant = try maker.constant("c", [3], [Float(-1), -2, -3], .float32)
        let folded = maker.result(.abs, [constant], shape: [3])
        _ = maker.result(.abs, [x], shape: [3])
        let y = maker.result(.add, [x, folded], shape: [3], Options(.add))
        maker.ends([x], [y])
        let interpreter = try maker.interpreter()
        #expect(try runners(interpreter) == ["folded", "unused", "CPU"])
        try interpreter.inputTensor(0).fill([10, 20, 30])
        try interpreter.invoke()
        #expect(try interpreter.outputTensor(0).floats == [11, 22, 33])
        // Two interpreters of one model share what was folded.
        let loaded = try LoadedModel(maker.model)
        let first = try Interpreter(loaded)
        let second = try Interpreter(loaded)
        #expect(try first.tensor(folded).data == second.tensor(folded).data)
    }

    @Test func activationsAreFused() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [3])
        let sum = maker.result(.add, [x, x], shape: [3], Options(.add))
        let y = maker.result(.relu, [sum], shape: [3])
        maker.ends([x], [y])
        let interpreter = try maker.interpreter()
        #expect(try runners(interpreter) == ["CPU", "fused"])
        #expect(try interpreter.report(1).decision.reason == "fused into operator 0")
        try interpreter.inputTensor(0).fill([-1, 2, -3])
        try interpreter.invoke()
        #expect(try interpreter.outputTensor(0).floats == [0, 4, 0])

        var keep = Interpreter.Options()
        keep.keep = [maker.model.subgraphs[0].tensors[sum].name]
        let kept = try maker.interpreter(keep)
        #expect(try runners(kept) == ["CPU", "CPU"])
        try kept.inputTensor(0).fill([-1, 2, -3])
        try kept.invoke()
        #expect(try kept.tensor(sum).floats == [-2, 4, -6])
        #expect(try interpreter.tensor(sum).data == nil)
    }

    @Test func viewsCostNothingAndChainsRunInPlace() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [1024])
        let shape = try maker.constant("s", [2], [Int32(32), 32], .int32)
        let a = maker.result(.exp, [x], shape: [1024])
        let b = maker.result(.reshape, [a, shape], shape: [32, 32])
        let c = maker.result(.abs, [b], shape: [32, 32])
        let d = maker.result(.abs, [c], shape: [32, 32])
        maker.ends([x], [d])
        let interpreter = try maker.interpreter()
        #expect(try runners(interpreter) == ["CPU", "view", "CPU", "CPU"])
        // All in the memory of the output.
        #expect(interpreter.arenaSize == 0)
    }

    @Test func resizeIsAllOrNothing() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [2, 3])
        let y = maker.tensor("y", [2, 3])
        maker.ends([x, y], [maker.result(.add, [x, y], shape: [2, 3], Options(.add))])
        let interpreter = try maker.interpreter()
        #expect(throws: Failure.self) { try interpreter.resize([0: [5, 7]]) }
        #expect(throws: Failure.self) { try interpreter.resize([0: [2, -3]]) }
        #expect(throws: Failure.self) { try interpreter.resize([0: [Int.max, 8]]) }
        #expect(throws: Failure.self) { try interpreter.resize([2: [2, 3]]) }
        #expect(try interpreter.inputTensor(0).info.shape == [2, 3])
        try interpreter.resize([0: [4, 3], 1: [4, 3]])
        #expect(try interpreter.outputTensor(0).info.shape == [4, 3])
        try interpreter.inputTensor(0).fill([Float](repeating: 1, count: 12))
        try interpreter.inputTensor(1).fill([Float](repeating: 2, count: 12))
        try interpreter.invoke()
        #expect(try interpreter.outputTensor(0).floats == [Float](repeating: 3, count: 12))
    }

    @Test func signaturesHaveTheirOwnOrder() throws {
        var maker = ModelMaker()
        let a = maker.tensor("a", [1])
        let b = maker.tensor("b", [1])
        let difference = maker.result(.sub, [a, b], shape: [1], Options(.sub))
        maker.ends([a, b], [difference])
        maker.model.signatures = [
            Signature(
                key: "minus", subgraph: 0, inputs: [.init(name: "second", tensor: b), .init(name: "first", tensor: a)],
                outputs: [.init(name: "d", tensor: difference)])
        ]
        var options = Interpreter.Options()
        options.signature = "minus"
        let interpreter = try maker.interpreter(options)
        #expect(interpreter.inputNames == ["second", "first"])
        try interpreter.inputTensor(0).fill([1])
        try interpreter.inputTensor(1).fill([10])
        try interpreter.invoke()
        #expect(try interpreter.outputTensor(0).floats == [9])
        options.signature = "plus"
        #expect(throws: Failure.self) { try maker.interpreter(options) }
    }

    @Test func compositesRunTheirDecomposition() throws {
        var maker = ModelMaker()
        maker.model.subgraphs.append(Subgraph())
        let inner = maker.tensor("inner", [3], subgraph: 1)
        let result = maker.tensor("result", [3], subgraph: 1)
        maker.add(.abs, [inner], [result], subgraph: 1)
        maker.ends([inner], [result, inner], subgraph: 1)
        let x = maker.tensor("x", [3])
        let y = maker.tensor("y", [3])
        let same = maker.tensor("same", [3])
        var options = Options(.stablehloComposite)
        options[0] = .string("test.abs")
        options[1] = .int(1)
        maker.add(.stablehloComposite, [x], [y, same], options)
        maker.ends([x], [y, same])
        let interpreter = try maker.interpreter()
        try interpreter.inputTensor(0).fill([-1, 2, -3])
        try interpreter.invoke()
        #expect(try interpreter.outputTensor(0).floats == [1, 2, 3])
        #expect(try interpreter.outputTensor(1).floats == [-1, 2, -3])
        #expect(try interpreter.report(0).decision.runner == "CPU")
    }

    @Test func keepNeedsAName() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [3])
        maker.ends([x], [maker.result(.abs, [x], shape: [3])])
        var options = Interpreter.Options()
        options.keep = ["nowhere"]
        #expect(throws: Failure.self) { try maker.interpreter(options) }
    }
}
