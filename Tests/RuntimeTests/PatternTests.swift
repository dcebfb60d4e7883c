import Model
import Operators
import Testing

@testable import Runtime

/// What the passes join computes what the operators compute: keeping all tensors keeps all operators apart.
struct PatternTests {
    private func floats(_ bytes: [UInt8]) -> [Float] {
        bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }

    /// Also of few channels, which the kernel repeats.
    @Test(arguments: [(TensorType.int8, 37), (.uint8, 37), (.int8, 3), (.uint8, 700), (.int16, 37)], [false, true])
    func scaleAndShiftKeepTheBits(_ form: (type: TensorType, channels: Int), _ subtracts: Bool) throws {
        var maker = ModelMaker()
        var random = SplitMix(seed: 3)
        let (type, channels) = form
        let input = maker.tensor("x", [1, 30, 37, channels])
        func constants() -> [UInt8] { (0..<channels * (type.bits ?? 8) / 8).map { _ in UInt8(random.below(256)) } }
        let factors = try maker.constant("c", [channels], constants(), type)
        let product = maker.result(.mul, [input, factors], shape: [1, 30, 37, channels])
        let shifts = try maker.constant("d", [channels], constants(), type)
        let sum = maker.result(subtracts ? .sub : .add, [product, shifts], shape: [1, 30, 37, channels])
        let output = maker.result(.relu, [sum], shape: [1, 30, 37, channels])
        let (zero, isShort) = (type == .uint8 ? 128 : 0, type == .int16)
        for (tensor, scale, zeroPoint) in [
            (input, Float(0.05), zero + 3), (factors, isShort ? 1e-4 : 0.011, zero - 5), (product, 0.043, zero + 7),
            (shifts, 0.02, zero), (sum, 0.031, zero - 20), (output, 0.031, zero - 20),
        ] { maker.quantize(tensor, scale, isShort ? 0 : zeroPoint, type) }
        maker.ends([input], [output])
        #expect(try maker.runners() == ["fused", "CPU", "fused"])
        #expect(try maker.bytes(keepAll: false) == maker.bytes(keepAll: true))
    }

    @Test func floatScaleAndShiftKeepTheBits() throws {
        var maker = ModelMaker()
        let input = maker.tensor("x", [3, 19])
        let factors = try maker.constant("c", [19], (0..<19).map { Float($0) / 7 - 1 }, .float32)
        let shift = try maker.constant("d", [], [Float(0.3)], .float32)
        let product = maker.result(.mul, [factors, input], shape: [3, 19])
        let output = maker.result(.add, [shift, product], shape: [3, 19])
        maker.ends([input], [output])
        #expect(try maker.runners() == ["fused", "CPU"])
        #expect(try maker.bytes(keepAll: false, isFloat: true) == maker.bytes(keepAll: true, isFloat: true))
    }

    @Test func sharedProductsStay() throws {
        var maker = ModelMaker()
        let input = maker.tensor("x", [3, 19])
        let factor = try maker.constant("c", [], [Float(2)], .float32)
        let product = maker.result(.mul, [input, factor], shape: [3, 19])
        let output = maker.result(.add, [product, factor], shape: [3, 19])
        maker.ends([input], [output, product])
        #expect(try maker.runners() == ["CPU", "CPU"])
    }

    @Test(arguments: [false, true])
    func layerNormalizationAgrees(hasGamma: Bool) throws {
        var maker = ModelMaker()
        let (rows, length) = (6, 50)
        let x = maker.tensor("x", [1, rows, length])
        let axis = try maker.constant("axis", [1], [Int32(2)], .int32)
        let epsilon = try maker.constant("epsilon", [], [Float(1e-3)], .float32)
        let gamma = try maker.constant("gamma", [length], (0..<length).map { 1 + Float($0) / 99 }, .float32)
        let beta = try maker.constant("beta", [length], (0..<length).map { Float($0) / 33 }, .float32)
        let mean = maker.result(.mean, [x, axis], shape: [1, rows, 1], .reducer(keepDims: true))
        let squares = maker.result(.squaredDifference, [x, mean], shape: [1, rows, length])
        let variance = maker.result(.mean, [squares, axis], shape: [1, rows, 1], .reducer(keepDims: true))
        let sum = maker.result(.add, [variance, epsilon], shape: [1, rows, 1])
        var scale = maker.result(.rsqrt, [sum], shape: [1, rows, 1])
        if hasGamma { scale = maker.result(.mul, [scale, gamma], shape: [1, rows, length]) }
        let scaled = maker.result(.mul, [x, scale], shape: [1, rows, length])
        let shift = maker.result(.mul, [mean, scale], shape: [1, rows, hasGamma ? length : 1])
        let rest = maker.result(.sub, [beta, shift], shape: [1, rows, length])
        let output = maker.result(.add, [scaled, rest], shape: [1, rows, length])
        maker.ends([x], [output])
        let decisions = try maker.runners()
        #expect(decisions.dropLast().allSatisfy { $0 == "fused" } && decisions.last == "CPU")
        let (fused, apart) = (
            floats(try maker.bytes(keepAll: false, isFloat: true)),
            floats(try maker.bytes(keepAll: true, isFloat: true))
        )
        #expect(zip(fused, apart).allSatisfy { abs($0 - $1) < 2e-5 })
    }

