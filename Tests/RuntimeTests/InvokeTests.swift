import CEdgeOpt
import Foundation
import Kernels
import Model
import Testing

@testable import Runtime

struct InvokeTests {
    private func chain(_ length: Int, elements: Int) throws -> ModelMaker {
        var maker = ModelMaker()
        let x = maker.tensor("x", [elements])
        var last = x
        for _ in 0..<length { last = maker.result(.exp, [last], shape: [elements]) }
        maker.ends([x], [last])
        return maker
    }

    @Test func cancellingBeforehandStopsTheNextInvokeOnly() throws {
        let interpreter = try chain(1, elements: 4).interpreter()
        interpreter.cancel()
        do {
            try interpreter.invoke()
            Issue.record("was not cancelled")
        } catch { #expect(error.status == EO_CANCELLED) }
        try interpreter.invoke()
    }

    @Test func cancellingFromAnotherThreadStopsARunningInvoke() throws {
        let interpreter = Shared(try chain(50, elements: 4).interpreter())
        var steps = 0
        do {
            // The first step does not end before the other thread has cancelled.
            try interpreter.value.invoke { _, _ in
                steps += 1
                guard steps == 1 else { return }
                let done = DispatchSemaphore(value: 0)
                Thread.detachNewThread {
                    interpreter.value.cancel()
                    done.signal()
                }
                done.wait()
            }
            Issue.record("was not cancelled")
        } catch { #expect(error.status == EO_CANCELLED) }
        #expect(steps == 1)
    }

    struct Shared: @unchecked Sendable {
        let value: Interpreter
        init(_ value: Interpreter) { self.value = value }
    }

    @Test func profileCountsCallsAndTime() throws {
        var options = Interpreter.Options()
        options.isProfiled = true
        let interpreter = try chain(2, elements: 100).interpreter(options)
        for _ in 0..<3 { try interpreter.invoke() }
        #expect(try interpreter.report(1).calls == 3)
        #expect(try interpreter.report(0).nanoseconds > 0)
        interpreter.setProfile(false)
        try interpreter.invoke()
        #expect(try interpreter.report(0).calls == 0)
    }

    @Test func threadCountCanChange() throws {
        let interpreter = try chain(3, elements: 50_000).interpreter()
        let memory = CallerMemory(floats: 50_000)
        try interpreter.bindOutput(0, memory.base, byteCount: memory.count)
        try interpreter.invoke()
        let expected = memory.values
        for count in [3, 2, 1] {
            try interpreter.setThreadCount(count)
            #expect(interpreter.threadCount == count)
            #expect(try interpreter.outputBinding(0) == 1)
            memory.values = [Float](repeating: 0, count: 50_000)
            try interpreter.invoke()
            #expect(memory.values == expected)
        }
    }

    /// The new shape is computed by the graph: the second half can only be planned at invoke.
    private func dynamicReshape() throws -> ModelMaker {
        var maker = ModelMaker()
        let x = maker.tensor("x", [2, 6])
        let wanted = maker.tensor("wanted", [2], .int32)
        let first = maker.result(.abs, [x], shape: [2, 6])
        let reshaped = maker.result(.reshape, [first, wanted], shape: [1, 1])
        let last = maker.result(.exp, [reshaped], shape: [1, 1])
        maker.ends([x, wanted], [last, reshaped, first])
        return maker
    }

    @Test func shapesThatDependOnValues() throws {
        let interpreter = try dynamicReshape().interpreter()
        #expect(try interpreter.outputTensor(0).byteCount == 0)
        #expect(try interpreter.outputTensor(0).data == nil)
        let memory = CallerMemory(floats: 12)
        #expect(throws: Failure.self) { try interpreter.bindOutput(0, memory.base, byteCount: 48) }
        try interpreter.bindOutput(2, memory.base, byteCount: 48)
        for shape in [[3, 4], [3, 4], [12, 1], [-1, 2]] {
            let values = (0..<12).map { Float($0) - 6 }
            try interpreter.inputTensor(0).fill(values)
            try interpreter.inputTensor(1).data?.copyMemory(from: shape.map { Int32($0) }, byteCount: 8)
            try interpreter.invoke()
            #expect(try interpreter.outputTensor(0).info.shape == (shape[0] < 0 ? [6, 2] : shape))
            #expect(try interpreter.outputTensor(1).floats == values.map { abs($0) })
            #expect(memory.values == values.map { abs($0) })
        }
        // A shape that cannot be is a failure, and the next good one runs again.
        try interpreter.inputTensor(1).data?.copyMemory(from: [Int32(5), 5], byteCount: 8)
        #expect(throws: Failure.self) { try interpreter.invoke() }
        try interpreter.inputTensor(1).data?.copyMemory(from: [Int32(4), 3], byteCount: 8)
        try interpreter.invoke()
        #expect(try interpreter.outputTensor(0).info.shape == [4, 3])
    }
}
