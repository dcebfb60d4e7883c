import Kernels
import Model
import Testing

@testable import Operators

@Suite struct ElementwiseTests {
    let pool: ThreadPool
    let weights: PackedWeightCache

    init() throws {
        pool = try ThreadPool(threads: 2)
        weights = try PackedWeightCache()
    }

    func run(
        _ item: ElementCase, _ inputs: [TensorInfo], _ output: TensorInfo, _ arithmetic: Arithmetic = .fast
    ) throws -> TensorInfo {
        var evaluation = Evaluation(
            item.definition, options: Options(item.definition.code.optionTable, item.options), pool: pool,
            weights: weights)
        evaluation.arithmetic = arithmetic
        return try #require(try evaluation.checked(inputs, outputs: [output]))[0]
    }

    /// Float within 2e-6 of the largest value; quantized, the fast form gives the step nearest to the formula, and the
    /// reference form one as near as the case says.
    @Test(arguments: ElementCase.all) func computesItsFormula(_ item: ElementCase) throws {
        for type in item.types {
            let count = 301
            var inputs: [TensorInfo] = []
            var reals: [[Double]] = []
            for (index, domain) in item.domains.enumerated() {
                let values = (0..<count).map { step in
                    let place = Double(step * (index == 0 ? 1 : 97) % count) / Double(count - 1)
                    return domain.lowerBound + (domain.upperBound - domain.lowerBound) * place
                }
                // What shares a scale covers the same range.
                let covered = item.definition.quantization.output.isSameScale ? item.range : domain
                let (tensor, real) = try TensorInfo.quantized(values, [count], type, covering: covered)
                inputs.append(tensor)
                reals.append(real)
            }
            let output = TensorInfo(
                type: type, shape: [], quantization: TensorInfo.quantization(type, covering: item.range))
            let expected = (0..<count).map { element in item.formula(reals.map { $0[element] }) }
            for arithmetic in [Arithmetic.fast, .reference] {
                let y = try run(item, inputs, output, arithmetic)
                let allowed =
                    arithmetic == .fast
                    ? 0.502 : (type == .int16 ? item.referenceSteps.short : item.referenceSteps.byte)
                check(y, expected, allowed, "\(item) \(type) \(arithmetic)")
            }
        }
    }

    func check(_ y: TensorInfo, _ expected: [Double], _ steps: Double, _ comment: String) {
        let largest = expected.reduce(1e-9) { max($0, abs($1)) }
        let (scale, zero) = (Double(y.scale), Double(y.zeroPoint))
        for (index, (result, real)) in zip(y.numbers, expected).enumerated() {
            let difference = y.type == .float32 ? abs(result - real) / largest : abs((result - zero) - real / scale)
            guard difference <= (y.type == .float32 ? 2e-6 : steps) else {
                #expect(difference <= steps, "\(comment), element \(index): \(result), expected \(real)")
                return
            }
        }
    }

    /// Every pair of shapes of up to three dimensions of 1, 2 or 3 that broadcasts.
    @Test func broadcastsAllSmallShapes() throws {
        let shapes =
            [[]] + (1...3).flatMap { rank in coordinates([Int](repeating: 3, count: rank)) }.map { $0.map { $0 + 1 } }
        let subtraction = ElementCase.all.first { $0.description == "SUB" }!
        for a in shapes {
            for b in shapes {
                guard let shape = broadcast(a, b) else { continue }
                let (left, right) = (a.reduce(1, *), b.reduce(1, *))
                let x = try tensor((0..<left).map { Float($0) }, a, .float32)
                let z = try tensor((0..<right).map { Float(100 * $0) }, b, .float32)
                let y = try run(subtraction, [x, z], TensorInfo(type: .float32, shape: []))
                let expected = coordinates(shape).map { place in
                    let (i, j) = (Self.place(place, in: a), Self.place(place, in: b))
                    return Double(i - 100 * j)
                }
                #expect(y.shape == shape && y.numbers == expected, "\(a) - \(b)")
            }
        }
    }

    /// Where the element of a broadcast result comes from.
    static func place(_ coordinate: [Int], in shape: [Int]) -> Int {
        let own = coordinate.suffix(shape.count)
        return zip(own, shape).reduce(0) { $0 * $1.1 + ($1.1 == 1 ? 0 : $1.0) }
    }

    private func bytes(_ item: ElementCase, _ inputs: [TensorInfo], threads: Int) throws -> Bytes? {
        let evaluation = Evaluation(
            item.definition, options: Options(item.definition.code.optionTable, item.options),
            pool: try ThreadPool(threads: threads), weights: weights)
        let output = TensorInfo(type: .float32, shape: [])
        return try #require(try evaluation.evaluate(inputs, outputs: [output]))[0].constant
    }

