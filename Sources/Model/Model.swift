/// A .tflite model: the one representation that everybody edits. Weights are views into the bytes it was read from
/// until somebody replaces them. A value: a copy is cheap, and changing it leaves the original alone.
package struct Model: Equatable, Sendable {
    package var version = 3
    package var description: String?
    package var operatorCodes: [OperatorCode] = []
    package var subgraphs: [Subgraph] = []
    /// Buffer 0 is the empty one that tensors without data name.
    package var buffers: [Buffer] = [Buffer()]
    package var metadata: [Metadata] = []
    /// Deprecated list of buffers with metadata; kept as found.
    package var metadataBuffers: [Int32] = []
    package var signatures: [Signature] = []
    package var externalBufferGroups: [String] = []
    package var externalBuffers: [ExternalBuffer] = []
    /// Bytes after the FlatBuffer and its outside buffers: associated files (a ZIP archive), kept as found.
    package var appended: Bytes?
    /// The file it came from, for messages.
    package var origin = "model"

    package init() {}
}

/// What an operator is: a builtin code or a custom name, and a version.
package struct OperatorCode: Equatable, Sendable {
    package var builtin: BuiltinOperator
    package var custom: String?
    package var version: Int
    /// Of a custom operator: a file names it. It is none of those that training puts into graphs of its own.
    package var isForeign = false

    package init(_ builtin: BuiltinOperator, custom: String? = nil, version: Int = 1) {
        self.builtin = builtin
        self.custom = custom
        self.version = version
    }

    /// "CONV_2D", or the custom name.
    package var name: String { builtin == .custom ? custom ?? "CUSTOM" : builtin.name }
}

package struct Subgraph: Equatable, Sendable {
    package var name: String?
    package var tensors: [Tensor] = []
    package var operators: [Operator] = []
    package var inputs: [Int] = []
    package var outputs: [Int] = []
    package var debugMetadataIndex = -1

    package init() {}
}

package struct Tensor: Equatable, Sendable {
    package var name: String = ""
    package var type: TensorType = .float32
    package var shape: [Int] = []
    /// -1 where the dimension may change; nil if the file has none.
    package var shapeSignature: [Int]?
    /// Index into `Model.buffers`; 0 is "no data".
    package var buffer = 0
    @Shared package var quantization: Quantization?
    package var isVariable = false
    package var sparsity: Sparsity?
    package var hasRank = false
    package var variantTensors: [VariantTensor] = []
    /// `ExternalBuffer.id`; 0 is "none".
    package var externalBuffer = 0

    package init() {}
    package init(name: String, type: TensorType, shape: [Int], buffer: Int = 0, quantization: Quantization? = nil) {
        self.name = name
        self.type = type
        self.shape = shape
        self.buffer = buffer
        self.quantization = quantization
    }
}

package struct VariantTensor: Equatable, Sendable {
    package var shape: [Int] = []
    package var type: TensorType = .float32
    package var hasRank = false
    package init() {}
}

package struct Operator: Equatable, Sendable {
    /// Index into `Model.operatorCodes`.
    package var opcode: Int
    /// Tensor indices; -1 is an optional input left out.
    package var inputs: [Int]
    package var outputs: [Int]
    package var options: Options = .none
    /// Bytes of a custom operator's options (FlexBuffers by default).
    package var customOptions: Bytes?
    package var customOptionsFormat = 0
    /// The file stores the custom options outside the FlatBuffer (models over 2 GB).
    package var customOptionsOutside = false
    package var mutatingVariableInputs: [Bool] = []
    package var intermediates: [Int] = []
    package var debugMetadataIndex = -1

    package init(opcode: Int, inputs: [Int], outputs: [Int], options: Options = .none) {
        self.opcode = opcode
        self.inputs = inputs
        self.outputs = outputs
        self.options = options
    }
}

package struct Buffer: Equatable, Sendable {
    /// nil: the buffer is empty.
    package var data: Bytes?
    /// The file stores it outside the FlatBuffer, at an offset (models over 2 GB).
    package var isOutside = false

    package init(_ data: Bytes? = nil) { self.data = data }
}

package struct Quantization: Equatable, Sendable {
    package var scales: [Float] = []
    package var zeroPoints: [Int] = []
    package var dimension = 0
    package var min: [Float] = []
    package var max: [Float] = []
    package var details: QuantizationDetails?

    package init() {}
    package init(scale: Float, zeroPoint: Int) {
        scales = [scale]
        zeroPoints = [zeroPoint]
    }
    package init(scales: [Float], dimension: Int) {
        self.scales = scales
        self.zeroPoints = [Int](repeating: 0, count: scales.count)
        self.dimension = dimension
    }
}

package enum QuantizationDetails: Equatable, Sendable {
    case custom(Bytes)
    /// Tensor indices of the scales and zero points (-1: none), elements per block along the last dimension.
    case blockwise(scales: Int, zeroPoints: Int, blockSize: Int)
    case multiAxis(scales: Int, zeroPoints: Int, blockSize: Int, dimensions: [Int])
}

/// Sparse storage of a tensor after TACO (Kjolstad et al., 2017), as in the schema.
package struct Sparsity: Equatable, Sendable {
    package enum Dimension: Equatable, Sendable {
        case dense(size: Int)
        case compressed(segments: [Int], indices: [Int], segmentWidth: IndexWidth, indexWidth: IndexWidth)
    }
    /// Which of the schema's three vector types holds the numbers.
    package enum IndexWidth: UInt8, Sendable { case none = 0, int32 = 1, uint16 = 2, uint8 = 3 }

    package var traversalOrder: [Int] = []
    package var blockMap: [Int] = []
    package var dimensions: [Dimension] = []
    package init() {}
}

package struct Signature: Equatable, Sendable {
    package struct Entry: Equatable, Sendable {
        package var name: String
        package var tensor: Int
        package init(name: String, tensor: Int) {
            self.name = name
            self.tensor = tensor
        }
    }
    package var key: String
    package var subgraph: Int
    package var inputs: [Entry]
    package var outputs: [Entry]
    package init(key: String, subgraph: Int, inputs: [Entry], outputs: [Entry]) {
        self.key = key
        self.subgraph = subgraph
        self.inputs = inputs
        self.outputs = outputs
    }
}

package struct Metadata: Equatable, Sendable {
    package var name: String
    package var buffer: Int
    package init(name: String, buffer: Int) {
        self.name = name
        self.buffer = buffer
    }
}

/// Data in another file: `group` indexes `Model.externalBufferGroups`.
package struct ExternalBuffer: Equatable, Sendable {
    package var id = 0
    package var group = 0
    package var offset = 0
    package var length = 0
    package var packing: String?
    package init() {}
}
