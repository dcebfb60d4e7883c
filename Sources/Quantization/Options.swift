import CEdgeOpt
import Model

/// How a model is made smaller; raw values are eo_scheme's.
package enum Scheme: UInt32, Sendable {
    /// Weights as float16.
    case float16 = 0
    /// Weights as int8, activations float.
    case dynamicRange = 1
    /// Weights and activations int8.
    case int8 = 2
    /// Weights int8, activations int16.
    case int16x8 = 3

    package var name: String {
        switch self {
        case .float16: "float16"
        case .dynamicRange: "dynamic range"
        case .int8: "int8"
        case .int16x8: "int16x8"
        }
    }

    package var needsCalibration: Bool { self == .int8 || self == .int16x8 }

    /// The type of quantized activations.
    var activationType: TensorType { self == .int16x8 ? .int16 : .int8 }
}

/// How the ranges of several samples become one; raw values are eo_calibration's.
package enum CalibrationMethod: UInt32, Sendable {
    case minMax = 0
    case movingAverage = 1
}

package struct QuantizerOptions {
    package var scheme = Scheme.int8
    package var perTensorWeights = false
    /// Of the integer schemes, 2 to 16. Layers with more than 8 compute in float.
    package var weightBits = 8
    /// Of the integer schemes: 4 to 8, with int16 activations to 16; nil: all.
    package var activationBits: Int?
    /// Exceptions for some operators, for the integer schemes; later ones win.
    package var layers: [LayerRule] = []
    package var inputType = TensorType.float32
    package var outputType = TensorType.float32
    package var calibration = CalibrationMethod.minMax
    /// Share of the old range that the moving average keeps.
    package var movingAverage: Float = 0.9
    package var minWeightElements = 1024
    package var threadCount = 1
    /// Told what is worth knowing: operators that stay float, values out of range.
    package var log: (String) -> Void = { _ in }

    package init() {}

    /// Refuses what does not go together.
    func validate() throws(Failure) {
        try check(inputType, "input")
        try check(outputType, "output")
        guard movingAverage >= 0, movingAverage < 1 else {
            throw .invalidArgument("moving_average is \(movingAverage): expected a number from 0 up to, without, 1")
        }
        guard minWeightElements >= 0 else {
            throw .invalidArgument("min_weight_elements is \(minWeightElements): expected a number from 0")
        }
        try checkBits(weightBits, activationBits, "")
        for rule in layers { try checkBits(rule.weightBits, rule.activationBits, " of the layers '\(rule.pattern)'") }
    }

    private func checkBits(_ weights: Int?, _ activations: Int?, _ place: String) throws(Failure) {
        if let weights, !(2...16).contains(weights) {
            throw .invalidArgument("weight_bits\(place) is \(weights): expected a number from 2 to 16")
        }
        let most = scheme == .int16x8 ? 16 : 8
        if let activations, !(4...most).contains(activations) {
            throw .invalidArgument("activation_bits\(place) is \(activations): expected a number from 4 to \(most)")
        }
    }

    /// What the rules say about an operator.
    func rule(for op: Operator, _ code: OperatorCode, in graph: Subgraph) -> LayerRule {
        var merged = LayerRule("")
        for rule in layers where rule.applies(to: op, code, in: graph) {
            merged.isFloat = rule.isFloat ?? merged.isFloat
            merged.weightBits = rule.weightBits ?? merged.weightBits
            merged.activationBits = rule.activationBits ?? merged.activationBits
            merged.perTensorWeights = rule.perTensorWeights ?? merged.perTensorWeights
            merged.learnsWeightScales = rule.learnsWeightScales ?? merged.learnsWeightScales
        }
        return merged
    }

    private func check(_ type: TensorType, _ what: String) throws(Failure) {
        let isAllowed =
            switch (scheme, type) {
            case (_, .float32), (.int8, .int8), (.int8, .uint8), (.int16x8, .int16): true
            default: false
            }
        guard !isAllowed else { return }
        let others =
            switch scheme {
            case .float16, .dynamicRange: ""
            case .int8: ", INT8 or UINT8"
            case .int16x8: " or INT16"
            }
        throw .invalidArgument(
            "\(what) type \(type.name) does not go with scheme \(scheme.name): expected FLOAT32\(others)")
    }
}