    /// Every way of writing it: who is divided, on which side, with which operators.
    @Test(arguments: 0..<8)
    func hardSwishAgrees(_ way: Int) throws {
        var maker = ModelMaker()
        let shape = [2, 33]
        let x = maker.tensor("x", shape)
        let three = try maker.constant("three", [], [Float(3)], .float32)
        let sixth = try maker.constant("sixth", [], [way & 1 == 0 ? Float(1) / 6 : 6], .float32)
        let division: BuiltinOperator = way & 1 == 0 ? .mul : .div
        let sum = maker.result(.add, way & 2 == 0 ? [x, three] : [three, x], shape: shape)
        let gate = maker.result(.relu6, [sum], shape: shape)
        let output: Int
        if way & 4 == 0 {
            let product = maker.result(.mul, [x, gate], shape: shape)
            output = maker.result(division, [product, sixth], shape: shape)
        } else {
            let scaled = maker.result(division, [gate, sixth], shape: shape)
            output = maker.result(.mul, [scaled, x], shape: shape)
        }
        maker.ends([x], [output])
        #expect(try maker.runners() == ["fused", "fused", "fused", "CPU"])
        let (fused, apart) = (
            floats(try maker.bytes(keepAll: false, isFloat: true)),
            floats(try maker.bytes(keepAll: true, isFloat: true))
        )
        #expect(zip(fused, apart).allSatisfy { abs($0 - $1) < 1e-6 * max(1, abs($1)) })
    }

    /// The curve of GELU by tanh as toolkits write it: with POW or products, factored or not.
    @Test(arguments: 0..<4)
    func geluAgrees(_ way: Int) throws {
        var maker = ModelMaker()
        let shape = [3, 37]
        func scalar(_ value: Float) throws -> Int {
            try maker.constant("c\(maker.model.buffers.count)", [], [value], .float32)
        }
        func join(_ code: BuiltinOperator, _ a: Int, _ b: Int) -> Int { maker.result(code, [a, b], shape: shape) }
        let given = maker.tensor("given", shape)
        let x = maker.result(.abs, [given], shape: shape)
        let inner: Int
        if way & 1 == 0 {
            let cube = join(.mul, join(.pow, x, try scalar(3)), try scalar(0.044715))
            inner = join(.mul, join(.add, x, cube), try scalar(0.797_884_6))
        } else {
            let square = join(.mul, join(.mul, try scalar(0.044715), x), x)
            inner = join(.mul, join(.mul, x, try scalar(0.797_884_56)), join(.add, try scalar(1), square))
        }
        let gate = join(.add, maker.result(.tanh, [inner], shape: shape), try scalar(1))
        let y =
            way & 2 == 0
            ? join(.mul, join(.mul, x, try scalar(0.5)), gate) : join(.mul, x, join(.mul, try scalar(0.5), gate))
        maker.ends([given], [y])
        let decisions = try maker.runners()
        #expect(decisions.first == "CPU" && decisions.last == "CPU")
        #expect(decisions.dropFirst().dropLast().allSatisfy { $0 == "fused" })
        let (fused, apart) = (
            floats(try maker.bytes(keepAll: false, isFloat: true)),
            floats(try maker.bytes(keepAll: true, isFloat: true))
        )
        #expect(zip(fused, apart).allSatisfy { abs($0 - $1) < 2e-6 * max(1, abs($1)) })
    }

