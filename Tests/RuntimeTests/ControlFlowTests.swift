import Model
import Testing

@testable import Runtime

/// Loops, branches and variables.
@Suite struct ControlFlowTests {
    /// A loop over (i, n, x) while i < n; `body` adds operators and gives the states of the next round.
    static func loop(
        _ shape: [Int], _ body: (inout ModelMaker, _ i: Int, _ n: Int, _ x: Int) throws -> [Int]
    ) throws -> ModelMaker {
        var maker = ModelMaker()
        maker.model.subgraphs += [Subgraph(), Subgraph()]
        func states(_ subgraph: Int) -> [Int] {
            [
                maker.tensor("i", [], .int32, subgraph: subgraph), maker.tensor("n", [], .int32, subgraph: subgraph),
                maker.tensor("x", shape, subgraph: subgraph),
            ]
        }
        let (outer, results, tested, changed) = (states(0), states(0), states(1), states(2))
        let start = try maker.constant("zero", [], [Int32(0)], .int32)
        maker.add(.while, [start, outer[1], outer[2]], results, Options(.while, [.int(1), .int(2)]))
        maker.ends([outer[1], outer[2]], results)
        let goesOn = maker.tensor("less", [], .bool, subgraph: 1)
        maker.add(.less, Array(tested[..<2]), [goesOn], subgraph: 1)
        maker.ends(tested, [goesOn], subgraph: 1)
        maker.ends(changed, try body(&maker, changed[0], changed[1], changed[2]), subgraph: 2)
        return maker
    }

    /// i + 1.
    static func next(_ maker: inout ModelMaker, _ i: Int) throws -> Int {
        let one = try maker.constant("one", [], [Int32(1)], .int32, subgraph: 2)
        let sum = maker.tensor("i + 1", [], .int32, subgraph: 2)
        maker.add(.add, [i, one], [sum], Options(.add), subgraph: 2)
        return sum
    }

    static func doubling() throws -> ModelMaker {
        try loop([3]) { maker, i, n, x in
            let doubled = maker.tensor("2 x", [3], subgraph: 2)
            maker.add(.add, [x, x], [doubled], Options(.add), subgraph: 2)
            return [try next(&maker, i), n, doubled]
        }
    }

    func run(_ interpreter: Interpreter, _ n: Int32, _ x: [Float]) throws -> (i: Int32, x: [Float]) {
        try interpreter.inputTensor(0).data!.storeBytes(of: n, as: Int32.self)
        try interpreter.inputTensor(1).fill(x)
        try interpreter.invoke()
        return (try interpreter.outputTensor(0).integers[0], try interpreter.outputTensor(2).floats)
    }

    @Test(arguments: [1, 2]) func rounds(_ threads: Int) throws {
        var options = Interpreter.Options()
        options.threadCount = threads
        let interpreter = try Self.doubling().interpreter(options)
        for n: Int32 in [0, 1, 2, 3, 10, 0, 5] {
            interpreter.poison()
            let result = try run(interpreter, n, [1, -2, 0.5])
            #expect(result.i == n)
            #expect(result.x == [1, -2, 0.5].map { $0 * Float(1 << n) })
            #expect(try interpreter.outputTensor(1).integers == [n])
        }
    }

    @Test func memoryOfTheCaller() throws {
        let interpreter = try Self.doubling().interpreter()
        var (n, x, y): (Int32, [Float], [Float]) = (3, [1, 2, 3], [0, 0, 0])
        try x.withUnsafeMutableBytes { x in
            try y.withUnsafeMutableBytes { y in
                try withUnsafeMutableBytes(of: &n) { n in
                    try interpreter.bindInput(0, n.baseAddress, byteCount: 4)
                    try interpreter.bindInput(1, x.baseAddress, byteCount: 12)
                    try interpreter.bindOutput(2, y.baseAddress, byteCount: 12)
                    try interpreter.invoke()
                    try interpreter.invoke()
                }
            }
        }
        #expect(x == [1, 2, 3] && y == [8, 16, 24])
    }

    /// States that change places are copied, not mixed up.
    @Test func swappedStates() throws {
        var maker = ModelMaker()
        maker.model.subgraphs += [Subgraph(), Subgraph()]
        func states(_ subgraph: Int) -> [Int] {
            ["i", "a", "b"].map { maker.tensor($0, [], .int32, subgraph: subgraph) }
        }
        let (outer, results, tested, changed) = (states(0), states(0), states(1), states(2))
        maker.add(.while, outer, results, Options(.while, [.int(1), .int(2)]))
        maker.ends(outer, results)
        let limit = try maker.constant("limit", [], [Int32(10)], .int32, subgraph: 1)
        let goesOn = maker.tensor("less", [], .bool, subgraph: 1)
        maker.add(.less, [tested[0], limit], [goesOn], subgraph: 1)
        maker.ends(tested, [goesOn], subgraph: 1)
        let sum = maker.tensor("a + b", [], .int32, subgraph: 2)
        maker.add(.add, Array(changed[1...]), [sum], Options(.add), subgraph: 2)
        maker.ends(changed, [try Self.next(&maker, changed[0]), changed[2], sum], subgraph: 2)
        let interpreter = try maker.interpreter()
        for (place, value) in [Int32(0), 0, 1].enumerated() {
            try interpreter.inputTensor(place).data!.storeBytes(of: value, as: Int32.self)
        }
        try interpreter.invoke()
        #expect(try interpreter.outputTensor(1).integers == [55])
        #expect(try interpreter.outputTensor(2).integers == [89])
    }

