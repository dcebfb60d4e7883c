import CEdgeOpt
import Model
import Testing

@testable import Runtime

struct BindingTests {
    /// y = |x|, z = y under another shape.
    private func absModel() throws -> Interpreter {
        var maker = ModelMaker()
        let x = maker.tensor("x", [2, 3])
        let y = maker.result(.abs, [x], shape: [2, 3], name: "y")
        maker.ends([x], [y])
        return try maker.interpreter()
    }

    @Test func boundMemoryIsTheTensor() throws {
        let interpreter = try absModel()
        let (x, y) = (CallerMemory(floats: 6), CallerMemory(floats: 6))
        x.values = [-1, 2, -3, 4, -5, 6]
        try interpreter.bindInput(0, x.base, byteCount: x.count)
        try interpreter.bindOutput(0, y.base, byteCount: y.count)
        #expect(try interpreter.inputTensor(0).data == x.base)
        #expect(try interpreter.outputTensor(0).data == y.base)
        #expect(try interpreter.inputBinding(0) == 1)
        #expect(try interpreter.outputBinding(0) == 1)
        try interpreter.invoke()
        #expect(y.values == [1, 2, 3, 4, 5, 6])
        #expect(x.values == [-1, 2, -3, 4, -5, 6])

        let other = CallerMemory(floats: 6)
        try interpreter.bindOutput(0, other.base, byteCount: other.count)
        x.values[0] = -7
        try interpreter.invoke()
        #expect(other.values[0] == 7)
        #expect(y.values[0] == 1)

        try interpreter.bindInput(0, nil, byteCount: 0)
        try interpreter.bindOutput(0, nil, byteCount: 0)
        #expect(try interpreter.inputBinding(0) == 0)
        try interpreter.inputTensor(0).fill([-9, 0, 0, 0, 0, 0])
        try interpreter.invoke()
        #expect(try interpreter.outputTensor(0).floats[0] == 9)
        #expect(other.values[0] == 7)
    }

    @Test(arguments: [1, 2, 4, 12])
    func memoryThatIsNotAligned(offset: Int) throws {
        let interpreter = try absModel()
        let (x, y) = (CallerMemory(floats: 6, offset: offset), CallerMemory(floats: 6, offset: offset))
        x.values = [-1, 2, -3, 4, -5, 6]
        try interpreter.bindInput(0, x.base, byteCount: x.count)
        try interpreter.bindOutput(0, y.base, byteCount: y.count)
        let expected: Int32 = offset % 4 == 0 ? 1 : 2
        #expect(try interpreter.inputBinding(0) == expected)
        #expect(try interpreter.outputBinding(0) == expected)
        try interpreter.invoke()
        #expect(y.values == [1, 2, 3, 4, 5, 6])
    }

    @Test func outputThatOverlapsTheInputIsCopied() throws {
        let interpreter = try absModel()
        let memory = CallerMemory(floats: 6)
        memory.values = [-1, 2, -3, 4, -5, 6]
        try interpreter.bindInput(0, memory.base, byteCount: memory.count)
        try interpreter.bindOutput(0, memory.base, byteCount: memory.count)
        #expect(try interpreter.outputBinding(0) == 2)
        try interpreter.invoke()
        #expect(memory.values == [1, 2, 3, 4, 5, 6])
        // Once the input lies elsewhere the output is direct again.
        let other = CallerMemory(floats: 6)
        try interpreter.bindInput(0, other.base, byteCount: other.count)
        #expect(try interpreter.outputBinding(0) == 1)
    }

    @Test func sizeAndIndexAreChecked() throws {
        let interpreter = try absModel()
        let memory = CallerMemory(floats: 6)
        #expect(throws: Failure.self) { try interpreter.bindInput(0, memory.base, byteCount: 20) }
        #expect(throws: Failure.self) { try interpreter.bindInput(1, memory.base, byteCount: 24) }
        #expect(throws: Failure.self) { try interpreter.bindOutput(-1, memory.base, byteCount: 24) }
        #expect(try interpreter.inputBinding(0) == 0)
    }

    /// Every odd kind of output at once: the input itself, a constant, a view of the input, the same result twice, and a
    /// view of a result that is an output too.
    @Test(arguments: [false, true])
    func oddOutputs(isBound: Bool) throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [4])
        let constant = try maker.constant("c", [2], [Float(5), 6], .float32)
        let shape = try maker.constant("s", [2], [Int32(2), 2], .int32)
        let view = maker.result(.reshape, [x, shape], shape: [2, 2])
        let y = maker.result(.abs, [x], shape: [4])
        let viewOfResult = maker.result(.reshape, [y, shape], shape: [2, 2])
        maker.ends([x], [x, constant, view, y, y, viewOfResult])
        let interpreter = try maker.interpreter()
        let sizes = [4, 2, 4, 4, 4, 4]
        let memories = sizes.map { CallerMemory(floats: $0) }
        if isBound {
            for (index, memory) in memories.enumerated() {
                try interpreter.bindOutput(index, memory.base, byteCount: memory.count)
            }
        }
        let expected: [[Float]] = [
            [-1, 2, -3, 4], [5, 6], [-1, 2, -3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4],
        ]
        try interpreter.inputTensor(0).fill([-1, 2, -3, 4])
        for _ in 0..<2 {
            try interpreter.invoke()
            for index in expected.indices {
                #expect(try interpreter.outputTensor(index).floats == expected[index], "output \(index)")
                if isBound { #expect(memories[index].values == expected[index], "memory \(index)") }
            }
        }
    }

    @Test func bindingsThatFitSurviveAResize() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [2])
        let w = maker.tensor("w", [3])
        maker.ends([x, w], [maker.result(.abs, [x], shape: [2]), maker.result(.abs, [w], shape: [3])])
        let interpreter = try maker.interpreter()
        let (first, second) = (CallerMemory(floats: 2), CallerMemory(floats: 3))
        try interpreter.bindInput(0, first.base, byteCount: first.count)
        try interpreter.bindInput(1, second.base, byteCount: second.count)
        try interpreter.resize([0: [5]])
        #expect(try interpreter.inputBinding(0) == 0)
        #expect(try interpreter.inputBinding(1) == 1)
        #expect(try interpreter.outputTensor(0).info.shape == [5])
    }
}
