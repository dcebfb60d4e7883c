import Kernels
import Model

/// RANGE: start, start + delta, ... up to but not including the limit.
enum RangeOperator {
    static var definition: OperatorDefinition {
        OperatorDefinition(.range, maxVersion: 2) { op throws(Failure) in
            guard let count = try count(op) else { return nil }
            return [[count]]
        } prepare: { op throws(Failure) in
            let count = try op.known(count(op.inference))
            try op.output(shape: [count], like: op.input(0))
            switch try op.input(0).type {
            case .int32: return kernel(Int32.self) { $0 &+ $1 }
            case .int64: return kernel(Int64.self) { $0 &+ $1 }
            default: return kernel(Float.self) { $0 + $1 }
            }
        }
    }

    /// Sums one step at a time, so that float ranges have the rounding of the other runtimes.
    private static func kernel<T: BitwiseCopyable>(_: T.Type, _ add: @escaping @Sendable (T, T) -> T) -> Kernel {
        return { io in
            var value = io.input(0, as: T.self)[0]
            let delta = io.input(2, as: T.self)[0]
            var y = io.output(as: T.self)
            for i in 0..<y.count {
                y[i] = value
                value = add(value, delta)
            }
        }
    }

    /// nil while start, limit and delta are known only at run time.
    private static func count(_ op: ShapeInference) throws(Failure) -> Int? {
        let (start, limit, delta) = (try op.input(0), try op.input(1), try op.input(2))
        guard start.type == limit.type, start.type == delta.type, start.count == 1, limit.count == 1, delta.count == 1
        else {
            throw op.invalid(
                "\(start.described), \(limit.described) and \(delta.described) must be numbers of one type")
        }
        switch start.type {
        case .int32, .int64:
            guard let a = try op.number(0, "start"), let b = try op.number(1, "limit"),
                let d = try op.number(2, "delta")
            else { return nil }
            let (distance, overflow) = b.subtractingReportingOverflow(a)
            guard d != 0, !overflow, distance == 0 || (distance > 0) == (d > 0) else {
                throw op.invalid("no steps of \(d) lead from \(a) to \(b)")
            }
            return try op.checked([Int(clamping: (distance.magnitude &+ d.magnitude &- 1) / d.magnitude)])[0]
        case .float32:
            guard let a = start.constant?.array(of: Float.self).first,
                let b = limit.constant?.array(of: Float.self).first, let d = delta.constant?.array(of: Float.self).first
            else { return nil }
            let steps = ((b - a) / d).rounded(.up)
            guard steps >= 0, steps < 0x1p40 else { throw op.invalid("no steps of \(d) lead from \(a) to \(b)") }
            return Int(steps)
        default: throw op.unsupported("\(start.described)")
        }
    }
}
