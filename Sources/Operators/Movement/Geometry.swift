import Kernels
import Model

extension Preparation {
    /// The shape rule's view of the same operator, so that shapes and kernels come from one geometry.
    var inference: ShapeInference {
        ShapeInference(
            name: name, version: version, options: options, customOptions: customOptions, inputs: inputs,
            outputCount: outputs.count, statedOutputShapes: outputs.map { $0.shape })
    }

    /// The geometry a kernel is built on, which exists once all shape, axis and padding inputs are constant.
    func known<T>(_ geometry: T?) throws(Failure) -> T {
        guard let geometry else { throw invalid("its shape, axis or index inputs are not known yet") }
        return geometry
    }

    /// Output `index`, which must have this shape and the type of `input`.
    func output(_ index: Int = 0, shape: [Int], like input: TensorInfo) throws(Failure) {
        let output = try output(index)
        guard output.type == input.type else {
            throw invalid("\(output.described) must have the type of \(input.described)")
        }
        guard output.shape == shape else {
            throw invalid("\(output.described) must have shape \(text(shape))")
        }
    }

    /// Bits of an element that is moved, not computed with.
    func elementBits(_ tensor: TensorInfo) throws(Failure) -> Int {
        guard let bits = tensor.type.bits else { throw unsupportedTypes() }
        return bits
    }

    /// The same in bytes, where elements are not packed.
    func elementBytes(_ tensor: TensorInfo) throws(Failure) -> Int {
        let bits = try elementBits(tensor)
        guard bits >= 8 else { throw unsupportedTypes() }
        return bits / 8
    }
}

extension ShapeInference {
    /// The numbers of a shape, axis or index input; nil while they are known only at run time.
    func numbers(_ index: Int, _ role: String) throws(Failure) -> [Int]? {
        let tensor = try input(index)
        switch tensor.type {
        case .int16, .int32, .int64: break
        default: throw invalid("\(role) must be integers, not \(tensor.described)")
        }
        if tensor.count == 0 { return [] }
        guard let numbers = tensor.integers else { return nil }
        guard numbers.count == tensor.count else {
            throw invalid("\(role) \(tensor.described) has data for \(numbers.count) elements")
        }
        return numbers
    }

    /// One number of a constant input.
    func number(_ index: Int, _ role: String) throws(Failure) -> Int? {
        guard let numbers = try numbers(index, role) else { return nil }
        guard numbers.count == 1 else { throw invalid("\(role) must be one number, found \(numbers.count)") }
        return numbers[0]
    }

    /// `axis` counted from the front; negative ones count from the back.
    func axis(_ axis: Int, rank: Int) throws(Failure) -> Int {
        let result = axis < 0 ? axis &+ rank : axis
        guard result >= 0, result < rank else { throw invalid("axis \(axis) is outside a tensor of rank \(rank)") }
        return result
    }

    /// A shape that this operator produces: dimensions not negative, and a size that can be addressed.
    func checked(_ shape: [Int]) throws(Failure) -> [Int] {
        // 2^40 elements is beyond any memory here, and leaves room for the arithmetic of strides.
        guard let count = elementCount(shape), count < 1 << 40, shape.allSatisfy({ $0 < 1 << 40 }) else {
            throw invalid("its output would have the impossible shape \(text(shape))")
        }
        return shape
    }
}

/// "[1, 2, 3]".
func text(_ shape: [Int]) -> String {
    "[" + shape.map { String($0) }.joined(separator: ", ") + "]"
}

/// Distance between neighbours of each dimension of a dense tensor, in elements.
func rowMajorStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for d in shape.indices.dropLast().reversed() { strides[d] = strides[d + 1] &* shape[d + 1] }
    return strides
}

extension StridedCopy {
    /// A box of `counts` elements between two tensors, whose strides and first elements are given.
    init(
        bits: Int, counts: [Int], source: [Int], target: [Int], sourceOffset: Int = 0, targetOffset: Int = 0
    ) {
        self.init(
            elementBits: bits,
            dimensions: counts.indices.map { .init(count: counts[$0], source: source[$0], target: target[$0]) },
            sourceOffset: sourceOffset, targetOffset: targetOffset)
    }
}
