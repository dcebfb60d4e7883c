import Model

/// What an operator's shape rule may look at.
package struct ShapeInference {
    package let name: String
    package let version: Int
    package let options: Options
    package let customOptions: Bytes?
    /// nil is an optional input left out.
    package let inputs: [TensorInfo?]
    package let outputCount: Int
    /// Shapes of the outputs as the file states them, for operators that cannot know better.
    package let statedOutputShapes: [[Int]]

    package init(
        name: String, version: Int, options: Options, customOptions: Bytes? = nil, inputs: [TensorInfo?],
        outputCount: Int, statedOutputShapes: [[Int]] = []
    ) {
        self.name = name
        self.version = version
        self.options = options
        self.customOptions = customOptions
        self.inputs = inputs
        self.outputCount = outputCount
        self.statedOutputShapes = statedOutputShapes
    }

    package func hasInput(_ index: Int) -> Bool { index < inputs.count && inputs[index] != nil }

    /// Input `index`, which the operator must have.
    package func input(_ index: Int) throws(Failure) -> TensorInfo {
        guard index < inputs.count, let input = inputs[index] else {
            throw .invalidModel("\(name): input \(index) is missing")
        }
        return input
    }

    /// The numbers of a constant index input; nil if the input is not constant.
    package func integers(_ index: Int) throws(Failure) -> [Int]? { try input(index).integers }

    /// A failure that begins with the operator's name.
    package func invalid(_ message: Sentence) -> Failure { .invalidModel("\(name): \(message)") }
    package func unsupported(_ message: Sentence) -> Failure { .unsupported("\(name): \(message)") }
}

/// The shape two shapes broadcast to (NumPy rules), or nil.
package func broadcast(_ a: [Int], _ b: [Int]) -> [Int]? {
    let rank = max(a.count, b.count)
    var result = [Int](repeating: 1, count: rank)
    for axis in 0..<rank {
        let x = axis < rank - a.count ? 1 : a[axis - (rank - a.count)]
        let y = axis < rank - b.count ? 1 : b[axis - (rank - b.count)]
        guard x == y || x == 1 || y == 1 else { return nil }
        result[axis] = x == 1 ? y : x
    }
    return result
}
