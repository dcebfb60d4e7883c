import CEdgeOpt
import Model
import Quantization

/// How a model is trained to be quantized.
package struct QuantizationAwareOptions {
    /// What is exported: an integer scheme, bits, rules for single layers, types of inputs and outputs.
    package var quantizer = QuantizerOptions()
    /// How the ranges of activations come about, starting from calibration.
    package var ranges = RangeMethod.movingAverage(momentum: 0.99)
    /// Ranges stay as they are from this step on; nil: they always follow.
    package var freezeStep: Int?
    package init() {}

    func validate() throws(Failure) {
        if case .movingAverage(let momentum) = ranges, !(momentum >= 0 && momentum < 1) {
            throw .invalidArgument("the momentum of ranges is \(momentum): expected a number from 0 up to, without, 1")
        }
        guard quantizer.scheme.needsCalibration else {
            throw .invalidArgument(
                "quantization-aware training is for integer schemes, not for \(quantizer.scheme.name)")
        }
        guard freezeStep ?? 0 >= 0 else {
            throw .invalidArgument("freeze_step is \(freezeStep ?? 0): it must be from 0")
        }
    }
}

extension TrainingSource {
    /// The source of a training that simulates quantization, and that exports the integer model. `calibration` gives
    /// samples for the ranges to start from, as the bytes of each input of a single sample of the model; nil ends them.
    package static func quantizationAware(
        _ prepared: Model, _ options: QuantizationAwareOptions,
        calibration: () throws(Failure) -> [Bytes]?
    ) throws(Failure) -> TrainingSource {
        try options.validate()
        let quantizer = try Quantizer(prepared, options.quantizer)
        while let sample = try calibration() { try quantizer.calibrate(sample) }
        let simulated = try SimulatedModel(try quantizer.plan(), ranges: options.ranges)
        guard simulated.keepsTensors(of: prepared) else {
            throw .invalidModel("\(prepared.origin): the model was not prepared for training")
        }
        var source = TrainingSource(prepared)
        source.training = simulated.model
        source.evaluation = simulated.model
        source.states.append(QuantizationState(simulated, freezeStep: options.freezeStep))
        return source
    }
}

/// Ranges and learned scales of a simulated quantization in training.
package final class QuantizationState: TrainingState {
    package let simulated: SimulatedModel
    package let states: [Int]
    package let learned: [Int]
    package let observed: [Int]
    private let freezeStep: Int?
    /// The ranges of the parts of a batch so far, by `observed`.
    private var seen: [(least: Float, most: Float)]
    /// Of each state what it observes, as positions in `observed`, and how it follows.
    private let entries: [(observed: Range<Int>, method: RangeMethod)]

    init(_ simulated: SimulatedModel, freezeStep: Int?) {
        self.simulated = simulated
        self.freezeStep = freezeStep
        let ranges = simulated.activations.filter { $0.method != .learned }
        states = ranges.map { $0.state }
        learned =
            simulated.activations.filter { $0.method == .learned }.map { $0.state }
            + simulated.weightScales.map { $0.state }
        observed = ranges.flatMap { $0.observed }
        var entries: [(observed: Range<Int>, method: RangeMethod)] = []
        var next = 0
        for range in ranges {
            entries.append((next..<(next + range.observed.count), range.method))
            next += range.observed.count
        }
        self.entries = entries
        seen = [(least: Float, most: Float)](repeating: (0, 0), count: observed.count)
    }

    /// The gradients of learned scales depend on how many elements there are.
    package var takesParts: Bool { learned.isEmpty }

    package func observe(_ values: borrowing StateValues, isFirst: Bool) {
        for place in seen.indices {
            let range = values.observed(place)
            // Not what is not finite: `update` looks for that.
            seen[place] =
                isFirst
                ? (range[0], range[1]) : (Swift.min(seen[place].least, range[0]), Swift.max(seen[place].most, range[1]))
        }
    }

    package func update(_ values: borrowing StateValues, step: Int) {
        if let freezeStep, step >= freezeStep { return }
        for index in entries.indices where !entries[index].observed.isEmpty {
            var (least, most): (Float, Float) = (0, 0)
            for place in entries[index].observed {
                (least, most) = (min(least, seen[place].least), max(most, seen[place].most))
            }
            guard least.isFinite, most.isFinite else { continue }
            var state = values.state(index)
            (state[0], state[1]) = entries[index].method.joined((state[0], state[1]), (least, most))
        }
    }

    package func export(_ model: Model, _ values: borrowing StateValues) throws(Failure) -> Model {
        try plan(for: model, values).quantized()
    }

    /// What is exported for these weights and the present ranges.
    package func plan(for model: Model, _ values: borrowing StateValues) throws(Failure) -> QuantizationPlan {
        try simulated.plan(for: model) { tensor in numbers(tensor, values) }
    }

    /// The simulation with these weights and the present ranges, as an ordinary model.
    package func simulation(of model: Model, _ values: borrowing StateValues) throws(Failure) -> Model {
        try simulated.model(for: model) { tensor in numbers(tensor, values) }
    }

    private func numbers(_ tensor: Int, _ values: borrowing StateValues) -> [Float] {
        if let index = states.firstIndex(of: tensor) { return values.stateValues(index) }
        if let index = learned.firstIndex(of: tensor) { return values.learnedValues(index) }
        return []
    }
}

extension RangeMethod {
    /// The range after a batch; zero is in both.
    fileprivate func joined(_ old: (Float, Float), _ new: (Float, Float)) -> (Float, Float) {
        switch self {
        case .lastValue: new
        case .movingAverage(let momentum):
            (old.0 * momentum + new.0 * (1 - momentum), old.1 * momentum + new.1 * (1 - momentum))
        case .allValues: (min(old.0, new.0), max(old.1, new.1))
        case .fixed, .learned: old
        }
    }
}

extension Trainer {
    /// The state of a training that simulates quantization; nil: it does not.
    package var quantization: QuantizationState? {
        for state in source.states { if let found = state as? QuantizationState { return found } }
        return nil
    }

    /// Compares the simulation with the integer model that `export` writes, on single samples: the bytes of each input.
    /// Throws `EO_WRONG_STATE` for a training without quantization.
    package func checkExport(_ samples: () throws(Failure) -> [Bytes]?) throws(Failure) -> ExportReport {
        guard let index = source.states.firstIndex(where: { $0 is QuantizationState }),
            let state = source.states[index] as? QuantizationState
        else { throw Failure(EO_WRONG_STATE, "this training does not simulate quantization") }
        var model = try parameterModel()
        for other in 0..<index { model = try source.states[other].export(model, stateValues[other]) }
        let plan = try state.plan(for: model, stateValues[index])
        let simulated = try state.simulation(of: model, stateValues[index]).expandingSequenceLSTMs()
        let check = try ExportCheck(
            plan, simulated: simulated, exported: try plan.quantized(), threadCount: options.threadCount)
        while let sample = try samples() { try check.add(sample) }
        return check.report
    }
}
