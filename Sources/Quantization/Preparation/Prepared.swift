import Model

extension Model {
    /// The model as the quantizers want it: float16 and sparse constants back in dense float32, batch normalization
    /// folded into weights, activations fused into the operators before them. Computes the same up to float rounding; FAKE_QUANT becomes the
    /// range of its tensor.
    package func preparedForQuantization() throws(Failure) -> Model {
        var model = self
        try model.foldConstants()
        model.takeFakeQuantization()
        try model.foldBatchNormalization()
        model.fuseActivations()
        return model.compacted()
    }
}

/// The operators that compute a linear map of input and weights, plus a bias, for each channel of the last dimension.
package struct LinearOperator {
    package let input: Int
    package let weights: Int
    package let bias: Int
    /// Dimension of the output channels in the weights.
    package let channelDimension: Int

    package init?(_ code: BuiltinOperator) {
        switch code {
        case .conv2D, .fullyConnected: self.init(input: 0, weights: 1, bias: 2, channelDimension: 0)
        case .depthwiseConv2D: self.init(input: 0, weights: 1, bias: 2, channelDimension: 3)
        case .transposeConv: self.init(input: 2, weights: 1, bias: 3, channelDimension: 0)
        default: return nil
        }
    }

    private init(input: Int, weights: Int, bias: Int, channelDimension: Int) {
        self.input = input
        self.weights = weights
        self.bias = bias
        self.channelDimension = channelDimension
    }
}

extension Operator {
    /// The fused activation; nil if this operator cannot have one.
    package func activation(_ code: BuiltinOperator) -> FusedActivation? {
        FusedActivation.place(in: code).map { options.table == $0.table ? options.activation($0.field) : .none }
    }

    package mutating func setActivation(_ activation: FusedActivation, _ code: BuiltinOperator) {
        guard let place = FusedActivation.place(in: code) else { return }
        set(place.field, of: place.table, to: .int(Int64(activation.rawValue)))
    }

    /// Sets an option; an operator without options gets the table first.
    package mutating func set(_ field: Int, of table: OptionTable, to value: OptionValue) {
        if options.table != table { options = Options(table) }
        options[field] = value
    }
}
