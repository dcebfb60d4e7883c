import Kernels
import Model

/// BROADCAST_ARGS: the shape that two shapes broadcast to.
enum BroadcastArgs {
    static var definition: OperatorDefinition {
        OperatorDefinition(.broadcastArgs, maxVersion: 1) { op throws(Failure) in
            [[max(try op.input(0).count, try op.input(1).count)]]
        } prepare: { op throws(Failure) in
            let (a, b) = (try op.input(0), try op.input(1))
            let rank = max(a.count, b.count)
            try op.output(shape: [rank], like: a)
            guard a.type == b.type, a.type == .int32 || a.type == .int64 else { throw op.unsupportedTypes() }
            let width = a.type == .int32 ? 4 : 8
            let (startA, startB) = (rank - a.count, rank - b.count)
            let name = op.name
            return { io throws(Failure) in
                var y = io.output(as: UInt8.self)
                for d in 0..<rank {
                    let x = d < startA ? 1 : loadInteger(io.input(0), d - startA, width: width)
                    let z = d < startB ? 1 : loadInteger(io.input(1), d - startB, width: width)
                    guard x == z || x == 1 || z == 1 else {
                        throw .execution("\(name): dimension \(d) is \(x) and \(z), which do not broadcast")
                    }
                    storeInteger(x == 1 ? z : x, &y, d, width: width)
                }
            }
        }
    }
}