    /// Long tensors are cut into pieces; the number of threads does not show.
    @Test func threadsDoNotShow() throws {
        let count = 40_000
        let values = (0..<count).map { Float($0 % 1013) / 100 - 5 }
        let x = try tensor(values, [count / 100, 100], .float32)
        let row = try tensor(Array(values[..<100]), [100], .float32)
        let column = try tensor(Array(values[..<(count / 100)]), [count / 100, 1], .float32)
        let (wide, few) = (
            try tensor(values, [2, count / 2], .float32), try tensor([3, 4] as [Float], [2, 1], .float32)
        )
        for (index, inputs) in [[x, x], [x, row], [x, column], [row, x], [wide, few]].enumerated() {
            for item in ElementCase.all where item.domains.count == 2 && item.types.contains(.float32) {
                guard item.description != "PRELU" || index < 3 else { continue }
                #expect(try bytes(item, inputs, threads: 1) == bytes(item, inputs, threads: 2), "\(item)")
            }
        }
    }

    /// A few numbers for each row give what the same numbers written out for all rows give, on either side.
    @Test(arguments: [(1000, 3), (99, 128)]) func shortRowsKeepTheBits(_ rows: Int, _ length: Int) throws {
        let few = (0..<length).map { Float($0) * 0.7 + 0.3 }
        let x = try tensor((0..<rows * length).map { Float($0 % 97) / 9 - 5 }, [rows, length], .float32)
        let short = try tensor(few, [length], .float32)
        let long = try tensor((0..<rows).flatMap { _ in few }, [rows, length], .float32)
        for item in ElementCase.all where item.domains.count == 2 && item.types.contains(.float32) {
            #expect(try bytes(item, [x, short], threads: 1) == bytes(item, [x, long], threads: 1), "\(item)")
            guard item.description != "PRELU" else { continue }
            #expect(try bytes(item, [short, x], threads: 1) == bytes(item, [long, x], threads: 1), "\(item)")
        }
    }

    /// What cannot be computed is refused with a sentence, and nothing traps.
    @Test func refusals() throws {
        let x = try tensor([1, 2, 3] as [Float], [3], .float32)
        let bytes = try tensor([1, 2, 3] as [UInt8], [3], .int8)
        let integers = try tensor([1, 0, Int32.min], [3], .int32)
        var broken = bytes
        var zero = bytes
        var far = bytes
        var perChannel = bytes
        broken.quantization = Quantization(scale: .nan, zeroPoint: 0)
        zero.quantization = Quantization(scale: 0, zeroPoint: 0)
        far.quantization = Quantization(scale: 0.1, zeroPoint: 1000)
        perChannel.quantization = Quantization(scales: [1, 2, 3], dimension: 0)
        // These work on stored values, whatever they mean.
        let plain = ["MINIMUM", "MAXIMUM", "NEG", "FLOOR_MOD"]
        for item in ElementCase.all {
            let isBinary = item.domains.count == 2
            for input in [bytes, broken, zero, far, perChannel] where !plain.contains(item.description) {
                #expect(throws: Failure.self, "\(item)") { try run(item, isBinary ? [input, input] : [input], input) }
            }
            #expect(throws: Failure.self, "\(item)") { try run(item, [], x) }
            if isBinary {
                let four = try tensor([1, 2, 3, 4] as [Float], [4], .float32)
                #expect(throws: Failure.self, "\(item)") { try run(item, [x, four], x) }
                #expect(throws: Failure.self, "\(item)") { try run(item, [x, integers], x) }
            }
        }
        for definition in [Divide.definition, FloorDivision.divide, FloorDivision.remainder] {
            let item = ElementCase(description: "", definition: definition, domains: [], range: 0...1) { _ in 0 }
            #expect(throws: Failure.self) { try run(item, [integers, integers], integers) }
        }
        var power = ElementCase.all.first { $0.description == "POW" }!
        #expect(throws: Failure.self) { try run(power, [integers, integers], integers) }
        power = ElementCase.all.first { $0.description == "ADD" }!
        for code in [4, 5, 6, -1, 1 << 40] {
            power.options = [.int(Int64(code))]
            #expect(throws: Failure.self) { try run(power, [x, x], x) }
        }
    }

    /// The one quotient and the one magnitude that do not fit wrap.
    @Test func integerEdges() throws {
        let least = try tensor([Int32.min, 7, -7], [3], .int32)
        let divisors = try tensor([-1, -2, 2] as [Int32], [3], .int32)
        func numbers(_ definition: OperatorDefinition, _ inputs: [TensorInfo]) throws -> [Double] {
            let item = ElementCase(description: "", definition: definition, domains: [], range: 0...1) { _ in 0 }
            return try run(item, inputs, TensorInfo(type: .int32, shape: [])).numbers
        }
        let wrapped = Double(Int32.min)
        #expect(try numbers(Divide.definition, [least, divisors]) == [wrapped, -3, -3])
        #expect(try numbers(FloorDivision.divide, [least, divisors]) == [wrapped, -4, -4])
        #expect(try numbers(FloorDivision.remainder, [least, divisors]) == [0, -1, 1])
        #expect(try numbers(Abs.definition, [least]) == [wrapped, 7, 7])
        #expect(try numbers(Neg.definition, [least]) == [wrapped, -7, 7])
    }
}

extension QuantizationRule.Output {
    var isSameScale: Bool {
        if case .sameAsInput = self { return true }
        return false
    }
}
