import Kernels
import Model
import Testing

@testable import Operators

/// One linear layer to be evaluated and compared with a plain formula: which output element sums which products.
struct LinearCase {
    let label: String
    let definition: OperatorDefinition
    let options: Options
    let scheme: LinearScheme
    let activation: FusedActivation
    let input: TestTensor
    let filter: TestTensor
    let bias: TestTensor?
    let outputShape: [Int]
    let channels: Int
    /// Reference kernels requantize in double.
    var requantizesInDouble = false
    /// Reference kernels round the product of input and weight scale to float.
    var multipliesScalesInFloat = false
    /// Pairs (input element, weight) of an output element.
    let products: (_ output: Int) -> [(input: Int, weight: Int)]
    /// The operator's inputs in its own order.
    let arrange: (_ input: TensorInfo, _ filter: TensorInfo, _ bias: TensorInfo?) -> [TensorInfo?]

    /// Evaluates in both arithmetics, with constant weights and with weights known only at run time.
    func check() throws {
        let pool = try ThreadPool(threads: 2)
        var sums: [[(input: Int, weight: Int)]] = []
        for index in 0..<outputShape.reduce(1, *) { sums.append(products(index)) }
        let output = outputInfo()
        for (definition, arithmetic) in [(definition, Arithmetic.fast), (definition, .reference), (unpacked, .fast)] {
            var evaluation = Evaluation(definition, options: options, pool: pool, weights: try PackedWeightCache())
            evaluation.arithmetic = arithmetic
            let inputs = arrange(input.info, filter.info, bias?.info)
            let results = try #require(try evaluation.checked(inputs, outputs: [output]), "\(label)")
            #expect(results[0].shape == outputShape, "\(label): shape")
            let found = results[0].numbers
            guard found.count == sums.count else { continue }
            for index in sums.indices {
                let (expected, tolerance) = expected(index, sums[index], output, arithmetic)
                guard abs(found[index] - expected) <= tolerance else {
                    let pairs = sums[index].count
                    Issue.record(
                        "\(label), \(arithmetic): element \(index) is \(found[index]), expected \(expected) +- \(tolerance), \(pairs) products"
                    )
                    break
                }
            }
        }
    }

    /// The operator as it is compiled when weights and bias are known only at run time (where that is possible).
    private var unpacked: OperatorDefinition {
        guard scheme.weight != .int4 else { return definition }
        let (definition, filterShape) = (definition, filter.info.shape)
        return OperatorDefinition(definition.code, maxVersion: definition.maxVersion, shapes: definition.shapes) {
            op throws(Failure) in
            var inputs = op.inputs
            for index in inputs.indices where inputs[index]?.shape == filterShape || index > 1 {
                inputs[index]?.constant = nil
            }
            let blind = Preparation(
                name: op.name, version: op.version, options: op.options, inputs: inputs, outputs: op.outputs,
                arithmetic: op.arithmetic, threadCount: op.threadCount, weights: op.weights)
            let kernel = try definition.prepare(blind)
            for size in blind.scratchSizes { _ = op.scratch(bytes: size) }
            return kernel
        }
    }

    /// An output range that a good part of the values fall into.
    func outputInfo() -> TensorInfo {
        guard let range = FusedActivation.range(of: scheme.activation) else {
            return TensorInfo(type: .float32, shape: outputShape)
        }
        let largest = (0..<outputShape.reduce(1, *)).map { abs(real($0, products($0))) }.max() ?? 1
        let scale = Float(max(largest, 1e-3) * 1.6 / Double(range.maximum - range.minimum))
        return TensorInfo(
            type: scheme.activation, shape: outputShape,
            quantization: Quantization(scale: scale, zeroPoint: scheme.outputZeroPoint))
    }

    private func real(_ index: Int, _ pairs: [(input: Int, weight: Int)]) -> Double {
        let sum = pairs.reduce(0) { $0 + input.real[$1.input] * filter.real[$1.weight] }
        return sum + (bias?.real[index % channels] ?? 0)
    }

