import Model
import Quantization

extension Model {
    /// The model with weights of many zeros in the sparse encoding of the format: only what is not zero is stored, with
    /// its place along the last dimension (compressed rows). A DENSIFY operator before the rest gives the dense tensor, so
    /// that every runtime can read it. Weights with fewer zeros than `sparsity`, and those that would not become smaller,
    /// stay as they are. Results do not change.
    package func withSparseStorage(from sparsity: Double) throws(Failure) -> Model {
        guard sparsity >= 0, sparsity <= 1 else {
            throw .invalidArgument("a sparsity of \(sparsity): expected a number from 0 to 1")
        }
        var model = self
        for weights in weightTensors(ofAnyType: true) {
            let tensor = subgraphs[weights.subgraph].tensors[weights.tensor]
            guard let data = constant(weights.subgraph, weights.tensor), let width = tensor.type.bits.map({ $0 / 8 }),
                isStorable(tensor), let rows = CompressedRows(data, width: width, shape: tensor.shape),
                Double(rows.zeros) >= sparsity * Double(weights.matrix.count), rows.byteCount < data.count
            else { continue }
            try model.store(rows, weights.subgraph, weights.tensor)
        }
        return model.compacted()
    }

    /// The types that DENSIFY knows. A quantized zero must be the number 0.
    private func isStorable(_ tensor: Tensor) -> Bool {
        guard tensor.quantization?.details == nil else { return false }
        switch tensor.type {
        case .float32, .float16: return true
        case .int8: return tensor.quantization?.zeroPoints.allSatisfy { $0 == 0 } ?? true
        default: return false
        }
    }

    private mutating func store(_ rows: CompressedRows, _ graph: Int, _ tensor: Int) throws(Failure) {
        var dense = subgraphs[graph].tensors[tensor]
        var sparse = dense
        sparse.sparsity = rows.sparsity
        buffers.append(Buffer(try Bytes(copying: rows.stored)))
        sparse.buffer = buffers.count - 1
        dense.buffer = 0
        dense.name = dense.shortName + "_dense"
        subgraphs[graph].tensors[tensor] = sparse
        let output = add(dense, to: graph)
        for index in subgraphs[graph].operators.indices {
            subgraphs[graph].operators[index].inputs = subgraphs[graph].operators[index].inputs.map {
                $0 == tensor ? output : $0
            }
        }
        let code = operatorCode(.densify, version: 1)
        subgraphs[graph].operators.insert(
            Operator(opcode: code, inputs: [tensor], outputs: [output], options: Options(.densify)), at: 0)
    }
}

/// The elements of a tensor that are not zero bits, row by row of its last dimension.
struct CompressedRows {
    private(set) var stored: [UInt8] = []
    private var segments = [0]
    private var indices: [Int] = []
    private let shape: [Int]
    private(set) var zeros = 0

    /// nil for a tensor without dimensions or elements. `width`: bytes of an element.
    init?(_ data: Bytes, width: Int, shape: [Int]) {
        guard let columns = shape.last, let count = elementCount(shape), count > 0, width > 0,
            data.count >= count * width
        else { return nil }
        self.shape = shape
        let bytes = data.array(of: UInt8.self)
        for element in 0..<count {
            let place = element * width
            // The sign of a zero is not kept.
            let isZero =
                bytes[place..<place + width - 1].allSatisfy { $0 == 0 }
                && (width > 1 ? bytes[place + width - 1] & 0x7f : bytes[place]) == 0
            if isZero {
                zeros += 1
            } else {
                indices.append(element % columns)
                stored += bytes[place..<place + width]
            }
            if element % columns == columns - 1 { segments.append(indices.count) }
        }
    }

    private func width(_ largest: Int) -> Sparsity.IndexWidth {
        largest <= 255 ? .uint8 : largest <= 65535 ? .uint16 : .int32
    }

    private func bytes(_ width: Sparsity.IndexWidth) -> Int { width == .uint8 ? 1 : width == .uint16 ? 2 : 4 }

    /// Bytes in the file, the operator and the tensor that come with it included.
    var byteCount: Int {
        stored.count + indices.count * bytes(width(shape[shape.count - 1] - 1))
            + segments.count * bytes(width(indices.count)) + 256
    }

    var sparsity: Sparsity {
        var sparsity = Sparsity()
        sparsity.traversalOrder = Array(shape.indices)
        sparsity.dimensions = shape.dropLast().map { .dense(size: $0) }
        sparsity.dimensions.append(
            .compressed(
                segments: segments, indices: indices, segmentWidth: width(indices.count),
                indexWidth: width(shape[shape.count - 1] - 1)))
        return sparsity
    }
}
