/// Raw values are the schema's.
package enum FusedActivation: Int, Sendable {
    case none = 0, relu, reluN1To1, relu6, tanh, signBit

    /// As .tflite tools print it.
    package var name: String {
        switch self {
        case .none: "NONE"
        case .relu: "RELU"
        case .reluN1To1: "RELU_N1_TO_1"
        case .relu6: "RELU6"
        case .tanh: "TANH"
        case .signBit: "SIGN_BIT"
        }
    }
}

extension FusedActivation {
    /// The activation that this operator is.
    package init?(_ code: BuiltinOperator) {
        switch code {
        case .relu: self = .relu
        case .reluN1To1: self = .reluN1To1
        case .relu6: self = .relu6
        default: return nil
        }
    }

    /// Where an operator keeps its fused activation; nil: it has none.
    package static func place(in code: BuiltinOperator) -> (table: OptionTable, field: Int)? {
        switch code {
        case .conv2D: (.conv2D, 3)
        case .depthwiseConv2D: (.depthwiseConv2D, 4)
        case .averagePool2D, .maxPool2D: (.pool2D, 5)
        case .fullyConnected: (.fullyConnected, 0)
        case .add: (.add, 0)
        case .mul: (.mul, 0)
        case .sub: (.sub, 0)
        case .div: (.div, 0)
        case .transposeConv: (.transposeConv, 3)
        default: nil
        }
    }
}
