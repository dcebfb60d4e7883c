import Kernels
import Model

/// The internal operator of sigmoid cross-entropy: y = log(1 + exp(x)), whose derivative is the logistic function.
enum Softplus {
    static let name = "edgeopt.softplus"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1, inPlace: true) { op throws(Failure) in
            [try op.input(0).shape]
        } prepare: { op throws(Failure) in
            guard try op.input(0).type == .float32, try op.output().type == .float32 else {
                throw op.unsupportedTypes()
            }
            return { io in
                let x = io.input(0, as: Float.self)
                var y = io.output(as: Float.self)
                for i in 0..<min(x.count, y.count) { y[i] = max(x[i], 0) + Real.log1p(Real.exp(-abs(x[i]))) }
            }
        }.gradient { g throws(Failure) in [try g.dy * g.x.apply(.logistic)] }
    }
}