    /// tanh of something else.
    @Test func otherCurvesStay() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [4])
        let (half, one) = (
            try maker.constant("half", [], [Float(0.5)], .float32), try maker.constant("one", [], [Float(1)], .float32)
        )
        let gate = maker.result(.add, [maker.result(.tanh, [x], shape: [4]), one], shape: [4])
        let y = maker.result(.mul, [maker.result(.mul, [x, half], shape: [4]), gate], shape: [4])
        maker.ends([x], [y])
        #expect(try maker.runners() == ["CPU", "CPU", "CPU", "CPU"])
    }

    /// The scores of attention as converters write them: K Q^T, transposed.
    @Test(arguments: [TensorType.float32, .int8])
    func transposedProductsKeepTheBits(_ type: TensorType) throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [1, 12, 3, 8])
        let rows = try maker.constant("rows", [4], [Int32(0), 2, 1, 3], .int32)
        let columns = try maker.constant("columns", [4], [Int32(0), 2, 3, 1], .int32)
        let swap = try maker.constant("swap", [4], [Int32(0), 1, 3, 2], .int32)
        let reversed = maker.result(.abs, [x], shape: [1, 12, 3, 8])
        let keys = maker.result(.transpose, [x, rows], shape: [1, 3, 12, 8])
        let queries = maker.result(.transpose, [reversed, columns], shape: [1, 3, 8, 12])
        let product = maker.result(.batchMatmul, [keys, queries], shape: [1, 3, 12, 12], Options(.batchMatMul))
        let output = maker.result(.transpose, [product, swap], shape: [1, 3, 12, 12])
        if type == .int8 {
            for tensor in [x, reversed, keys, queries] { maker.quantize(tensor, 0.05, -7, .int8) }
            for tensor in [product, output] { maker.quantize(tensor, 0.9, 3, .int8) }
        }
        maker.ends([x], [output])
        #expect(try maker.runners() == ["CPU", "CPU", "CPU", "fused", "CPU"])
        let isFloat = type == .float32
        #expect(try maker.bytes(keepAll: false, isFloat: isFloat) == maker.bytes(keepAll: true, isFloat: isFloat))
    }

    /// Softmax written out; and with a sum over something else.
    @Test(arguments: [true, false])
    func softmaxAgrees(_ isSoftmax: Bool) throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [2, 5, 19])
        let axes = try maker.constant("axes", [1], [Int32(isSoftmax ? -1 : 1)], .int32)
        let shape = isSoftmax ? [2, 5, 1] : [2, 1, 19]
        let largest = maker.result(.reduceMax, [x, axes], shape: shape, .reducer(keepDims: true))
        let difference = maker.result(.sub, [x, largest], shape: [2, 5, 19])
        let exponential = maker.result(.exp, [difference], shape: [2, 5, 19])
        let sum = maker.result(.sum, [exponential, axes], shape: shape, .reducer(keepDims: true))
        let y = maker.result(.div, [exponential, sum], shape: [2, 5, 19])
        maker.ends([x], [y])
        #expect(try maker.runners() == [String](repeating: isSoftmax ? "fused" : "CPU", count: 4) + ["CPU"])
        let fused = try floats(maker.bytes(keepAll: false, isFloat: true))
        let apart = try floats(maker.bytes(keepAll: true, isFloat: true))
        #expect(zip(fused, apart).allSatisfy { abs($0 - $1) < 1e-6 })
    }

    /// Attention as converters write it: heads by transpositions or as they lie, keys and scores transposed or not,
    /// scaled by a product or a quotient, with a mask for all rows or for each, by itself or in a batch.
    @Test(arguments: 0..<6)
    func attentionAgrees(_ way: Int) throws {
        var maker = ModelMaker()
        let (batch, rows, keys, depth, width) = (2, 31, 37, 8, 12)
        let heads = way == 5 ? 1 : 3
        func order(_ numbers: [Int32]) throws -> Int {
            try maker.constant("p\(maker.model.buffers.count)", [4], numbers, .int32)
        }
        /// [batch, heads, count, size], perhaps with the last two exchanged.
        func operand(_ name: String, _ count: Int, _ size: Int, _ exchanged: Bool) throws -> (input: Int, seen: Int) {
            let shape = exchanged ? [batch, heads, size, count] : [batch, heads, count, size]
            if way == 1 {
                let x = maker.tensor(name, shape)
                return (x, x)
            }
            let x = maker.tensor(name, [batch, count, heads, size])
            return (
                x, maker.result(.transpose, [x, try order(exchanged ? [0, 2, 3, 1] : [0, 2, 1, 3])], shape: shape)
            )
        }
        let isTurned = way == 2
        let q = try operand("q", rows, depth, isTurned)
        let k = try operand("k", keys, depth, !isTurned && way != 3)
        let v = try operand("v", keys, width, false)
        let shape = [batch, heads, rows, keys]
        var options = Options(.batchMatMul)
        options[1] = .int(way == 3 ? 1 : 0)
        var scores =
            isTurned
            ? maker.result(.batchMatmul, [k.seen, q.seen], shape: [batch, heads, keys, rows], options)
            : maker.result(.batchMatmul, [q.seen, k.seen], shape: shape, options)
        if isTurned { scores = maker.result(.transpose, [scores, try order([0, 1, 3, 2])], shape: shape) }
        if way > 2 {
            let factor = try maker.constant("c", [], [Float(way == 3 ? 0.35 : 2.8)], .float32)
            scores = maker.result(way == 3 ? .mul : .div, [scores, factor], shape: shape)
        }
        var inputs = [q.input, k.input, v.input]
        if way > 1 {
            inputs.append(maker.tensor("mask", way == 2 ? [batch, 1, 1, keys] : [rows, keys]))
            scores = maker.result(.add, way == 4 ? [inputs[3], scores] : [scores, inputs[3]], shape: shape)
        }
        let softmax = maker.result(.softmax, [scores], shape: shape, Options(.softmax, [.float(1)]))
        var y = maker.result(
            .batchMatmul, [softmax, v.seen], shape: [batch, heads, rows, width], Options(.batchMatMul))
        if way != 1 {
            y = maker.result(.transpose, [y, try order([0, 2, 1, 3])], shape: [batch, rows, heads, width])
        }
        maker.ends(inputs, [y])
        let runners = try maker.runners()
        #expect(runners.dropLast().allSatisfy { $0 == "fused" } && runners.last == "CPU")
        let apart = try floats(maker.bytes(keepAll: true, isFloat: true))
        #expect(Set(apart).count > 100)
        for threads in 1...3 {
            let fused = try floats(maker.bytes(keepAll: false, isFloat: true, threads: threads))
            #expect(zip(fused, apart).allSatisfy { abs($0 - $1) < 2e-5 })
        }
    }

    /// Scores that others read stay.
    @Test func readScoresStay() throws {
        var maker = ModelMaker()
        let (q, k, v) = (maker.tensor("q", [4, 6]), maker.tensor("k", [6, 5]), maker.tensor("v", [5, 3]))
        let scores = maker.result(.batchMatmul, [q, k], shape: [4, 5], Options(.batchMatMul))
        let softmax = maker.result(.softmax, [scores], shape: [4, 5], Options(.softmax, [.float(1)]))
        let y = maker.result(.batchMatmul, [softmax, v], shape: [4, 3], Options(.batchMatMul))
        maker.ends([q, k, v], [y, softmax])
        #expect(try maker.runners() == ["CPU", "CPU", "CPU"])
        maker.ends([q, k, v], [y])
        #expect(try maker.runners() == ["fused", "fused", "CPU"])
    }

    @Test func transpositionsBecomeOneOrNone() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [2, 3, 4])
        let turn = try maker.constant("turn", [3], [Int32(1), 2, 0], .int32)
        let first = maker.result(.transpose, [x, turn], shape: [3, 4, 2])
        let second = maker.result(.transpose, [first, turn], shape: [4, 2, 3])
        let output = maker.result(.abs, [second], shape: [4, 2, 3])
        maker.ends([x], [output])
        #expect(try maker.runners() == ["fused", "CPU", "CPU"])
        #expect(try maker.bytes(keepAll: false, isFloat: true) == maker.bytes(keepAll: true, isFloat: true))

        var still = ModelMaker()
        let y = still.tensor("y", [1, 3, 1, 4])
        let order = try still.constant("order", [4], [Int32(1), 0, 3, 2], .int32)
        let moved = still.result(.transpose, [y, order], shape: [3, 1, 4, 1])
        let result = still.result(.neg, [moved], shape: [3, 1, 4, 1])
        still.ends([y], [result])
        #expect(try still.runners() == ["view", "CPU"])
        #expect(try still.bytes(keepAll: false, isFloat: true) == still.bytes(keepAll: true, isFloat: true))
    }

    @Test func conversionsThereAndBackVanish() throws {
        var maker = ModelMaker()
        let x = maker.tensor("x", [256])
        let real = maker.result(.dequantize, [x], shape: [256])
        let back = maker.result(.quantize, [real], shape: [256])
        let output = maker.result(.relu, [back], shape: [256])
        for tensor in [x, back, output] { maker.quantize(tensor, 0.037, 11, .int8) }
        maker.ends([x], [output])
        #expect(try maker.runners() == ["fused", "view", "CPU"])
        #expect(try maker.bytes(keepAll: false) == maker.bytes(keepAll: true))
    }
}

extension Options {
    fileprivate static func reducer(keepDims: Bool) -> Options {
        var options = Options(.reducer)
        options[0] = .int(keepDims ? 1 : 0)
        return options
    }
}
