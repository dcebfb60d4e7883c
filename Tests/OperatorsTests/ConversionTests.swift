import Kernels
import Model
import Testing

@testable import Operators

@Suite struct ConversionTests {
    private func quantized(_ type: TensorType, _ scale: Float, _ zeroPoint: Int) -> TensorInfo {
        TensorInfo(type: type, shape: [], quantization: Quantization(scale: scale, zeroPoint: zeroPoint))
    }

    @Test func quantizesFloats() throws {
        let x: [Float] = [0, 0.5, -0.5, 1.5, 0.49999997, -0.49999997, 200, -200, .infinity, -.infinity, 1e30, .nan]
        let y = try MovementCase(definition: Quantize.definition, arithmetic: .reference).output(
            [tensor(x, [12], .float32)], like: quantized(.int8, 1, 3))
        // Half away from zero, saturated.
        #expect(
            y.constant?.array(of: Int8.self) == [3, 4, 2, 5, 3, 3, 127, -128, 127, -128, 127, -128])
        let nibbles = try MovementCase(definition: Quantize.definition).output(
            [tensor([-9, -8, 7, 9, 1.2] as [Float], [5], .float32)], like: quantized(.int4, 1, 0))
        #expect(nibbles.constant?.array(of: UInt8.self) == [0x88, 0x77, 0x01])
    }

    @Test func requantizesEveryByte() throws {
        for (inputScale, outputScale, zeroIn, zeroOut) in [
            (Float(0.5), Float(0.25), 0, 0), (0.1, 0.3, -128, 5), (0.02, 0.02, 3, -3), (1.7, 0.013, 10, 20),
        ] {
            var x = try tensor((-128...127).map { Int8($0) }, [256], .int8)
            x.quantization = Quantization(scale: inputScale, zeroPoint: zeroIn)
            let expected = (-128...127).map { q -> Double in
                Double(q - zeroIn) * Double(inputScale) / Double(outputScale) + Double(zeroOut)
            }
            // The reference kernels round twice.
            for (arithmetic, tolerance) in [(Arithmetic.fast, 0.5001), (.reference, 1.0001)] {
                let y = try MovementCase(definition: Quantize.definition, arithmetic: arithmetic).output(
                    [x], like: quantized(.int8, outputScale, zeroOut))
                let values = try #require(y.constant?.array(of: Int8.self))
                for (value, real) in zip(values, expected) {
                    #expect(abs(Double(value) - min(max(real, -128), 127)) <= tolerance)
                }
            }
        }
    }

    /// From 16 and 32 bits to all types, beyond their ranges too.
    @Test func requantizesWideNumbers() throws {
        let numbers = [-32768, -32767, -801, -256, -1, 0, 1, 5, 127, 128, 255, 256, 800, 1000, 30000, 32766, 32767]
        for (from, zeroIn) in [(TensorType.int16, 0), (.int16, -7), (.int32, 0)] {
            var x =
                try from == .int16
                ? tensor(numbers.map { Int16($0) }, [17], .int16) : tensor(numbers.map { Int32($0) }, [17], .int32)
            x.quantization = Quantization(scale: 0.3, zeroPoint: zeroIn)
            for (to, zeroOut, range) in [
                (TensorType.int8, 5, -128...127), (.int16, -3, -32768...32767), (.uint8, 100, 0...255),
            ] where from == .int16 || to != .uint8 {
                for (arithmetic, tolerance) in [(Arithmetic.fast, 0.501), (.reference, 1.001)] {
                    let y = try MovementCase(definition: Quantize.definition, arithmetic: arithmetic).output(
                        [x], like: quantized(to, 0.7, zeroOut))
                    for (value, q) in zip(y.numbers, numbers) {
                        let real = Double(q - zeroIn) * 0.3 / 0.7 + Double(zeroOut)
                        #expect(
                            abs(value - min(max(real, Double(range.lowerBound)), Double(range.upperBound))) <= tolerance
                        )
                    }
                }
            }
        }
    }

    @Test func scalesTooFarApartFail() throws {
        var x = try tensor([0, 1] as [Int16], [2], .int16)
        x.quantization = Quantization(scale: 3e38, zeroPoint: 0)
        #expect(throws: Failure.self) {
            try MovementCase(definition: Quantize.definition).output([x], like: quantized(.int16, 1e-38, 0))
        }
    }

    @Test func dequantizes() throws {
        var x = try tensor([-128, 0, 127, 5, -1, 2] as [Int8], [2, 3], .int8)
        x.quantization = Quantization(scales: [0.5, 2, 0.25], dimension: 1)
        let float = TensorInfo(type: .float32, shape: [])
        let y = try MovementCase(definition: Dequantize.definition).output([x], like: float)
        #expect(y.constant?.array(of: Float.self) == [-64, 0, 31.75, 2.5, -2, 0.5])
        var packed = try tensor([0x8F, 0x07] as [UInt8], [3], .int4)
        packed.quantization = Quantization(scale: 0.5, zeroPoint: 1)
        let z = try MovementCase(definition: Dequantize.definition).output([packed], like: float)
        #expect(z.constant?.array(of: Float.self) == [-1, -4.5, 3])
        let half = try tensor([0x3C00, 0xC000, 0x7C00] as [UInt16], [3], .float16)
        let w = try MovementCase(definition: Dequantize.definition).output([half], like: float)
        #expect(w.constant?.array(of: Float.self) == [1, -2, .infinity])
        let small = try tensor([0x38, 0x7E, 0x01] as [UInt8], [3], .float8e4m3fn)
        let v = try MovementCase(definition: Dequantize.definition).output([small], like: float)
        #expect(v.constant?.array(of: Float.self) == [1, 448, 0x1p-9])
    }

    @Test func castsToFloat() throws {
        let numbers = [-128, -1, 0, 1, 5, 100, 127] + (0..<12).map { 3 * $0 - 17 }
        let like = TensorInfo(type: .float32, shape: [])
        func cast(_ x: TensorInfo) throws -> [Double] {
            try MovementCase(definition: Cast.definition).output([x], like: like).numbers
        }
        let reals = numbers.map { Double($0) }
        #expect(try cast(tensor(numbers.map { Int8($0) }, [19], .int8)) == reals)
        #expect(try cast(tensor(numbers.map { UInt8($0 + 128) }, [19], .uint8)) == reals.map { $0 + 128 })
        #expect(try cast(tensor(numbers.map { Int16($0 * 200) }, [19], .int16)) == reals.map { $0 * 200 })
        #expect(try cast(tensor(numbers.map { Float16($0) / 8 }, [19], .float16)) == reals.map { $0 / 8 })
    }

    @Test func castsSaturateAndNeverTrap() throws {
        let x = try tensor([1.9, -1.9, 1e30, -1e30, .nan, 300] as [Float], [6], .float32)
        func cast(_ type: TensorType) throws -> Bytes {
            try #require(
                try MovementCase(definition: Cast.definition).output([x], like: TensorInfo(type: type, shape: []))
                    .constant)
        }
        #expect(try cast(.int32).array(of: Int32.self) == [1, -1, .max, .min, .max, 300])
        #expect(try cast(.uint8).array(of: UInt8.self) == [1, 0, 255, 0, 255, 255])
        #expect(try cast(.int64).array(of: Int64.self) == [1, -1, .max, .min, .max, 300])
        #expect(try cast(.uint64).array(of: UInt64.self) == [1, 0, .max, 0, .max, 300])
        #expect(try cast(.bool).array(of: UInt8.self) == [1, 1, 1, 1, 1, 1])
        #expect(try cast(.int4).array(of: UInt8.self) == [0xF1, 0x87, 0x77])
        #expect(try cast(.complex64).array(of: Float.self)[..<4] == [1.9, 0, -1.9, 0])
    }

    /// Small whole numbers survive every pair of types.
    @Test func castsBetweenAllTypes() throws {
        let types: [TensorType] = [
            .float32, .float16, .int32, .uint8, .int64, .bool, .int16, .complex64, .int8, .float64, .complex128,
            .uint64,
            .uint32, .uint16, .int4, .bfloat16, .int2, .uint4, .float8e4m3fn, .float8e5m2,
        ]
        let x = try tensor([0, 1, 0, 1, 1] as [Int32], [5], .int32)
        for from in types {
            for to in types {
                let a = try MovementCase(definition: Cast.definition).output(
                    [x], like: TensorInfo(type: from, shape: []))
                let b = try MovementCase(definition: Cast.definition).output([a], like: TensorInfo(type: to, shape: []))
                let c = try MovementCase(definition: Cast.definition).output(
                    [b], like: TensorInfo(type: .int32, shape: []))
                #expect(c.constant?.array(of: Int32.self) == [0, 1, 0, 1, 1], "\(from) to \(to)")
            }
        }
    }

    @Test func roundsToEightBitFloats() throws {
        for (type, values) in [(TensorType.float8e4m3fn, SmallFloat.e4m3), (.float8e5m2, SmallFloat.e5m2)] {
            let numbers = values.filter { $0 == $0 && abs($0) < .infinity }
            let x = try tensor(numbers, [numbers.count], .float32)
            let y = try MovementCase(definition: Cast.definition).output([x], like: TensorInfo(type: type, shape: []))
            let back = try MovementCase(definition: Cast.definition).output(
                [y], like: TensorInfo(type: .float32, shape: []))
            #expect(back.constant?.array(of: Float.self) == numbers)
        }
    }

    @Test func concatenationRescales() throws {
        var a = try tensor([0, 100, 200, 255] as [UInt8], [2, 2], .uint8)
        a.quantization = Quantization(scale: 0.5, zeroPoint: 100)
        var b = try tensor([1, 2] as [UInt8], [2, 1], .uint8)
        b.quantization = Quantization(scale: 1, zeroPoint: 128)
        let operation = MovementCase(definition: Concatenation.definition, options: [0: .int(1), 1: .int(0)])
        let y = try operation.output([a, b], like: quantized(.uint8, 1, 128))
        #expect(y.constant?.array(of: UInt8.self) == [78, 128, 1, 178, 206, 2])
    }

    @Test func resizesFloats() throws {
        for channels in [5, 16, 21] { try resizesFloats(channels) }
    }

    private func resizesFloats(_ channels: Int) throws {
        let shape = [2, 3, 4, channels]
        let values = (0..<2 * 3 * 4 * channels).map { Float(($0 * 7919) % 101) }
        for (height, width) in [(1, 1), (3, 4), (6, 8), (5, 7), (2, 3), (7, 1)] {
            for (aligned, half) in [(false, false), (true, false), (false, true)] {
                let options: [Int: OptionValue] = [2: .int(aligned ? 1 : 0), 3: .int(half ? 1 : 0)]
                let y = try MovementCase(definition: ResizeBilinear.definition, options: options, threads: 2).output(
                    [tensor(values, shape, .float32), indices([height, width])])
                let result = try #require(y.constant?.array(of: Float.self))
                for c in coordinates([2, height, width, channels]) {
                    let (row, column) = (
                        source(c[1], 3, height, aligned, half), source(c[2], 4, width, aligned, half)
                    )
                    var expected = 0.0
                    for (i, wi) in [(row.low, 1 - row.weight), (row.high, row.weight)] {
                        for (j, wj) in [(column.low, 1 - column.weight), (column.high, column.weight)] {
                            expected += wi * wj * Double(values[place([c[0], i, j, c[3]], shape)])
                        }
                    }
                    #expect(abs(Double(result[place(c, [2, height, width, channels])]) - expected) < 1e-3, "\(c)")
                }
            }
        }
    }

    private func source(_ i: Int, _ input: Int, _ output: Int, _ aligned: Bool, _ half: Bool) -> (
        low: Int, high: Int, weight: Double
    ) {
        let scale =
            aligned && output > 1 ? Double(input - 1) / Double(output - 1) : Double(input) / Double(output)
        let place = half ? max(0, (Double(i) + 0.5) * scale - 0.5) : Double(i) * scale
        let low = min(Int(place), input - 1)
        return (low, min(low + 1, input - 1), place - Double(low))
    }

    /// The formula of the reference kernels, for sizes that grow, shrink and stay, and any number of channels.
    @Test func resizesIntegers() throws {
        for channels in [1, 3, 16, 21, 33] {
            let shape = [2, 3, 4, channels]
            let values = (0..<2 * 3 * 4 * channels).map { $0 * 7919 % 65536 - 32768 }
            for (height, width) in [(3, 4), (7, 9), (5, 2), (1, 31)] {
                for (aligned, half) in [(false, false), (true, false), (false, true)] {
                    let options: [Int: OptionValue] = [2: .int(aligned ? 1 : 0), 3: .int(half ? 1 : 0)]
                    let resize = MovementCase(definition: ResizeBilinear.definition, options: options)
                    let places = coordinates([2, height, width, channels])
                    func expected<T: FixedWidthInteger>(_ x: [T]) -> [T] {
                        places.map { c in
                            let row = integerSource(c[1], 3, height, aligned, half)
                            let column = integerSource(c[2], 4, width, aligned, half)
                            var sum = 0
                            for (i, wi) in [(row.low, 1024 - row.weight), (row.high, row.weight)] {
                                for (j, wj) in [(column.low, 1024 - column.weight), (column.high, column.weight)] {
                                    sum += wi * wj * Int(x[place([c[0], i, j, c[3]], shape)])
                                }
                            }
                            return T(truncatingIfNeeded: (sum + (sum > 0 ? 1 << 19 : -1 << 19)) / (1 << 20))
                        }
                    }
                    let bytes = values.map { Int8(truncatingIfNeeded: $0) }
                    let y = try resize.output([tensor(bytes, shape, .int8), indices([height, width])])
                    #expect(y.constant?.array(of: Int8.self) == expected(bytes))
                    let words = values.map { Int16($0) }
                    let z = try resize.output([tensor(words, shape, .int16), indices([height, width])])
                    #expect(z.constant?.array(of: Int16.self) == expected(words))
                }
            }
        }
    }

    private func integerSource(_ i: Int, _ input: Int, _ output: Int, _ aligned: Bool, _ half: Bool) -> (
        low: Int, high: Int, weight: Int
    ) {
        let (from, to) = aligned && output > 1 ? (input - 1, output - 1) : (input, output)
        let scale = (1024 * from + to / 2) / to
        let place = half ? i * scale + scale / 2 - 512 : i * scale
        let low = max(place / 1024, 0)
        return (low, max(min((place + 1023) / 1024, input - 1), 0), place - 1024 * low)
    }

    /// Four products of a number, the weight of its line and that of its column, in this order, and one half.
    @Test func resizesUnsignedBytes() throws {
        for channels in [1, 3, 16, 21, 33] {
            let shape = [1, 3, 4, channels]
            let values = (0..<3 * 4 * channels).map { UInt8($0 * 7919 % 256) }
            let x = try tensor(values, shape, .uint8)
            for (height, width) in [(3, 4), (7, 9), (5, 2), (1, 31)] {
                let y = try MovementCase(definition: ResizeBilinear.definition).output([x, indices([height, width])])
                let expected = coordinates([1, height, width, channels]).map { c -> UInt8 in
                    let (row, column) = (Float(c[1]) * (3 / Float(height)), Float(c[2]) * (4 / Float(width)))
                    let (top, left) = (Int(row), Int(column))
                    let (below, right) = (row - Float(top), column - Float(left))
                    func product(_ i: Int, _ j: Int, _ u: Float, _ v: Float) -> Float {
                        Float(values[place([0, min(i, 2), min(j, 3), c[3]], shape)]) * u * v
                    }
                    let first = product(top, left, 1 - below, 1 - right) + product(top + 1, left, below, 1 - right)
                    let third = first + product(top, left + 1, 1 - below, right)
                    return UInt8(third + product(top + 1, left + 1, below, right) + 0.5)
                }
                #expect(y.constant?.array(of: UInt8.self) == expected, "\(channels) channels, \(height)x\(width)")
            }
        }
    }

    @Test func hugeAndEmptyResizes() throws {
        let x = try tensor([1, 2] as [Int8], [1, 1, 2, 1], .int8)
        // The rounded scale would leave the image here.
        let y = try MovementCase(definition: ResizeBilinear.definition).output([x, indices([1, 2999])])
        #expect(y.constant?.array(of: Int8.self).max() == 2)
        #expect(try MovementCase(definition: ResizeBilinear.definition).output([x, indices([0, 5])]).count == 0)
        #expect(throws: Failure.self) {
            try MovementCase(definition: ResizeBilinear.definition).output([x, indices([-1, 5])])
        }
        let z = try MovementCase(definition: ResizeNearestNeighbor.definition).output([x, indices([2, 4])])
        #expect(z.constant?.array(of: Int8.self) == [1, 1, 2, 2, 1, 1, 2, 2])
    }
}
