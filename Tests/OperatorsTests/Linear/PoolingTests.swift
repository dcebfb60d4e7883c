import Kernels
import Model
import Testing

@testable import Operators

@Suite struct PoolingTests {
    private static let types: [TensorType] = [.float32, .int8, .uint8, .int16]

    @Test(arguments: types)
    func averagePool2D(type: TensorType) throws {
        try check(.averagePool2D, AveragePool2D.definition, type) { values in
            let mean = values.reduce(0, +) / Double(values.count)
            return type == .float32 ? mean : mean.rounded()
        }
    }

    @Test(arguments: types)
    func maxPool2D(type: TensorType) throws {
        try check(.maxPool2D, MaxPool2D.definition, type) { $0.max() ?? 0 }
    }

    @Test func l2Pool2D() throws {
        try check(.l2Pool2D, L2Pool2D.definition, .float32) { values in
            (values.reduce(0) { $0 + $1 * $1 } / Double(values.count)).squareRoot()
        }
    }

    /// `pool`: from the stored values of a window to that of the output, before the activation.
    private func check(
        _ code: BuiltinOperator, _ definition: OperatorDefinition, _ type: TensorType, _ pool: ([Double]) -> Double
    ) throws {
        let threads = try ThreadPool(threads: 2)
        let activations: [FusedActivation] = [.none, .relu, .reluN1To1, .relu6]
        for (number, window) in TestWindow.all.enumerated() where window.dilation == (1, 1) && window.groups == 1 {
            let activation = activations[number % 4]
            let zeroPoint = type == .uint8 ? 120 : type == .int8 ? -11 : 0
            let image = window.image
            let x = try TestTensor(
                type, [image.batch, image.height, image.width, window.channels],
                scales: [type == .int16 ? 0.0004 : 0.05], zeroPoint: zeroPoint, span: 7, seed: UInt64(number))
            var output = TensorInfo(type: type, shape: [])
            output.quantization = x.info.quantization
            for arithmetic in [Arithmetic.fast, .reference] {
                let options = Options(
                    .pool2D,
                    [
                        window.padding.rawValue, window.stride.width, window.stride.height, window.kernel.width,
                        window.kernel.height, activation.rawValue,
                    ].map { .int(Int64($0)) })
                var evaluation = Evaluation(
                    definition, options: options, pool: threads, weights: try PackedWeightCache())
                evaluation.arithmetic = arithmetic
                let results = try #require(try evaluation.checked([x.info], outputs: [output]))
                let (height, width) = (window.rows.size, window.columns.size)
                let expected = (0..<(image.batch * height * width * window.channels)).map { index in
                    let pixel = index / window.channels
                    let taps = window.taps(pixel / width / height, pixel / width % height, pixel % width)
                    let value = pool(taps.map { x.stored[$0.pixel * window.channels + index % window.channels] })
                    return clamp(value, activation, output)
                }
                let found = results[0].numbers
                let tolerance = type == .float32 ? 1e-5 : 0
                #expect(
                    found.count == expected.count && zip(found, expected).allSatisfy { abs($0 - $1) <= tolerance },
                    "\(code.name) \(type), \(window), \(activation), \(arithmetic): \(found), expected \(expected)")
            }
        }
    }

    private func clamp(_ value: Double, _ activation: FusedActivation, _ output: TensorInfo) -> Double {
        let (low, high) = activation.floatRange
        guard output.type != .float32 else { return min(Double(high), max(Double(low), value)) }
        let lowest = low.isFinite ? Double((low / output.scale).rounded()) + Double(output.zeroPoint) : -1e6
        let highest = high.isFinite ? Double((high / output.scale).rounded()) + Double(output.zeroPoint) : 1e6
        let range = FusedActivation.range(of: output.type)!
        return min(min(highest, Double(range.maximum)), max(max(lowest, Double(range.minimum)), value))
    }
}
