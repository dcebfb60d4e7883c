import Kernels
import Model

/// edgeopt.scatter_add: what GATHER hands back: each slice of dy added to the place it was taken from, in the order of
/// the indices. Inputs are dy and the indices; options are GATHER's.
enum ScatterAdd {
    static let name = "edgeopt.scatter_add"

    static func emit(
        _ dy: Value, _ indices: Value, like x: Value, options: Options
    ) throws(Failure) -> Value {
        try dy.custom(name, indices, shape: x.shape, options: options)
    }

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { op throws(Failure) in
            op.statedOutputShapes
        } prepare: { op throws(Failure) in
            let (dy, indices, output) = (try op.input(0), try op.input(1), try op.output())
            let inference = op.inference
            let batches = op.options.int(1) < 0 ? op.options.int(1) + indices.rank : op.options.int(1)
            let axis = try inference.axis(op.options.int(0), rank: output.rank)
            guard dy.type == .float32, (0...axis).contains(batches), batches <= indices.rank else {
                throw op.unsupportedTypes()
            }
            let batch = output.shape[..<batches].reduce(1, &*)
            let outer = output.shape[batches..<axis].reduce(1, &*)
            let inner = output.shape[(axis + 1)...].reduce(1, &*)
            let (limit, perBatch) = (output.shape[axis], indices.shape[batches...].reduce(1, &*))
            guard batch * outer * perBatch * inner == dy.count else {
                throw op.invalid("\(dy.described) is no gradient of values taken from \(output.described)")
            }
            func kernel<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) -> Kernel {
                { io throws(Failure) in
                    let (dy, indices) = (io.input(0, as: Float.self), io.input(1, as: T.self))
                    var dx = io.output(as: Float.self)
                    for index in 0..<dx.count { dx[index] = 0 }
                    for row in 0..<(batch * outer) {
                        for place in 0..<perBatch {
                            let index = Int(truncatingIfNeeded: indices[row / outer * perBatch + place])
                            // GATHER refused it already; here nothing is added.
                            guard index >= 0, index < limit else { continue }
                            let (from, to) = ((row * perBatch + place) * inner, (row * limit + index) * inner)
                            var target = dx._mutatingExtracting(to..<(to + inner))
                            Elementwise.accumulate(dy.extracting(from..<(from + inner)), &target)
                        }
                    }
                }
            }
            switch indices.type {
            case .int32: return kernel(Int32.self)
            case .int64: return kernel(Int64.self)
            case .int16: return kernel(Int16.self)
            default: throw op.unsupportedTypes()
            }
        }
    }
}
