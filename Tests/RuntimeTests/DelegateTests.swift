import CEdgeOpt
import Model
import Operators
import Testing

@testable import Runtime

/// A delegate that takes some operators, and fails where it is told to. It computes ABS and ADD of floats.
final class TestDelegate: Delegate {
    enum Point { case supports, prepare, invoke, resize, none }
    let name = "test"
    let taken: Set<Int>
    let model: Model
    var failing: Point
    var isResizable = true
    var prepared: [[Int]] = []
    var resized = 0
    var invoked = 0

    init(_ model: Model, taken: Set<Int>, failing: Point = .none) {
        self.model = model
        self.taken = taken
        self.failing = failing
    }

    func refusal(of op: DelegateOperator) -> String? {
        failing == .supports ? "has no time" : taken.contains(op.index) ? nil : "does not like it"
    }

    func prepare(_ partition: DelegatePartition) throws(Failure) -> any DelegateKernel {
        if failing == .prepare { throw Failure(EO_DELEGATE_ERROR, "prepare failed on purpose") }
        prepared.append(partition.operators)
        return TestKernel(self, partition)
    }
}

final class TestKernel: DelegateKernel {
    private let owner: TestDelegate
    private var partition: DelegatePartition

    init(_ owner: TestDelegate, _ partition: DelegatePartition) {
        self.owner = owner
        self.partition = partition
    }

    func resize(_ partition: DelegatePartition) throws(Failure) -> Bool {
        if owner.failing == .resize { throw Failure(EO_DELEGATE_ERROR, "resize failed on purpose") }
        guard owner.isResizable else { return false }
        owner.resized += 1
        self.partition = partition
        return true
    }

    func invoke(_ inputs: UnsafePointer<eo_buffer>, _ outputs: UnsafePointer<eo_buffer>) throws(Failure) {
        if owner.failing == .invoke { throw Failure(EO_DELEGATE_ERROR, "invoke failed on purpose") }
        owner.invoked += 1
        var values: [Int: [Float]] = [:]
        for (index, tensor) in partition.inputs.enumerated() {
            values[tensor.index] = Array(
                UnsafeBufferPointer(
                    start: inputs[index].data.assumingMemoryBound(to: Float.self), count: inputs[index].size / 4))
        }
        let subgraph = owner.model.subgraphs[partition.subgraph]
        for place in partition.operators {
            let op = subgraph.operators[place]
            let a = values[op.inputs[0]] ?? []
            values[op.outputs[0]] =
                op.inputs.count == 1 ? a.map { abs($0) } : zip(a, values[op.inputs[1]] ?? []).map { $0 + $1 }
        }
        for (index, tensor) in partition.outputs.enumerated() {
            for (position, value) in (values[tensor.index] ?? []).enumerated() {
                outputs[index].data.assumingMemoryBound(to: Float.self)[position] = value
            }
        }
    }
}

struct DelegateTests {
    /// 0: a = |x|;  1: e = exp(a);  2: b = |a|;  3: s = e + b;  4: y = |s|
    private func diamond() -> ModelMaker {
        var maker = ModelMaker()
        let x = maker.tensor("x", [4], signature: [-1])
        let a = maker.result(.abs, [x], shape: [4])
        let e = maker.result(.exp, [a], shape: [4])
        let b = maker.result(.abs, [a], shape: [4])
        let s = maker.result(.add, [e, b], shape: [4], Options(.add))
        let y = maker.result(.abs, [s], shape: [4])
        maker.ends([x], [y])
        return maker
    }

    private func run(_ interpreter: Interpreter, count: Int = 4) throws -> [Float] {
        try interpreter.inputTensor(0).fill((0..<count).map { Float($0) - 2 })
        try interpreter.invoke()
        return try interpreter.outputTensor(0).floats
    }

    private func create(_ maker: ModelMaker, _ delegate: TestDelegate) throws -> Interpreter {
        var options = Interpreter.Options()
        options.delegates = [delegate]
        return try maker.interpreter(options)
    }

