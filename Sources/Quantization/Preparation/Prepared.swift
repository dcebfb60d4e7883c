import Model

extension Model {
    /// The model as the quantizers want it: float16 and sparse constants back in dense float32, batch normalization
    /// folded into weights, activations fused into the operators before them. Computes the same up to float rounding.
    func preparedForQuantization() throws(Failure) -> Model {
        var model = self
        try model.foldConstants()
        try model.foldBatchNormalization()
        model.fuseActivations()
        return model.compacted()
    }
}

/// The operators that compute a linear map of input and weights, plus a bias, for each channel of the last dimension.
struct LinearOperator {
    let weights: Int
    let bias: Int
    /// Dimension of the output channels in the weights.
    let channelDimension: Int

    init?(_ code: BuiltinOperator) {
        switch code {
        case .conv2D, .fullyConnected: self.init(weights: 1, bias: 2, channelDimension: 0)
        case .depthwiseConv2D: self.init(weights: 1, bias: 2, channelDimension: 3)
        case .transposeConv: self.init(weights: 1, bias: 3, channelDimension: 0)
        default: return nil
        }
    }

    private init(weights: Int, bias: Int, channelDimension: Int) {
        self.weights = weights
        self.bias = bias
        self.channelDimension = channelDimension
    }
}

/// Activation functions an operator can apply to its result; raw values are the schema's.
enum FusedActivation: Int {
    case none = 0, relu, reluN1To1, relu6

    /// The activation that this operator is.
    init?(_ code: BuiltinOperator) {
        switch code {
        case .relu: self = .relu
        case .reluN1To1: self = .reluN1To1
        case .relu6: self = .relu6
        default: return nil
        }
    }

    /// Where an operator keeps its fused activation: option table and field. nil: it has none.
    static func place(in code: BuiltinOperator) -> (table: OptionTable, field: Int)? {
        switch code {
        case .conv2D: (OptionTable(rawValue: 1), 3)
        case .depthwiseConv2D: (OptionTable(rawValue: 2), 4)
        case .averagePool2D, .maxPool2D: (OptionTable(rawValue: 5), 5)
        case .fullyConnected: (OptionTable(rawValue: 8), 0)
        case .add: (OptionTable(rawValue: 11), 0)
        case .mul: (OptionTable(rawValue: 21), 0)
        case .sub: (OptionTable(rawValue: 28), 0)
        case .div: (OptionTable(rawValue: 29), 0)
        case .transposeConv: (OptionTable(rawValue: 49), 3)
        default: nil
        }
    }
}

extension Operator {
    /// The fused activation as the schema numbers it; nil if this operator cannot have one.
    func activation(_ code: BuiltinOperator) -> Int? {
        guard let place = FusedActivation.place(in: code) else { return nil }
        return options.table == place.table ? options.int(place.field) : 0
    }

    mutating func setActivation(_ activation: Int, _ code: BuiltinOperator) {
        guard let place = FusedActivation.place(in: code) else { return }
        if options.table != place.table { options = Options(place.table) }
        options[field: place.field] = .int(Int64(activation))
    }
}
