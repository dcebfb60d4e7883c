import Kernels
import Model

/// A change of scale and zero point.
struct ScaleChange: Sendable {
    let arithmetic: Arithmetic
    private let inputZeroPoint: Int32
    private let outputZeroPoint: Int32
    private let factor: Float
    private let multiplier: QuantizedMultiplier

    init(_ op: Preparation, from input: TensorInfo, to output: TensorInfo) throws(Failure) {
        for tensor in [input, output] {
            guard tensor.scale > 0, tensor.scale.isFinite, tensor.quantization?.scales.count == 1,
                let zeroPoint = Int32(exactly: tensor.zeroPoint), zeroPoint.magnitude <= 1 << 16
            else { throw op.invalid("\(tensor.described) must have one scale and zero point") }
        }
        arithmetic = op.arithmetic
        inputZeroPoint = Int32(truncatingIfNeeded: input.zeroPoint)
        outputZeroPoint = Int32(truncatingIfNeeded: output.zeroPoint)
        let ratio = Double(input.scale) / Double(output.scale)
        factor = try op.finite(Float(ratio))
        multiplier = QuantizedMultiplier(ratio)
    }

    /// Fast arithmetic: the numbers of a tensor, as `apply` does it.
    func run<In: FixedWidthInteger & BitwiseCopyable, Out: QuantizedInteger>(
        _ x: Span<In>, _ y: inout MutableSpan<Out>, pool: ThreadPool
    ) {
        Conversion.requantize(
            x, &y, offset: inputZeroPoint, factor: factor, zeroPoint: Int(outputZeroPoint), pool: pool)
    }

    /// The same done to a layer's int16 results.
    func finish() throws(Failure) -> Finish {
        try .requantize(offset: inputZeroPoint, factor: factor, zeroPoint: Int(outputZeroPoint))
    }

    /// One number, not clamped to the output's type.
    @inline(__always)
    func apply(_ value: Int32) -> Int {
        let centered = value &- inputZeroPoint
        switch arithmetic {
        case .reference: return Int(multiplier.scale(centered) &+ outputZeroPoint)
        case .fast:
            let scaled = (Float(centered) * factor).rounded(.toNearestOrEven)
            // Any number of this size saturates every output type, and none of them overflows.
            return Int(min(max(scaled, -0x1p40), 0x1p40)) &+ Int(outputZeroPoint)
        }
    }
}

/// Scales and zero points along one dimension of a tensor, whose elements are [outer][channel][inner]. A per-tensor
/// scale is one channel.
struct ChannelScales: Sendable {
    let outer: Int
    let count: Int
    let inner: Int
    let scales: [Float]
    let zeroPoints: [Int32]

    init(_ op: Preparation, _ tensor: TensorInfo) throws(Failure) {
        guard let quantization = tensor.quantization, quantization.details == nil, !quantization.scales.isEmpty,
            quantization.scales.allSatisfy({ $0.isFinite && $0 != 0 })
        else { throw op.invalid("\(tensor.described) must have scales") }
        count = quantization.scales.count
        scales = quantization.scales
        let given = quantization.zeroPoints
        guard given.isEmpty || given.count == 1 || given.count == count,
            given.allSatisfy({ $0.magnitude <= 1 << 16 })
        else { throw op.invalid("\(tensor.described) has zero points that do not fit its scales") }
        zeroPoints = scales.indices.map {
            Int32(truncatingIfNeeded: given.isEmpty ? 0 : given[given.count == 1 ? 0 : $0])
        }
        guard count > 1 else {
            (outer, inner) = (1, tensor.count)
            return
        }
        let dimension = quantization.dimension
        guard dimension >= 0, dimension < tensor.rank, tensor.shape[dimension] == count else {
            throw op.invalid("\(tensor.described) has \(count) scales along dimension \(dimension)")
        }
        outer = tensor.shape[..<dimension].reduce(1, &*)
        inner = tensor.shape[(dimension + 1)...].reduce(1, &*)
    }
    /// The one scale and zero point of a whole tensor, if the zero point is a value of its type.
    func single<T: FixedWidthInteger>(_: T.Type) -> (scale: Float, zeroPoint: Int)? {
        guard count == 1, scales[0] > 0, T(exactly: zeroPoints[0]) != nil else { return nil }
        return (scales[0], Int(zeroPoints[0]))
    }
}
