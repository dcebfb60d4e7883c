import Compression
import Kernels
import Model

/// A tensor that is trained, with everything the trainer keeps for it. One thread at a time.
final class TrainedParameter {
    let name: String
    /// In the main subgraph.
    let tensor: Int
    let shape: [Int]
    let decays: Bool
    let constraint: (any ParameterConstraint)?
    /// What the optimizer moves.
    let trained: FloatMemory
    /// What the graph reads: the same memory, unless a constraint stands between the two.
    let used: FloatMemory
    let gradient: FloatMemory
    /// The optimizer's own; empty where it has none.
    let first: FloatMemory
    let second: FloatMemory
    /// The moving average of `trained`; empty without one.
    let average: FloatMemory
    /// What evaluation reads: made of the average, or else `used`.
    let evaluated: FloatMemory

    private init(
        _ tensor: Int, _ description: Tensor, decays: Bool, _ constraint: (any ParameterConstraint)?,
        _ memories: Memories
    ) {
        name = description.name
        self.tensor = tensor
        shape = description.shape
        self.decays = decays
        self.constraint = constraint
        trained = memories.trained
        used = memories.used
        gradient = memories.gradient
        first = memories.first
        second = memories.second
        average = memories.average
        evaluated = memories.evaluated
    }

    private struct Memories {
        let trained, used, gradient, first, second, average, evaluated: FloatMemory
    }

    static func make(
        _ tensor: Int, _ description: Tensor, _ weights: [Float], _ settings: OptimizerSettings, decays: Bool,
        _ constraint: (any ParameterConstraint)?
    ) throws(Failure) -> TrainedParameter {
        if let constraint, constraint.usedCount != weights.count || constraint.trainedCount < weights.count {
            throw .invalidArgument(
                "the constraint of parameter '\(description.name)' is for \(constraint.usedCount) values, not for"
                    + " \(weights.count)")
        }
        let start = constraint?.start(weights) ?? weights
        let trained = try FloatMemory.make(start)
        let used = constraint == nil ? trained : try FloatMemory.make(weights)
        let averages = settings.averaging > 0
        let memories = Memories(
            trained: trained, used: used, gradient: try FloatMemory.make(start.count),
            first: try FloatMemory.make(settings.definition.keepsFirst(settings) ? start.count : 0),
            second: try FloatMemory.make(settings.definition.keepsSecond ? start.count : 0),
            average: try FloatMemory.make(averages ? start : []),
            evaluated: averages ? try FloatMemory.make(weights) : used)
        return TrainedParameter(tensor, description, decays: decays, constraint, memories)
    }

    /// What constraints that depend on one another look at before `use`, or before `evaluate` with averages.
    func survey(step: Int, averaged: Bool = false) {
        let memory = averaged && average.count > 0 ? average : trained
        constraint?.survey(memory.span, step: step)
    }

    /// Makes what the graph reads in step `step`.
    func use(step: Int) {
        if let constraint { Self.use(constraint, trained, used, step) }
    }

    /// Makes what evaluation reads.
    func evaluate(step: Int) {
        guard average.count > 0 else { return use(step: step) }
        guard let constraint else { return evaluated.copy(average) }
        Self.use(constraint, average, evaluated, step)
    }

    private static func use(
        _ constraint: any ParameterConstraint, _ trained: FloatMemory, _ used: FloatMemory, _ step: Int
    ) {
        var values = used.mutableSpan
        constraint.use(trained.span, into: &values, step: step)
    }

    /// Adds the gradient of a part of a batch, or begins with it; the whole batch's may be `gradient` itself.
    func addPart(_ ofPart: FloatMemory, isFirst: Bool) {
        guard ofPart !== gradient else { return }
        if isFirst { return gradient.copy(ofPart) }
        let gradient = gradient
        var sum = gradient.mutableSpan
        ParameterArithmetic.add(ofPart.span, to: &sum)
    }

    /// The values to export.
    func exported(step: Int) -> [Float] {
        evaluate(step: step)
        return constraint?.exported(evaluated.values) ?? evaluated.values
    }

    /// The gradient of what the graph reads becomes that of what the optimizer moves.
    func pullBack() {
        guard let constraint else { return }
        let (trained, gradient) = (trained, gradient)
        var values = gradient.mutableSpan
        constraint.pullBack(&values, trained: trained.span)
    }

    /// The sum of squares of the gradient; not finite if an element is not.
    var gradientSquares: Double {
        let gradient = gradient
        return ParameterArithmetic.sumOfSquares(gradient.span)
    }

    /// Bounds each element of the gradient, or its length, if they are not 0. `norm`: of all gradients together.
    func clip(_ settings: OptimizerSettings, norm: Double) {
        let gradient = gradient
        let own = settings.clipNorm > 0 ? gradientSquares.squareRoot() : norm
        let limit = Double(max(settings.clipNorm, settings.clipGlobalNorm))
        var values = gradient.mutableSpan
        if settings.clipValue > 0 { ParameterArithmetic.clip(&values, to: settings.clipValue) }
        if limit > 0, own > limit { ParameterArithmetic.scale(&values, by: Float(limit / own)) }
    }

    /// One step of the optimizer (from 1).
    func update(_ settings: OptimizerSettings, rate: Float, step: Int, pool: ThreadPool) {
        let (trained, gradient, first, second, average) = (trained, gradient, first, second, average)
        var values = trained.mutableSpan
        if settings.decay > 0, decays { ParameterArithmetic.decay(&values, by: settings.decay * rate) }
        var m = first.mutableSpan
        var v = second.mutableSpan
        settings.definition.update(settings, rate, step).apply(
            to: &values, gradient: gradient.span, m: &m, v: &v, pool: pool)
        constraint?.project(&values)
        guard average.count > 0 else { return }
        var mean = average.mutableSpan
        // The average begins at the values after the first step, and again with new centroids.
        let begins = step == 1 || constraint?.hasBegunAnew == true
        ParameterArithmetic.blend(trained.span, into: &mean, share: begins ? 0 : settings.averaging)
    }

    /// Starts anew from these weights: slots are 0, the average is the weights.
    func reset(_ weights: [Float]) {
        let start = constraint?.start(weights) ?? weights
        trained.set(start)
        used.set(weights)
        average.set(start)
        evaluated.set(weights)
        for slot in [first, second] { slot.set([Float](repeating: 0, count: slot.count)) }
    }
}
