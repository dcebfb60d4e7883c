import Kernels
import Model

/// COMPLEX_ABS: |x|.
enum ComplexAbs {
    static var definition: OperatorDefinition {
        OperatorDefinition(.complexAbs, maxVersion: 1) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            let (input, output) = (try op.input(0), try op.output())
            guard output.shape == input.shape else { throw op.invalid("\(output.described) for \(input.described)") }
            switch (input.type, output.type) {
            case (.complex64, .float32):
                return { io in
                    let x = io.input(0, as: Float.self)
                    var y = io.output(as: Float.self)
                    // In double precision neither square overflows or vanishes.
                    for i in 0..<y.count {
                        let (a, b) = (Double(x[2 &* i]), Double(x[2 &* i &+ 1]))
                        y[i] = Float((a * a + b * b).squareRoot())
                    }
                }
            case (.complex128, .float64):
                return { io in
                    let x = io.input(0, as: Double.self)
                    var y = io.output(as: Double.self)
                    for i in 0..<y.count {
                        let (a, b) = (abs(x[2 &* i]), abs(x[2 &* i &+ 1]))
                        let (large, small) = (max(a, b), min(a, b))
                        let ratio = large == 0 || large.isInfinite ? 0 : small / large
                        y[i] = large * (1 + ratio * ratio).squareRoot()
                    }
                }
            default: throw op.unsupportedTypes()
            }
        }
    }
}
