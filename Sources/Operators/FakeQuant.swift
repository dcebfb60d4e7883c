import Kernels
import Model

/// FAKE_QUANT: float values clamped to a range and rounded to its 2^bits numbers, of which 0 is one (Jacob et al., 2018,
/// section 3).
enum FakeQuant {
    static var definition: OperatorDefinition {
        OperatorDefinition(.fakeQuant, maxVersion: 2) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            guard input.type == .float32 else { throw op.unsupportedTypes() }
            try op.output(shape: input.shape, like: input)
            let (least, most, bits) = (op.options.float(0), op.options.float(1), op.options.int(2))
            guard (2...16).contains(bits), least <= 0, most >= 0, most > least, (most - least).isFinite else {
                throw op.invalid("\(bits) bits from \(least) to \(most): expected 2 to 16 bits around 0")
            }
            let first: Float = op.options.bool(3) ? 1 : 0
            let last = Float(1 << bits - 1)
            let scale = (most - least) / (last - first)
            let zero = min(max((first - least / scale).rounded(.toNearestOrAwayFromZero), first), last)
            let (bottom, top) = ((first - zero) * scale, (last - zero) * scale)
            return { io in
                let x = io.input(0, as: Float.self)
                var y = io.output(as: Float.self)
                for index in 0..<y.count {
                    let steps = ((min(max(x[index], bottom), top) - bottom) / scale + 0.5).rounded(.down)
                    y[index] = steps * scale + bottom
                }
            }
        }
    }
}
