import Kernels
import Model

/// REDUCE_MAX and REDUCE_MIN. Quantized input and output share one scale.
enum ReduceExtreme {
    static var maximum: OperatorDefinition { definition(.reduceMax, .maximum) }
    static var minimum: OperatorDefinition { definition(.reduceMin, .minimum) }

    private static func definition(_ code: BuiltinOperator, _ reduction: Reduction) -> OperatorDefinition {
        .reduction(code, maxVersion: 3, quantization: .sameScale) { reducer throws(Failure) in
            switch reducer.input.type {
            case .float32: return reducer.float(reduction)
            case .int8, .uint8, .int16:
                try reducer.requireSameScale()
                return reducer.integer(reduction)
            case .int32, .int64: return reducer.integer(reduction)
            default: throw reducer.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            // Shared among equals.
            let (shape, axes) = (try g.reducedShape(), try g.integers(1))
            let isExtreme = try g.x.compare(.equal, g.y.reshape(shape)).select(g.y.scalar(1), g.y.scalar(0))
            return [try isExtreme * (g.dy.reshape(shape) / isExtreme.sum(axes, keep: true))]
        }
    }
}

/// REDUCE_PROD. Quantized, the reference kernels scale after every factor; the fast form multiplies real numbers.
enum ReduceProduct {
    static var definition: OperatorDefinition {
        .reduction(.reduceProd, maxVersion: 2) { reducer throws(Failure) in
            switch reducer.input.type {
            case .float32 where reducer.op.arithmetic == .reference: return reducer.fold(1 as Float) { $0 * $1 }
            case .float32, .int32, .int64: return reducer.integer(.product)
            case .int8: return try quantized(Int8.self, reducer)
            case .int16: return try quantized(Int16.self, reducer)
            default: throw reducer.op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            // The product of the others: zeros are left out, and counted.
            let (axes, x) = (try g.integers(1), try g.x)
            if axes.isEmpty { return [try g.dy] }
            let (zero, one) = (try x.scalar(0), try x.scalar(1))
            let isZero = try x.compare(.equal, zero)
            let factors = try isZero.select(one, x)
            let product = try factors.apply(
                .reduceProd, x.graph.indices(axes), options: Options(.reducer, [.int(1)]))
            let zeros = try isZero.select(one, zero)
            let hasOtherZeros = try zeros.sum(axes, keep: true).compare(.notEqual, zeros)
            return [try hasOtherZeros.select(zero, product / factors) * g.dy.reshape(g.reducedShape())]
        }
    }

    private static func quantized<T: QuantizedInteger>(_ type: T.Type, _ reducer: Reducer) throws(Failure) -> Kernel {
        guard reducer.input.quantization != nil else { return reducer.fold(1 as T) { $0 &* $1 } }
        let (x, y) = (try reducer.op.affine(reducer.input), try reducer.op.affine(reducer.output))
        guard reducer.op.arithmetic == .reference else {
            let (scale, inverse) = (Double(x.scale), 1 / Double(y.scale))
            return reducer.fold(from: 1.0, { (product, x_: T) in product * (Double(Int32(x_) &- x.zero) * scale) }) {
                let steps = ($0 * inverse).rounded(.toNearestOrEven)
                let stored = steps.isNaN ? 0 : Int32(max(-0x1p30, min(0x1p30, steps)))
                return T(truncatingIfNeeded: y.clamped(stored &+ y.zero))
            }
        }
        let count = max(1, reducer.shape.factor)
        let factor = QuantizedMultiplier(Double(x.scale) / Real.pow(Double(y.scale), 1 / Double(count)))
        // nil: nothing multiplied yet.
        return reducer.fold(
            from: nil as Int32?,
            { (product, stored: T) in
                let value = Int32(stored) &- x.zero
                return product.map { factor.scale(Int64($0) &* Int64(value)) } ?? value
            }
        ) { T(truncatingIfNeeded: y.clamped(factor.scale(Int64($0 ?? 1)) &+ y.zero)) }
    }
}

/// REDUCE_ANY and REDUCE_ALL of booleans, one byte each.
enum ReduceLogical {
    static var any: OperatorDefinition { definition(.reduceAny, .maximum) }
    static var all: OperatorDefinition { definition(.reduceAll, .minimum) }

    private static func definition(_ code: BuiltinOperator, _ reduction: Reduction) -> OperatorDefinition {
        .reduction(code, maxVersion: 1) { reducer throws(Failure) in
            guard reducer.input.type == .bool else { throw reducer.op.unsupportedTypes() }
            let kernel = reducer.integer(reduction)
            return { io throws(Failure) in
                try kernel(io)
                var y = io.output(as: UInt8.self)
                for index in 0..<y.count { y[index] = min(y[index], 1) }
            }
        }
    }
}

/// CUMSUM: sums along one axis. Inputs: tensor, axis. Options: 0 exclusive (an element is not part of its own sum),
/// 1 reverse (from the end).
enum CumulativeSum {
    static var definition: OperatorDefinition {
        OperatorDefinition(.cumsum, maxVersion: 1, shapes: Unary.shapes) { op throws(Failure) in
            let input = try op.input(0)
            try op.requireType(input.type, of: op.output())
            guard let axes = try op.input(1).integers else {
                throw op.unsupported("the axis must be known when the model is compiled")
            }
            guard axes.count == 1, let axis = Reducer.axes(axes, rank: input.rank)?.first else {
                throw op.invalid("axis \(axes.listed) does not fit \(input.described)")
            }
            switch input.type {
            case .float32, .int32, .int64: return kernel(op, input, axis)
            default: throw op.unsupportedTypes()
            }
        }.gradient { g throws(Failure) in
            var options = g.options
            options[1] = .int(options.bool(1) ? 0 : 1)
            return [try g.dy.apply(.cumsum, g.input(1), options: options)]
        }
    }

    private static func kernel(_ op: Preparation, _ input: TensorInfo, _ axis: Int) -> Kernel {
        let sums = RunningSums(
            input.type, outer: input.shape[..<axis].reduce(1, &*), depth: input.shape[axis],
            inner: input.shape[(axis + 1)...].reduce(1, &*), exclusive: op.options.bool(0),
            reverse: op.options.bool(1))
        return { io in
            var y = io.output(as: UInt8.self)
            sums.run(io.input(0), &y, pool: io.pool)
        }
    }
}