    /// Step i of a list is written as a converter does.
    @Test func listOfSteps() throws {
        let maker = try Self.loop([4, 2]) { maker, i, n, x in
            let after = try Self.next(&maker, i)
            func index(_ tensor: Int, _ rest: Int32) throws -> Int {
                let one = try maker.constant("shape", [1], [Int32(1)], .int32, subgraph: 2)
                let rest = try maker.constant("rest", [1], [rest], .int32, subgraph: 2)
                let reshaped = maker.tensor("[i]", [1], .int32, subgraph: 2)
                maker.add(.reshape, [tensor, one], [reshaped], subgraph: 2)
                let joined = maker.tensor("[i, rest]", [2], .int32, subgraph: 2)
                maker.add(.concatenation, [reshaped, rest], [joined], Options(.concatenation), subgraph: 2)
                return joined
            }
            let zeros = try maker.constant("zeros", [2], [Int32(0), 0], .int32, subgraph: 2)
            let all = try maker.constant("all", [2], [Int32(-1), -1], .int32, subgraph: 2)
            let parts = [maker.tensor("before", [1, 1], subgraph: 2), maker.tensor("behind", [1, 2], subgraph: 2)]
            maker.add(.slice, [x, zeros, try index(i, -1)], [parts[0]], subgraph: 2)
            maker.add(.slice, [x, try index(after, 0), all], [parts[1]], subgraph: 2)
            let step = try maker.constant("step", [1, 2], [Float(7), 8], .float32, subgraph: 2)
            let whole = maker.tensor("whole", [4, 2], subgraph: 2)
            maker.add(.concatenation, [parts[0], step, parts[1]], [whole], Options(.concatenation), subgraph: 2)
            return [after, n, whole]
        }
        let interpreter = try maker.interpreter()
        #expect(try run(interpreter, 2, [Float](repeating: 1, count: 8)).x == [7, 8, 7, 8, 1, 1, 1, 1])
        #expect(try run(interpreter, 4, [Float](repeating: 1, count: 8)).x == [7, 8, 7, 8, 7, 8, 7, 8])
    }

    @Test func changingShapesAreRefused() throws {
        let maker = try Self.loop([3]) { maker, i, n, x in
            let longer = maker.tensor("longer", [6], subgraph: 2)
            maker.add(.concatenation, [x, x], [longer], Options(.concatenation), subgraph: 2)
            return [try Self.next(&maker, i), n, longer]
        }
        #expect(throws: Failure.self) { try maker.interpreter() }
        do { _ = try maker.interpreter() } catch let failure as Failure {
            #expect(failure.message.contains("must keep type and shape") && failure.message.contains("WHILE"))
        }
    }

    @Test func endlessLoopsCanBeStopped() throws {
        let maker = try Self.loop([3]) { _, i, n, x in [i, n, x] }
        let interpreter = try maker.interpreter()
        interpreter.cancel()
        #expect(throws: Failure.self) { try run(interpreter, 1, [1, 2, 3]) }
        #expect(try run(interpreter, 0, [1, 2, 3]).x == [1, 2, 3])
    }

    @Test func branches() throws {
        var maker = ModelMaker()
        maker.model.subgraphs += [Subgraph(), Subgraph()]
        let inputs = [maker.tensor("condition", [], .bool), maker.tensor("x", [2]), maker.tensor("y", [2])]
        let result = maker.tensor("result", [2])
        maker.add(.if, inputs, [result], Options(.if, [.int(1), .int(2)]))
        maker.ends(inputs, [result])
        for subgraph in 1...2 {
            let given = [maker.tensor("x", [2], subgraph: subgraph), maker.tensor("y", [2], subgraph: subgraph)]
            let sum = maker.tensor("sum", [2], subgraph: subgraph)
            maker.add(.add, given, [sum], Options(.add), subgraph: subgraph)
            maker.ends(given, [subgraph == 1 ? sum : given[1]], subgraph: subgraph)
        }
        let interpreter = try maker.interpreter()
        try interpreter.inputTensor(1).fill([1, 2])
        try interpreter.inputTensor(2).fill([10, 20])
        for (condition, expected): (UInt8, [Float]) in [(1, [11, 22]), (0, [10, 20]), (1, [11, 22])] {
            try interpreter.inputTensor(0).data!.storeBytes(of: condition, as: UInt8.self)
            try interpreter.invoke()
            #expect(try interpreter.outputTensor(0).floats == expected)
        }
    }

    /// sum += x, where sum begins with 100.
    @Test func variables() throws {
        var maker = ModelMaker()
        maker.model.subgraphs.append(Subgraph())
        func handle(_ subgraph: Int) -> Int {
            let handle = maker.tensor("handle", [], .resource, subgraph: subgraph)
            maker.add(.varHandle, [], [handle], Options(.varHandle, [.string(""), .string("sum")]), subgraph: subgraph)
            return handle
        }
        maker.add(.callOnce, [], [], Options(.callOnce, [.int(1)]))
        let (x, before) = (maker.tensor("x", [2]), maker.tensor("before", [2]))
        let main = handle(0)
        maker.add(.readVariable, [main], [before])
        let after = maker.result(.add, [before, x], shape: [2], Options(.add))
        maker.add(.assignVariable, [main, after], [])
        maker.ends([x], [before])
        let first = try maker.constant("first", [2], [Float(100), 200], .float32, subgraph: 1)
        maker.add(.assignVariable, [handle(1), first], [], subgraph: 1)
        let interpreter = try maker.interpreter()
        func step() throws -> [Float] {
            try interpreter.inputTensor(0).fill([1, 2])
            try interpreter.invoke()
            return try interpreter.outputTensor(0).floats
        }
        for round in 0..<2 {
            #expect(try step() == [100, 200])
            #expect(try step() == [101, 202])
            if round == 0 { try interpreter.setThreadCount(2) }
            #expect(try step() == [102, 204])
            interpreter.resetVariables()
        }
    }
}
