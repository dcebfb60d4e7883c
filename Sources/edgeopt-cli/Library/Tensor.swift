import CEdgeOpt

/// A tensor of a model or of an interpreter. `data` is borrowed from that.
struct Tensor {
    let index: Int
    let name: String
    let type: eo_type
    let shape: [Int]
    let shapeSignature: [Int]
    let isVariable: Bool
    let isSparse: Bool
    let quantization: Quantization?
    let size: Int
    let data: UnsafeMutableRawPointer?

    init(_ tensor: eo_tensor) {
        index = Int(tensor.index)
        name = string(tensor.name)
        type = tensor.type
        shape = list(tensor.shape, tensor.rank).map(Int.init)
        shapeSignature = tensor.shape_signature == nil ? shape : list(tensor.shape_signature, tensor.rank).map(Int.init)
        isVariable = tensor.is_variable
        isSparse = tensor.is_sparse
        size = tensor.size
        data = tensor.data
        quantization =
            tensor.quantization_count == 0
            ? nil
            : Quantization(
                scales: list(tensor.scales, tensor.quantization_count),
                zeroPoints: list(tensor.zero_points, tensor.quantization_count).map(Int.init),
                dimension: Int(tensor.quantized_dimension), blockSize: Int(tensor.block_size))
    }

    var typeName: String { string(eo_type_name(type)) }
    var count: Int { shape.reduce(1, *) }
    var bytes: UnsafeMutableRawBufferPointer { .init(start: data, count: data == nil ? 0 : size) }

    /// How messages call it: tensor 3 'conv' FLOAT32 [1,2,2].
    var described: String { "'\(name)' \(typeName) \(brief(shape))" }
}

/// real = scale * (stored - zeroPoint).
struct Quantization: Encodable {
    let scales: [Float]
    let zeroPoints: [Int]
    let dimension: Int
    let blockSize: Int
}

/// [1,224,224,3]
func brief(_ shape: [Int]) -> String { "[" + shape.map(String.init).joined(separator: ",") + "]" }
