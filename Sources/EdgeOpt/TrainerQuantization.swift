import CEdgeOpt
import Model
import Quantization
import Training

func trainingQuantization(
    _ settings: UnsafePointer<eo_training_quantization>?, in function: String
) throws(Failure) -> eo_training_quantization {
    var defaults = unsafe eo_training_quantization()
    unsafe defaults.scheme = EO_SCHEME_INT8
    unsafe defaults.weight_bits = 8
    unsafe defaults.range_momentum = 0.99
    unsafe defaults.freeze_step = -1
    return try unsafe options(settings, defaults: defaults, in: function)
}

extension QuantizationAwareOptions {
    init(_ given: eo_training_quantization, threadCount: Int, in function: String) throws(Failure) {
        self.init()
        guard let scheme = unsafe Scheme(rawValue: given.scheme.rawValue) else {
            throw .invalidArgument("\(function): there is no scheme \(unsafe given.scheme.rawValue)")
        }
        quantizer.scheme = scheme
        quantizer.weightBits = Int(unsafe given.weight_bits)
        quantizer.activationBits = unsafe given.activation_bits == 0 ? nil : Int(given.activation_bits)
        quantizer.perTensorWeights = unsafe given.per_tensor_weights
        quantizer.inputType = try elementType(unsafe given.input_type, "input_type", in: function)
        quantizer.outputType = try elementType(unsafe given.output_type, "output_type", in: function)
        quantizer.threadCount = threadCount
        quantizer.layers = try unsafe layers(given, in: function)
        if let log = unsafe logger(given.log, given.log_user) { quantizer.log = log }
        ranges = try unsafe RangeMethod(given.ranges, momentum: given.range_momentum, in: function)
        freezeStep = unsafe given.freeze_step < 0 ? nil : Int(given.freeze_step)
    }
}

extension RangeMethod {
    fileprivate init(_ kind: eo_range_kind, momentum: Float, in function: String) throws(Failure) {
        switch kind {
        case EO_RANGE_MOVING_AVERAGE: self = .movingAverage(momentum: momentum)
        case EO_RANGE_LAST_VALUE: self = .lastValue
        case EO_RANGE_ALL_VALUES: self = .allValues
        case EO_RANGE_FIXED: self = .fixed
        case EO_RANGE_LEARNED: self = .learned
        default: throw .invalidArgument("\(function): there is no kind of ranges \(kind.rawValue)")
        }
    }
}

private func layers(_ given: eo_training_quantization, in function: String) throws(Failure) -> [LayerRule] {
    var layers: [LayerRule] = []
    if unsafe given.learned_weights {
        var rule = LayerRule("*")
        rule.learnsWeightScales = true
        layers.append(rule)
    }
    for name in try unsafe names(given.float_layers, given.float_layer_count, "float_layers") {
        var rule = LayerRule(name)
        rule.isFloat = true
        layers.append(rule)
    }
    let weights = try unsafe bits(
        given.weight_bits_rules, given.weight_bits_rule_count, "weight_bits_rules", in: function)
    for (pattern, count) in weights {
        var rule = LayerRule(pattern)
        rule.weightBits = count
        layers.append(rule)
    }
    let activations = try unsafe bits(
        given.activation_bits_rules, given.activation_bits_rule_count, "activation_bits_rules", in: function)
    for (pattern, count) in activations {
        var rule = LayerRule(pattern)
        rule.activationBits = count
        layers.append(rule)
    }
    return layers
}

private func bits(
    _ rules: UnsafePointer<eo_layer_rule>?, _ count: Int32, _ name: String, in function: String
) throws(Failure) -> [(pattern: String, count: Int)] {
    guard count >= 0 else { throw .invalidArgument("\(function): the number of \(name) is \(count)") }
    var made: [(pattern: String, count: Int)] = []
    for index in 0..<Int(count) {
        let rule = try unsafe argument(rules, name, in: function)[index]
        guard let bits = unsafe Int(exactly: rule.value) else {
            throw .invalidArgument("\(function): \(name)[\(index)] is no whole number of bits")
        }
        made.append((try unsafe text(rule.pattern, "\(name)[\(index)].pattern", in: function), bits))
    }
    return made
}

extension eo_export_report {
    init(_ report: ExportReport) {
        self.init(
            samples: Int64(report.samples), same_top1: Int64(report.sameTop1), elements: Int64(report.elements),
            equal: Int64(report.apart[0]), one_step: Int64(report.apart[1]), two_steps: Int64(report.apart[2]),
            largest_distance: report.largestDistance)
    }
}
