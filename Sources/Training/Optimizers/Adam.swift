import Kernels

/// Adam (Kingma and Ba, 2015); AdamW is the same with weight decay by default (Loshchilov and Hutter, 2019).
enum Adam {
    static var definition: OptimizerDefinition { make("adam", weightDecay: 0) }
    static var decoupled: OptimizerDefinition { make("adamw", weightDecay: 0.004) }

    private static func make(_ name: String, weightDecay: Float) -> OptimizerDefinition {
        OptimizerDefinition(
            name: name, weightDecay: weightDecay, decayOfSquares: 0.999, keepsFirst: { _ in true }, keepsSecond: true
        ) { settings, rate, step in
            // The averages begin at 0: the learning rate makes up for that (end of section 2 of the paper).
            let unseen1 = Real.pow(Double(settings.beta1), Double(step))
            let unseen2 = Real.pow(Double(settings.decayOfSquares), Double(step))
            let corrected = Double(rate) * (1 - unseen2).squareRoot() / (1 - unseen1)
            return .adam(
                rate: Float(corrected), beta1: settings.beta1, beta2: settings.decayOfSquares,
                epsilon: settings.epsilon)
        }
    }
}
