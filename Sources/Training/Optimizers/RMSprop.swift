import Kernels

/// RMSprop (Tieleman and Hinton, 2012), with momentum if that is not 0.
enum RMSprop {
    static var definition: OptimizerDefinition {
        OptimizerDefinition(
            name: "rmsprop", weightDecay: 0, decayOfSquares: 0.9, keepsFirst: { $0.momentum != 0 }, keepsSecond: true
        ) { settings, rate, _ in
            .rmsprop(
                rate: rate, rho: settings.decayOfSquares, momentum: settings.momentum, epsilon: settings.epsilon)
        }
    }
}
