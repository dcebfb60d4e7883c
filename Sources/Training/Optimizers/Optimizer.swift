import Kernels
import Model

/// What an optimizer is called in the C API; raw values are those of `eo_optimizer`.
package enum OptimizerKind: UInt32, Sendable { case sgd = 0, adam, adamW, rmsprop }

/// How parameters follow their gradients, with the names and defaults of Keras.
package struct OptimizerSettings: Sendable {
    package var kind = OptimizerKind.adam
    /// SGD and RMSprop: share of the last step kept.
    package var momentum: Float = 0
    /// SGD: the momentum of Nesterov.
    package var isNesterov = false
    /// Adam: share of the old moving averages of the gradient and of its square; RMSprop's rho is `beta2`.
    package var beta1: Float = 0.9
    /// nil: 0.999, RMSprop 0.9.
    package var beta2: Float?
    package var epsilon: Float = 1e-7
    /// Every step takes `learning rate * weightDecay` of each parameter away, apart from its gradient (Loshchilov and
    /// Hutter, 2019). nil: 0.004 for AdamW, 0 for the others.
    package var weightDecay: Float?
    /// Name patterns of parameters that do not decay.
    package var withoutDecay: [String] = []
    /// Bounds of each element of a gradient, of a parameter's gradient's length, and of the length of all gradients
    /// together. At most one of them; 0: none.
    package var clipValue: Float = 0
    package var clipNorm: Float = 0
    package var clipGlobalNorm: Float = 0
    /// Share of the old moving average of the parameters; 0: none is kept.
    package var averaging: Float = 0

    package init() {}

    /// Throws for numbers no optimizer can use.
    package func validate() throws(Failure) {
        try require(momentum >= 0 && momentum < 1, "momentum", momentum, "0 or more and below 1")
        try require(beta1 >= 0 && beta1 < 1, "beta1", beta1, "0 or more and below 1")
        try require(decayOfSquares >= 0 && decayOfSquares < 1, "beta2", decayOfSquares, "0 or more and below 1")
        try require(epsilon > 0 && epsilon.isFinite, "epsilon", epsilon, "above 0")
        try require(decay >= 0 && decay.isFinite, "weight decay", decay, "0 or more")
        try require(clipValue >= 0 && clipValue.isFinite, "clip value", clipValue, "0 or more")
        try require(clipNorm >= 0 && clipNorm.isFinite, "clip norm", clipNorm, "0 or more")
        try require(clipGlobalNorm >= 0 && clipGlobalNorm.isFinite, "clip global norm", clipGlobalNorm, "0 or more")
        try require(averaging >= 0 && averaging < 1, "averaging of weights", averaging, "0 or more and below 1")
        guard [clipValue, clipNorm, clipGlobalNorm].filter({ $0 > 0 }).count <= 1 else {
            throw .invalidArgument("gradients can be clipped by value, by norm or by global norm, not by several")
        }
    }

    private func require(_ isFine: Bool, _ name: String, _ value: Float, _ range: String) throws(Failure) {
        if !isFine { throw .invalidArgument("\(name) is \(value), it must be \(range)") }
    }

    var definition: OptimizerDefinition { OptimizerDefinition.of(kind) }
    var decay: Float { weightDecay ?? definition.weightDecay }
    var decayOfSquares: Float { beta2 ?? definition.decayOfSquares }
}

/// One optimizer. Each file of this folder makes one; `of` lists them.
struct OptimizerDefinition: Sendable {
    let name: String
    let weightDecay: Float
    let decayOfSquares: Float
    /// What it keeps of each parameter: the velocity or average of the gradient, the average of the square.
    let keepsFirst: @Sendable (OptimizerSettings) -> Bool
    let keepsSecond: Bool
    /// The update of step `step` (from 1).
    let update: @Sendable (OptimizerSettings, _ rate: Float, _ step: Int) -> ParameterUpdate

    static func of(_ kind: OptimizerKind) -> OptimizerDefinition {
        switch kind {
        case .sgd: SGD.definition
        case .adam: Adam.definition
        case .adamW: Adam.decoupled
        case .rmsprop: RMSprop.definition
        }
    }
}
