import Model

/// What the library knows about one operator. Each operator's file makes one; `OperatorRegistry` lists them.
package final class OperatorDefinition: Sendable {
    package let code: BuiltinOperator
    /// Set for custom operators: the name the file uses.
    package let custom: String?
    /// Newest version of the schema's operator that is understood.
    package let maxVersion: Int
    /// Shapes of all outputs; nil if they depend on values that are not constant.
    package let shapes: @Sendable (borrowing ShapeInference) throws(Failure) -> [[Int]]?
    /// Checks types, precomputes what can be, and returns what `invoke` will run.
    package let prepare: @Sendable (Preparation) throws(Failure) -> Kernel
    package let quantization: QuantizationRule
    /// Output 0 may share the memory of input 0 when nobody else reads that input afterwards: element i of the output
    /// depends on element i of the inputs alone, and both have the same size.
    package let inPlace: Bool
    /// Output 0 is input 0 under another shape: no work at all.
    package let isView: Bool
    /// Emits the gradients of the inputs; nil: the operator is not differentiable.
    package let gradient: Gradient?
    /// The outputs depend on the shapes of the inputs, not on their values.
    package var readsOnlyShapes: Bool { code == .shape || code == .rank }
    /// The same inputs need not give the same outputs.
    package var isRandom: Bool { code == .randomUniform || code == .randomStandardNormal || code == .multinomial }

    @inline(never)
    package init(
        _ code: BuiltinOperator, custom: String? = nil, maxVersion: Int, quantization: QuantizationRule = .floatOnly,
        inPlace: Bool = false, isView: Bool = false,
        shapes: @escaping @Sendable (borrowing ShapeInference) throws(Failure) -> [[Int]]?,
        prepare: @escaping @Sendable (Preparation) throws(Failure) -> Kernel
    ) {
        self.code = code
        self.custom = custom
        self.maxVersion = maxVersion
        self.quantization = quantization
        self.inPlace = inPlace
        self.isView = isView
        self.shapes = shapes
        self.prepare = prepare
        gradient = nil
    }

    /// The same operator with a gradient.
    init(_ other: OperatorDefinition, gradient: @escaping Gradient) {
        code = other.code
        custom = other.custom
        maxVersion = other.maxVersion
        quantization = other.quantization
        inPlace = other.inPlace
        isView = other.isView
        shapes = other.shapes
        prepare = other.prepare
        self.gradient = gradient
    }
}

/// What runs at `invoke`: everything that can be decided beforehand is captured. Allocates nothing.
package typealias Kernel = (borrowing Invocation) throws(Failure) -> Void

/// How an operator takes part in integer quantization (TFLite 8-bit quantization specification).
package struct QuantizationRule: Sendable {
    package enum Output: Sendable {
        /// Output ranges come from calibration.
        case calibrated
        /// Every output has the scale and zero point of the one activation input. With several, all inputs have those of
        /// the output.
        case sameAsInput
        /// Fixed by the operator.
        case fixed(int8: (scale: Float, zeroPoint: Int), int16: Float)
        /// Not a quantized tensor (indices, shapes, booleans).
        case unquantized
    }
    package struct Weights: Sendable {
        package let input: Int
        /// Dimension of the per-channel scales.
        package let channelDimension: Int
        package let bias: Int?
    }
    /// Positions of the inputs that are activations; the rest are weights, indices, shapes.
    package var activations: [Int]
    package var allInputs = false
    package var weights: Weights?
    package var output: Output
    /// LiteRT and this library have kernels for these types.
    package var int8 = true
    package var int16x8 = true
    /// Integer weights with float activations (dynamic range).
    package var dynamicRange = false

    package init(
        activations: [Int], allInputs: Bool = false, weights: Weights? = nil, output: Output, int8: Bool = true,
        int16x8: Bool = true, dynamicRange: Bool = false
    ) {
        self.activations = activations
        self.allInputs = allInputs
        self.weights = weights
        self.output = output
        self.int8 = int8
        self.int16x8 = int16x8
        self.dynamicRange = dynamicRange
    }

    /// The operator stays float.
    package static var floatOnly: QuantizationRule {
        QuantizationRule(activations: [], output: .unquantized, int8: false, int16x8: false)
    }
    /// Moves values: input 0 and all outputs share one scale.
    package static var sameScale: QuantizationRule { QuantizationRule(activations: [0], output: .sameAsInput) }
    /// Computes from input 0 with an output range of its own.
    package static var unary: QuantizationRule { QuantizationRule(activations: [0], output: .calibrated) }
    package static var binary: QuantizationRule { QuantizationRule(activations: [0, 1], output: .calibrated) }

    /// LiteRT's kernel takes int8, but not int16: with int16 activations the operator stays float.
    package var int8Only: QuantizationRule {
        var rule = self
        rule.int16x8 = false
        return rule
    }
}

/// How integer operators compute.
package enum Arithmetic: Sendable {
    /// int32 (16x8: int64) accumulation, requantization in IEEE float32, ties to even: the same bits on every machine.
    case fast
    /// The bits of LiteRT's reference kernels.
    case reference
}

/// In what float32 layers may compute.
package enum Precision: Sendable { case float32, bfloat16 }
