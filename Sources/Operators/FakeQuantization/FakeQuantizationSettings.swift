import Kernels
import Model

/// The options of the operators that simulate quantization, kept as custom options: int32 numbers. Exported files never
/// have these operators.
package struct FakeQuantizationSettings: Equatable, Sendable {
    /// The stored numbers.
    package var low: Int
    package var high: Int
    /// Dimension of the channels that have scales of their own; nil: one scale.
    package var dimension: Int?
    /// Ranges are spread around zero, zero point 0.
    package var isSymmetric = false
    /// The gradient goes straight through everywhere: the scale comes from the values, which then are never clamped.
    package var isUnclamped = false
    /// The values are in steps of their scale: they come from an integer kernel.
    package var isInSteps = false
    /// Clamps the values too.
    package var activation = FusedActivation.none
    /// What the values are sums of.
    package var form = FakeRequantization.Form.linear

    package init(low: Int, high: Int, dimension: Int? = nil) {
        self.low = low
        self.high = high
        self.dimension = dimension
    }

    init(_ op: Preparation) throws(Failure) { try self.init(op.inference) }

    init(_ op: ShapeInference) throws(Failure) {
        guard let settings = Self(op.customOptions) else {
            throw op.invalid("its options are not those of simulated quantization")
        }
        self = settings
    }

    init?(_ options: Bytes?) {
        guard let numbers = options?.array(of: Int32.self), numbers.count == 7, numbers[0] < numbers[1],
            numbers[0] >= -32768, numbers[1] <= 65535, numbers[1] > 0, numbers[5] > 0,
            let activation = FusedActivation(rawValue: Int(numbers[6])), activation.isClamp
        else { return nil }
        self.init(low: Int(numbers[0]), high: Int(numbers[1]), dimension: numbers[2] < 0 ? nil : Int(numbers[2]))
        self.activation = activation
        isSymmetric = numbers[3] & 1 != 0
        isUnclamped = numbers[3] & 2 != 0
        isInSteps = numbers[3] & 4 != 0
        form =
            switch numbers[4] {
            case 1: .product
            case 2: .mean(count: Int(numbers[5]))
            case 3: .average(count: Int(numbers[5]))
            default: .linear
            }
    }

    package func encoded() throws(Failure) -> Bytes {
        let (kind, count) =
            switch form {
            case .linear: (0, 1)
            case .product: (1, 1)
            case .mean(let count): (2, count)
            case .average(let count): (3, count)
            }
        let flags: Int32 = (isSymmetric ? 1 : 0) | (isUnclamped ? 2 : 0) | (isInSteps ? 4 : 0)
        return try Bytes(
            copying: [
                Int32(low), Int32(high), Int32(dimension ?? -1), flags, Int32(kind), Int32(truncatingIfNeeded: count),
                Int32(activation.rawValue),
            ])
    }

    /// The bounds of the stored numbers less the zero point.
    func bounds(scale: Float, zeroPoint: Float) -> FakeQuantization.Bounds {
        let passing = activation.floatRange
        return (
            max(Float(low) - zeroPoint, (passing.minimum / scale).rounded()),
            min(Float(high) - zeroPoint, (passing.maximum / scale).rounded())
        )
    }

    /// Where a gradient passes, in steps: what rounds to one of the stored numbers, but no more than the activation.
    func gradientBounds(scale: Float, zeroPoint: Float) -> FakeQuantization.Bounds {
        let passing = activation.floatRange
        return (
            max(Float(low) - zeroPoint - 0.5, passing.minimum / scale),
            min(Float(high) - zeroPoint + 0.5, passing.maximum / scale)
        )
    }
}

/// What the operators of this kind check alike.
struct FakeQuantizationInputs {
    let settings: FakeQuantizationSettings
    let layout: ChannelLayout
    let hasZeroPoint: Bool

    /// Values, scales (one, or one for each channel), and optionally a zero point, all float32.
    init(_ op: Preparation) throws(Failure) {
        settings = try FakeQuantizationSettings(op)
        for index in op.inputs.indices where op.hasInput(index) {
            guard try op.input(index).type == .float32 else { throw op.unsupportedTypes() }
        }
        let x = try op.input(0)
        guard settings.dimension ?? 0 < max(1, x.rank) else {
            throw op.invalid("\(x.described) has no dimension \(settings.dimension ?? 0)")
        }
        layout = ChannelLayout(x.shape, dimension: settings.dimension)
        hasZeroPoint = op.hasInput(2)
        if hasZeroPoint { try op.require(2, count: 1) }
    }
}

extension Preparation {
    func require(_ index: Int, count: Int...) throws(Failure) {
        let tensor = try input(index)
        guard count.contains(tensor.count) else {
            throw invalid("\(tensor.described) must have \(count.listed) elements")
        }
    }
}
