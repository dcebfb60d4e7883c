import Kernels
import Model

/// PAD and PADV2: margins around a tensor, filled with zero (the zero point) or with the value of input 2.
enum Pad {
    static var definition: OperatorDefinition { definition(.pad) }
    static var version2: OperatorDefinition { definition(.padv2) }

    private static func definition(_ code: BuiltinOperator) -> OperatorDefinition {
        OperatorDefinition(code, maxVersion: 6, quantization: rule) { op throws(Failure) in
            guard let paddings = try Paddings(op) else { return nil }
            return [try paddings.outputShape(op)]
        } prepare: { op throws(Failure) in
            let input = try op.input(0)
            let paddings = try op.known(Paddings(op.inference))
            try op.output(shape: try paddings.outputShape(op.inference), like: input)
            let size = try op.elementBytes(input)
            let copy = PaddedCopy(
                elementBytes: size,
                dimensions: input.shape.indices.map {
                    .init(before: paddings.before[$0], count: input.shape[$0], after: paddings.after[$0])
                })
            return try kernel(op, copy, elementBytes: size)
        }.gradient { g throws(Failure) in
            let (x, numbers) = (try g.x, try g.integers(1))
            var before: [Int] = []
            for dimension in 0..<x.rank { before.append(numbers[2 * dimension]) }
            let dx = try g.dy.slice(before, x.shape)
            guard g.needs(2) else { return [dx] }
            let all = [Int](0..<x.rank)
            return [dx, nil, try g.dy.sum(all, keep: false) - dx.sum(all, keep: false)]
        }
    }

    /// The value PADV2 fills with has the scale of the tensor.
    private static var rule: QuantizationRule { QuantizationRule(activations: [0, 2], output: .sameAsInput) }

    private static func kernel(_ op: Preparation, _ copy: PaddedCopy, elementBytes: Int) throws(Failure) -> Kernel {
        if op.hasInput(2) {
            let (input, value) = (try op.input(0), try op.input(2))
            guard value.type == input.type, value.count == 1 else {
                throw op.invalid("\(value.described) must be one element of the type of \(input.described)")
            }
            return { io in
                var target = io.output(as: UInt8.self)
                copy.run(from: io.input(0), to: &target, value: io.input(2))
            }
        }
        // Little-endian, so the first bytes are the number in any width.
        let value = try bytes(of: try op.output().zeroPoint)
        return { io in
            var target = io.output(as: UInt8.self)
            copy.run(from: io.input(0), to: &target, value: value.span.extracting(0..<elementBytes))
        }
    }

    private static func bytes(of zeroPoint: Int) throws(Failure) -> [UInt8] {
        let bits = UInt64(truncatingIfNeeded: zeroPoint)
        return (0..<16).map { $0 < 8 ? UInt8(truncatingIfNeeded: bits >> UInt64(8 * $0)) : 0 }
    }
}

/// The paddings of PAD, PADV2 and MIRROR_PAD: input 1, two numbers for each dimension.
struct Paddings {
    let before: [Int]
    let after: [Int]

    /// nil while they are known only at run time.
    init?(_ op: ShapeInference) throws(Failure) {
        guard let numbers = try op.numbers(1, "the paddings") else { return nil }
        let input = try op.input(0)
        guard numbers.count == 2 * input.rank else {
            throw op.invalid("\(numbers.count) paddings for \(input.described): expected 2 for each dimension")
        }
        guard numbers.allSatisfy({ $0 >= 0 && $0 <= Int(Int32.max) }) else {
            throw op.invalid("paddings \(text(numbers)) must not be negative")
        }
        before = input.shape.indices.map { numbers[2 * $0] }
        after = input.shape.indices.map { numbers[2 * $0 + 1] }
    }

    func outputShape(_ op: ShapeInference) throws(Failure) -> [Int] {
        let shape = try op.input(0).shape
        return try op.checked(shape.indices.map { before[$0] + shape[$0] + after[$0] })
    }
}
