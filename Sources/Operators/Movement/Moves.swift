import Kernels
import Model

/// Kernels of operators that only move elements.
enum Moves {
    /// Input 0 to output 0 by one strided copy.
    static func one(_ copy: StridedCopy) -> Kernel {
        return { io in
            var target = io.output(as: UInt8.self)
            copy.run(from: io.input(0), to: &target, pool: io.pool)
        }
    }

    /// Input `input` to each output by a copy of its own.
    static func scatter(_ copies: [StridedCopy], input: Int = 0) -> Kernel {
        return { io in
            for index in 0..<copies.count {
                var target = io.output(index, as: UInt8.self)
                copies[index].run(from: io.input(input), to: &target, pool: io.pool)
            }
        }
    }

    /// Each input to output 0 by a copy of its own.
    static func gather(_ copies: [StridedCopy]) -> Kernel {
        return { io in
            var target = io.output(as: UInt8.self)
            for index in 0..<copies.count { copies[index].run(from: io.input(index), to: &target, pool: io.pool) }
        }
    }

    /// Input 0 to output 0 unchanged; nothing at all where both are the same memory.
    static func same(_ op: Preparation) throws(Failure) -> Kernel {
        let (input, output) = (try op.input(0), try op.output())
        guard input.type == output.type, input.count == output.count else {
            throw op.invalid("\(output.described) must have the type and the size of \(input.described)")
        }
        return { io in
            var target = io.output(as: UInt8.self)
            copyBytes(from: io.input(0), to: &target)
        }
    }
}

extension Preparation {
    /// Refuses a result of more than `IndexedCopy` has tables for.
    func requireIndexed(_ shape: [Int]) throws(Failure) {
        guard shape.allSatisfy({ $0 <= IndexedCopy.mostIndices }) else {
            throw invalid("\(shape.listed): no dimension above \(IndexedCopy.mostIndices) can be made")
        }
    }
}