    @Test func partitionsAreMaximalAndConvex() throws {
        let maker = diamond()
        let expected = try run(try maker.interpreter())
        // EXP stays with the CPU: everything else cannot be one partition, for it would have to stop in the middle.
        let delegate = TestDelegate(maker.model, taken: [0, 2, 3, 4])
        let interpreter = try create(maker, delegate)
        #expect(delegate.prepared == [[0, 2], [3, 4]])
        #expect(try run(interpreter) == expected)
        #expect(delegate.invoked == 2)
        #expect(try interpreter.report(0).decision.runner == "test")
        #expect(try interpreter.report(3).decision.partition == 1)
        #expect(try interpreter.report(1).decision.runner == "CPU")
        #expect(try interpreter.report(1).decision.reason == "test: does not like it")
    }

    @Test(arguments: [TestDelegate.Point.supports, .prepare, .invoke])
    func whereverTheDelegateFailsTheCPUTakesOver(point: TestDelegate.Point) throws {
        let maker = diamond()
        let expected = try run(try maker.interpreter())
        let delegate = TestDelegate(maker.model, taken: [0, 2, 3, 4], failing: point)
        var warnings: [String] = []
        var options = Interpreter.Options()
        options.delegates = [delegate]
        options.log = { level, text in if level == .warning { warnings.append(text) } }
        let interpreter = try maker.interpreter(options)
        for _ in 0..<3 { #expect(try run(interpreter) == expected) }
        for index in [0, 2, 3, 4] {
            let report = try interpreter.report(index)
            #expect(report.decision.runner == "CPU")
            #expect(report.decision.partition == -1)
            #expect(report.decision.reason.hasPrefix("test: "))
        }
        #expect(warnings.isEmpty == (point == .supports))
    }

    @Test(arguments: [TestDelegate.Point.none, .resize])
    func aResizeReachesTheDelegate(point: TestDelegate.Point) throws {
        let maker = diamond()
        let delegate = TestDelegate(maker.model, taken: [0, 2, 3, 4], failing: point)
        let interpreter = try create(maker, delegate)
        let plain = try maker.interpreter()
        try plain.resize([0: [7]])
        let expected = try run(plain, count: 7)
        try interpreter.resize([0: [7]])
        #expect(delegate.resized == (point == .none ? 2 : 0))
        #expect(delegate.prepared.count == 2)
        #expect(try run(interpreter, count: 7) == expected)
        #expect(try interpreter.report(0).decision.runner == (point == .none ? "test" : "CPU"))
    }

    @Test func withoutResizeTheDelegatePreparesAgain() throws {
        let maker = diamond()
        let delegate = TestDelegate(maker.model, taken: [0, 2, 3, 4])
        delegate.isResizable = false
        let interpreter = try create(maker, delegate)
        try interpreter.resize([0: [7]])
        #expect(delegate.prepared.count == 4)
        let plain = try maker.interpreter()
        try plain.resize([0: [7]])
        #expect(try run(interpreter, count: 7) == (try run(plain, count: 7)))
    }

    /// Random graphs, random choices of the delegate, bound outputs, and a failure in the middle of the life.
    @Test(arguments: 0..<60)
    func anyPartGivesTheSameResults(seed: Int) throws {
        var random = SplitMix(seed: UInt64(seed) &+ 1000)
        let maker = try SharingTests.randomModel(&random)
        let operators = maker.model.subgraphs[0].operators
        let codes = maker.model.operatorCodes
        let possible = operators.indices.filter { [.abs, .add].contains(codes[operators[$0].opcode].builtin) }
        let delegate = TestDelegate(maker.model, taken: Set(possible.filter { _ in random.below(4) > 0 }))
        let delegated = try create(maker, delegate)
        let plain = try maker.interpreter()
        for round in 0..<3 {
            if round == 1 { delegate.failing = .invoke }
            delegated.poison()
            for index in 0..<plain.inputCount {
                let values = (0..<12).map { _ in random.float() }
                try plain.inputTensor(index).fill(values)
                try delegated.inputTensor(index).fill(values)
            }
            try plain.invoke()
            try delegated.invoke()
            for index in 0..<plain.outputCount {
                #expect(try delegated.outputTensor(index).floats == (try plain.outputTensor(index).floats))
            }
        }
    }
}
