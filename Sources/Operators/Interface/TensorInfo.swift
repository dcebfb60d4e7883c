import Model

/// A tensor as an operator sees it when it is compiled: its description, the shape it has now, and its data if it is
/// constant.
package struct TensorInfo: Sendable {
    package var name: String
    package var type: TensorType
    package var shape: [Int]
    @Shared package var quantization: Quantization?
    /// The data of a constant tensor.
    package var constant: Bytes?
    /// Scales of a constant with blockwise quantization, whose parameters are tensors of their own: one for each block
    /// of the last dimension, row after row.
    package var blockScales: [Float]?
    package var isVariable: Bool

    package init(
        name: String = "", type: TensorType, shape: [Int], quantization: Quantization? = nil, constant: Bytes? = nil,
        isVariable: Bool = false
    ) {
        self.name = name
        self.type = type
        self.shape = shape
        self.quantization = quantization
        self.constant = constant
        self.isVariable = isVariable
    }

    /// What the file says of a tensor, without data.
    package init(_ tensor: Tensor) {
        name = tensor.name
        type = tensor.type
        shape = tensor.shape
        _quantization = tensor.$quantization
        isVariable = tensor.isVariable
    }

    package var rank: Int { shape.count }
    /// Shapes are validated before an operator sees them, so the product cannot overflow.
    package var count: Int { shape.reduce(1, &*) }
    package var isConstant: Bool { constant != nil }
    /// Scale and zero point of a per-tensor quantized tensor; (0, 0) if it is not quantized.
    package var scale: Float { quantization?.scales.first ?? 0 }
    package var zeroPoint: Int { quantization?.zeroPoints.first ?? 0 }

    /// The numbers of a constant index tensor (int32 or int64: shapes, axes, paddings); nil if it is not one.
    package var integers: [Int]? {
        guard let constant else { return nil }
        switch type {
        case .int32: return constant.array(of: Int32.self).map { Int($0) }
        case .int64: return constant.array(of: Int64.self).map { Int($0) }
        case .int16: return constant.array(of: Int16.self).map { Int($0) }
        default: return nil
        }
    }

    /// "tensor 'x' (INT8, 1x2x3)".
    package var described: Sentence {
        let dimensions = shape.map { $0.description }.joined(separator: "x")
        return "tensor '\(name)' (\(type.name), \(dimensions.isEmpty ? "scalar" : dimensions))"
    }
}