    private func expected(
        _ index: Int, _ pairs: [(input: Int, weight: Int)], _ output: TensorInfo, _ arithmetic: Arithmetic
    ) -> (value: Double, tolerance: Double) {
        guard scheme.isFloat else { return (Double(quantized(index, pairs, output, arithmetic)), 0) }
        let (low, high) = activation.floatRange
        let value = min(Double(high), max(Double(low), real(index, pairs)))
        let magnitude = pairs.reduce(0.1) { $0 + abs(input.real[$1.input] * filter.real[$1.weight]) }
        guard scheme.isHybrid else { return (value, 1e-5 * magnitude) }
        // An input is off by half a step of its scale (a 127th of the range at most), the zero point likewise.
        let weights = pairs.reduce(0) { $0 + abs(filter.real[$1.weight]) }
        let largest = input.real.map { abs($0) }.max() ?? 0
        return (value, weights * largest / 127 + 1e-5 * magnitude)
    }

    /// Exactly what the arithmetic's definition says, from a sum of integers.
    private func quantized(
        _ index: Int, _ pairs: [(input: Int, weight: Int)], _ output: TensorInfo, _ arithmetic: Arithmetic
    ) -> Int {
        let (inputZero, weightZero) = (scheme.inputZeroPoint, scheme.weightZeroPoint)
        var sum = pairs.reduce(0) {
            $0 + (Int(input.stored[$1.input]) - inputZero) * (Int(filter.stored[$1.weight]) - weightZero)
        }
        sum += Int(bias?.stored[index % channels] ?? 0)
        let scales = filter.info.quantization?.scales ?? []
        let weightScale = scales[scales.count == 1 ? 0 : index % channels]
        let factor = Double(input.info.scale) * Double(weightScale) / Double(output.scale)
        let steps: Int
        switch arithmetic {
        case .fast: steps = Int(Double(min(1e6, max(-1e6, Float(sum) * Float(factor)))).rounded(.toNearestOrEven))
        case .reference where requantizesInDouble: steps = Int((Double(sum) * factor).rounded())
        case .reference:
            let older = scheme.activation == .uint8 || multipliesScalesInFloat
            let factor = older ? Double(input.info.scale * weightScale) / Double(output.scale) : factor
            let wide = scheme.activation == .int16 && scheme.bias != .int32
            steps = wide ? Self.fixedPoint(sum, factor, bits: 15) : Self.fixedPointTwice(sum, factor)
        }
        let range = FusedActivation.range(of: output.type)!
        let (low, high) = activation.floatRange
        let lowest = low.isFinite ? scheme.outputZeroPoint + Int((low / output.scale).rounded()) : range.minimum
        let highest = high.isFinite ? scheme.outputZeroPoint + Int((high / output.scale).rounded()) : range.maximum
        return min(min(range.maximum, highest), max(max(range.minimum, lowest), steps + scheme.outputZeroPoint))
    }

    /// Rounded to nearest twice: sum * m (31 bits, ties up), then * 2^e (ties away from zero).
    private static func fixedPointTwice(_ sum: Int, _ factor: Double) -> Int {
        let exponent = Int(factor.exponent) + 1
        let significand = Int((factor.significand * 0x1p30).rounded())
        precondition(exponent <= 0 && significand < 1 << 31)
        let high = (sum * significand + (1 << 30)) >> 31
        return Int((Double(high) * Double(sign: .plus, exponent: exponent, significand: 1)).rounded())
    }

    /// floor(sum * m * 2^e + 1/2) with m of `bits` bits.
    private static func fixedPoint(_ sum: Int, _ factor: Double, bits: Int) -> Int {
        let exponent = Int(factor.exponent) + 1
        let significand = Int((factor.significand * 0x1p30).rounded())
        let reduced = min((1 << bits) - 1, (significand + (1 << (30 - bits))) >> (31 - bits))
        let shift = bits - exponent
        return (sum * reduced + (1 << (shift - 1))) >> shift
    }
}
