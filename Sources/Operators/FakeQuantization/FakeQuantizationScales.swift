import Kernels
import Model

/// edgeopt.range_parameters: the scale and the zero point, one number each, that spread a range (least and largest
/// value; zero is added to it) over the stored numbers.
package enum RangeParameters {
    package static let name = "edgeopt.range_parameters"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { _ throws(Failure) in
            [[1], [1]]
        } prepare: { op throws(Failure) in
            try op.require(0, count: 2)
            let settings = try FakeQuantizationSettings(op)
            guard try op.input(0).type == .float32, op.outputs.count == 2 else { throw op.unsupportedTypes() }
            return { io in
                let range = io.input(0, as: Float.self)
                let (scale, zeroPoint) = affineParameters(
                    min: min(range[0], 0), max: max(range[1], 0), low: Float(settings.low), high: Float(settings.high),
                    isSymmetric: settings.isSymmetric)
                var scales = io.output(0, as: Float.self)
                var zeroPoints = io.output(1, as: Float.self)
                scales[0] = scale
                zeroPoints[0] = zeroPoint
            }
        }
    }
}

/// edgeopt.weight_scales: the scales, one or one for each channel, that let the largest magnitude of a channel be the
/// largest stored number.
package enum WeightScales {
    package static let name = "edgeopt.weight_scales"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { op throws(Failure) in
            let settings = try FakeQuantizationSettings(op)
            return [[ChannelLayout(try op.input(0).shape, dimension: settings.dimension).channels]]
        } prepare: { op throws(Failure) in
            let inputs = try FakeQuantizationInputs(op)
            let (quantization, steps) = (FakeQuantization(inputs.layout), Float(inputs.settings.high))
            return { io in
                var scales = io.output(as: Float.self)
                quantization.symmetricScales(io.input(0), &scales, steps: steps)
            }
        }
        .gradient { _ throws(Failure) in [nil] }
    }
}
