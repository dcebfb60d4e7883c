import ArgumentParser
import CEdgeOpt

/// What training makes of the weights.
struct TargetSettings: ParsableArguments {
    @Option(help: "Share of zeros to reach, half-way through the training.") var prune: Double?
    @Option(help: ArgumentHelp("Prune blocks.", valueName: "rows x columns")) var block: Pair?
    @Option(help: ArgumentHelp("Prune this many of every so many.", valueName: "zeros:of")) var zerosOf: Pair?
    @Flag(help: "The share is that of all weights together, not of each tensor.") var global = false
    @Flag(help: "Pruned weights can come back.") var regrow = false
    @Option(help: ArgumentHelp("Another share for some layers.", valueName: "pattern=share"))
    var pruneLayer: [LayerOption] = []
    @Option(help: "Number of different values to reach.") var cluster: Int32?
    @Option(help: "Who shares the values, as for cluster.") var granularity = Granularity.scaledChannels
    @Option(help: ArgumentHelp("Another number for some layers.", valueName: "pattern=clusters"))
    var clusterLayer: [LayerOption] = []
    @Flag(help: "Keep the zeros and the clusters that the model has.") var preserve = false
    @Option(help: "Simulate and write integers: int8 or int16x8.") var quantize: Scheme?
    @Option(help: "Bits of quantized weights, 2 to 16.") var weightBits: Int32 = 8
    @Option(help: "Bits of quantized activations, 4 to 8, int16x8 to 16; 0: all.") var activationBits: Int32 = 0
    @Option(help: ArgumentHelp("Other bits for the weights of some layers.", valueName: "pattern=bits"))
    var weightBitsOf: [LayerOption] = []
    @Option(help: ArgumentHelp("Other bits for the results of some layers.", valueName: "pattern=bits"))
    var activationBitsOf: [LayerOption] = []
    @Option(help: ArgumentHelp("Layers that stay float, by name or operator.", valueName: "pattern"))
    var floatLayer: [String] = []
    @Flag(help: "One scale for a weight tensor.") var perTensor = false
    @Option(help: "Ranges of activations: moving_average, last_value, all_values, fixed or learned.")
    var ranges: RangeName = .movingAverage
    @Option(help: "moving_average: the share of the old range kept.") var rangeMomentum: Float = 0.99
    @Option(help: "Epochs after which ranges stay as they are.") var freezeAfter: Int?
    @Flag(help: "Train the scales of the weights, too.") var learnedScales = false
    @Option(help: "Of the quantized model: float32, int8, uint8 or int16.") var inputType: EndType = .float32
    @Option(help: "The same for outputs.") var outputType: EndType = .float32

    func validate() throws {
        if let quantize, !quantize.needsSamples { throw ValidationError("--quantize is int8 or int16x8") }
    }

    /// For a training of so many steps, `epoch` of them in each epoch.
    func targets(steps: Int, epoch: Int) -> Trainer.Targets {
        var targets = Trainer.Targets()
        if let prune {
            var options = eo_pruning_options.usual
            options.sparsity = prune
            options.choose(block, zerosOf)
            options.global = global
            targets.pruning = options
            targets.sparsities = pruneLayer.map(\.rule)
            targets.schedule = .ramp(steps: steps, regrow: regrow)
        }
        if let cluster {
            var options = eo_clustering_options.usual
            (options.clusters, options.granularity) = (cluster, granularity.value)
            targets.clustering = options
            targets.clusters = clusterLayer.map(\.rule)
        }
        (targets.preservesZeros, targets.preservesClusters) = (preserve, preserve)
        guard let quantize else { return targets }
        var options = eo_training_quantization.usual
        options.scheme = quantize.value
        (options.weight_bits, options.activation_bits) = (weightBits, activationBits)
        (options.per_tensor_weights, options.learned_weights) = (perTensor, learnedScales)
        (options.input_type, options.output_type) = (inputType.value, outputType.value)
        (options.ranges, options.range_momentum) = (ranges.value, rangeMomentum)
        options.freeze_step =
            freezeAfter.map { Int64(clamping: $0.multipliedReportingOverflow(by: epoch).partialValue) } ?? -1
        targets.quantization = options
        targets.floatLayers = floatLayer
        targets.weightBits = weightBitsOf.map(\.rule)
        targets.activationBits = activationBitsOf.map(\.rule)
        return targets
    }
}

extension eo_pruning_schedule {
    /// Ends half-way, so that the other half trains what is left.
    static func ramp(steps: Int, regrow: Bool = false) -> Self {
        var schedule = usual
        (schedule.initial_sparsity, schedule.end_step) = (0, Int64(steps / 2))
        (schedule.frequency, schedule.regrow) = (Int64(max(1, steps / 40)), regrow)
        return schedule
    }
}

enum RangeName: String, ExpressibleByArgument, CaseIterable {
    case movingAverage = "moving_average"
    case lastValue = "last_value"
    case allValues = "all_values"
    case fixed, learned

    var value: eo_range_kind {
        switch self {
        case .movingAverage: EO_RANGE_MOVING_AVERAGE
        case .lastValue: EO_RANGE_LAST_VALUE
        case .allValues: EO_RANGE_ALL_VALUES
        case .fixed: EO_RANGE_FIXED
        case .learned: EO_RANGE_LEARNED
        }
    }
}
