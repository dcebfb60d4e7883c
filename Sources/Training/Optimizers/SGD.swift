import Kernels

/// Stochastic gradient descent, with momentum (Polyak, 1964; Sutskever et al., 2013) if that is not 0.
enum SGD {
    static var definition: OptimizerDefinition {
        OptimizerDefinition(
            name: "sgd", weightDecay: 0, decayOfSquares: 0, keepsFirst: { $0.momentum != 0 }, keepsSecond: false
        ) { settings, rate, _ in
            .sgd(rate: rate, momentum: settings.momentum, isNesterov: settings.isNesterov)
        }
    }
}
