import CKernels
import Foundation
import Testing

@testable import Kernels

/// The element kernels of every instruction set this machine has, against the scalar ones: the same bits, for every
/// small length, with nothing touched outside.
@Suite struct ElementwiseTests {
    nonisolated(unsafe) static let rows: [UnsafePointer<eo_elementwise>] = {
        var count: Int32 = 0
        let rows = eo_elementwise_rows(&count)
        return (0..<Int(count)).map { rows[$0] }.filter { kernels_isa_available($0.pointee.isa) }
    }()
    nonisolated(unsafe) static let scalar = rows.last!
    static let lengths = Array(0...50) + [63, 64, 65, 257]

    nonisolated(unsafe) static let floatUnary: [(String, KeyPath<eo_elementwise, eo_unary>)] = [
        ("clamp", \.f32_clamp), ("leaky_relu", \.f32_leaky_relu), ("hard_swish", \.f32_hard_swish), ("exp", \.f32_exp),
        ("elu", \.f32_elu), ("logistic", \.f32_logistic), ("swish", \.f32_swish), ("tanh", \.f32_tanh),
        ("gelu", \.f32_gelu), ("gelu_tanh", \.f32_gelu_tanh), ("sqrt", \.f32_sqrt), ("rsqrt", \.f32_rsqrt),
        ("square", \.f32_square), ("abs", \.f32_abs), ("neg", \.f32_neg), ("sign", \.f32_sign),
        ("floor", \.f32_floor), ("ceil", \.f32_ceil), ("round", \.f32_round), ("log", \.f32_log), ("sin", \.f32_sin),
        ("cos", \.f32_cos),
    ]
    nonisolated(unsafe) static let floatBinary: [(String, KeyPath<eo_elementwise, eo_binary>)] = [
        ("add", \.f32_add), ("sub", \.f32_sub), ("mul", \.f32_mul), ("div", \.f32_div), ("min", \.f32_min),
        ("max", \.f32_max), ("squared_difference", \.f32_squared_difference), ("prelu", \.f32_prelu),
    ]
    nonisolated(unsafe) static let byteBinary: [(String, KeyPath<eo_elementwise, eo_binary>)] = [
        ("s8_add", \.s8_add), ("u8_add", \.u8_add), ("s8_mul", \.s8_mul), ("u8_mul", \.u8_mul), ("s8_min", \.s8_min),
        ("u8_min", \.u8_min), ("s8_max", \.s8_max), ("u8_max", \.u8_max),
    ]
    nonisolated(unsafe) static let shortBinary: [(String, KeyPath<eo_elementwise, eo_binary>)] = [
        ("s16_add", \.s16_add), ("s16_mul", \.s16_mul), ("s16_min", \.s16_min), ("s16_max", \.s16_max),
    ]

    /// Values of all sizes and signs, infinities and NaN among them.
    static func floats(_ count: Int, seed: UInt64) -> [Float] {
        var random = SplitMix(seed)
        let special: [Float] = [0, -0.0, .infinity, -.infinity, .nan, 88.8, -88.8, -103.9, 0.625, 0x1p-140, 6e4]
        return (0..<count).map { index in
            index % 13 == 7
                ? special[Int(random.next() % 11)] : Float(Int64(bitPattern: random.next()) >> 40) / 0x1p20
        }
    }

    static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SplitMix(seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next() >> 20) }
    }

    /// Runs `kernel` on `count` outputs between two guards, which must survive.
    static func guarded<T: Equatable>(
        _ count: Int, _ untouched: T, _ kernel: (UnsafeMutablePointer<T>) -> Void
    ) -> [T] {
        var memory = [T](repeating: untouched, count: count + 2 * 40)
        memory.withUnsafeMutableBufferPointer { kernel($0.baseAddress! + 40) }
        #expect(memory[..<40].allSatisfy { $0 == untouched } && memory[(40 + count)...].allSatisfy { $0 == untouched })
        return Array(memory[40..<(40 + count)])
    }

    static func sameBits(_ a: [Float], _ b: [Float]) -> Bool {
        zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
    }

    @Test(arguments: floatUnary.indices) func floatUnaryKernels(_ index: Int) {
        let (name, kernel) = Self.floatUnary[index]
        var parameters = eo_f32_params(low: -0.5, high: 3)
        for length in Self.lengths {
            let x = Self.floats(length, seed: UInt64(length))
            let run = { (row: UnsafePointer<eo_elementwise>) in
                Self.guarded(length, Float(7)) { y in row.pointee[keyPath: kernel](length, x, y, &parameters) }
            }
            let expected = run(Self.scalar)
            for row in Self.rows {
                #expect(Self.sameBits(run(row), expected), "\(name), \(row.pointee.isa), length \(length)")
            }
        }
    }

    /// Within some units in the last place of the real function, wherever floats are: subnormal, huge, near zeros.
    @Test func floatFunctionsAreNear() {
        let table = kernelTable.pointee
        let cases: [(eo_unary, (Double) -> Double, Double)] = [
            (table.f32_sin, { sin($0) }, 1.6), (table.f32_cos, { cos($0) }, 1.6), (table.f32_log, { log($0) }, 1),
            (table.f32_tanh, { tanh($0) }, 3), (table.f32_exp, { exp($0) }, 3),
        ]
        let sizes = stride(from: Float(0).bitPattern, through: Float.infinity.bitPattern, by: 20_011)
        let multiples = (1...2000).map { Float(Double($0) * Double.pi / 2) }
        let x = (sizes.map { Float(bitPattern: $0) } + multiples + [0x1p19, 0x1p19 + 1, .nan]).flatMap { [$0, -$0] }
        for (index, (kernel, function, bound)) in cases.enumerated() {
            var y = [Float](repeating: 0, count: x.count)
            kernel(x.count, x, &y, nil)
            let wrong = zip(x, y).first { x, y in
                let expected = function(Double(x))
                let nearest = Float(expected)
                guard nearest.isFinite else { return nearest.isNaN ? !y.isNaN : y != nearest }
                return abs(Double(y) - expected) > bound * Double(nearest.ulp)
            }
            #expect(wrong == nil, "function \(index)")
        }
        var zero: Float = 0
        table.f32_sin(1, [-0.0 as Float], &zero, nil)
        #expect(zero.sign == .minus)
    }

    /// Its error is absolute where it is small, and it ends at 0 and at the identity.
    @Test func geluIsNear() {
        let x = (-80_000...80_000).map { Float($0) / 10_000 } + [-1e30, -9, 9, 1e30]
        var y = [Float](repeating: 0, count: x.count)
        kernelTable.pointee.f32_gelu(x.count, x, &y, nil)
        let wrong = zip(x, y).first { x, y in
            let real = Double(x)
            let expected: Double = real / 2 * erfc(-real / 2.0.squareRoot())
            return abs(Double(y) - expected) > 4e-7 * max(1, abs(real))
        }
        #expect(wrong == nil)
        #expect(y.suffix(4) == [0, 0, 9, 1e30])
    }

    nonisolated(unsafe) static let pools: [(String, KeyPath<eo_elementwise, eo_pool>, size: Int, isMean: Bool)] = [
        ("s8_max", \.s8_max_pool, 1, false), ("u8_max", \.u8_max_pool, 1, false), ("s16_max", \.s16_max_pool, 2, false),
        ("f32_max", \.f32_max_pool, 4, false), ("s8_average", \.s8_average_pool, 1, true),
        ("u8_average", \.u8_average_pool, 1, true), ("s16_average", \.s16_average_pool, 2, true),
        ("f32_average", \.f32_average_pool, 4, false),
    ]

    @Test(arguments: pools.indices) func poolKernels(_ index: Int) {
        let (name, kernel, size, isMean) = Self.pools[index]
        for channels in Self.lengths where channels > 0 {
            for (rows, columns) in [(1, 1), (3, 3), (2, 7)] {
                // Numbers of each type: the bytes of floats would not be.
                let count = (rows + 1) * (columns + 2) * channels
                let floats = Self.floats(count, seed: UInt64(channels)).map { $0.isFinite ? $0 : 1 }
                let x = size == 4 ? floats.withUnsafeBytes(Array.init) : Self.bytes(count * size, seed: 9)
                let taps = Float(rows * columns)
                var window = eo_pool_window(
                    rows: rows, columns: columns, channels: channels, row_stride: (columns + 2) * channels,
                    pixel_stride: channels, step: channels, count: 1, factor: isMean ? 1 / taps : taps, low: 0,
                    high: 100)
                let run = { (row: UnsafePointer<eo_elementwise>) in
                    Self.guarded(channels * size, UInt8(7)) { y in
                        x.withUnsafeBytes { row.pointee[keyPath: kernel](&window, $0.baseAddress!, y) }
                    }
                }
                let expected = run(Self.scalar)
                for row in Self.rows {
                    #expect(run(row) == expected, "\(name), \(row.pointee.isa), \(rows)x\(columns)x\(channels)")
                }
            }
        }
    }

    @Test(arguments: floatBinary.indices) func floatBinaryKernels(_ index: Int) {
        let (name, kernel) = Self.floatBinary[index]
        var parameters = eo_f32_params(low: -5, high: 6)
        for length in Self.lengths {
            let (a, b) = (Self.floats(length + 1, seed: 1), Self.floats(length + 1, seed: 2))
            for form in [Broadcast.Form.vectorVector, .vectorScalar, .scalarVector] {
                let run = { (row: UnsafePointer<eo_elementwise>) in
                    Self.guarded(length, Float(7)) { y in
                        form.kernel(row.pointee[keyPath: kernel])(length, a, b, y, &parameters)
                    }
                }
                let expected = run(Self.scalar)
                for row in Self.rows {
                    #expect(Self.sameBits(run(row), expected), "\(name) \(form), \(row.pointee.isa), length \(length)")
                }
            }
        }
    }

    @Test(arguments: byteBinary.indices) func byteBinaryKernels(_ index: Int) {
        integerBinary(Self.byteBinary[index], UInt8(77))
    }

    @Test(arguments: shortBinary.indices) func shortBinaryKernels(_ index: Int) {
        integerBinary(Self.shortBinary[index], UInt16(7777))
    }

    private func integerBinary<T: FixedWidthInteger>(
        _ kernel: (String, KeyPath<eo_elementwise, eo_binary>), _ untouched: T
    ) {
        let isShort = T.bitWidth == 16
        // Zero points and bounds that the type has.
        let zeros: (Int32, Int32, Int32) = isShort ? (0, 0, 0) : kernel.0.hasPrefix("u") ? (133, 121, 125) : (3, -7, 5)
        var parameters = eo_quantized_binary_params(
            zero_a: zeros.0, zero_b: zeros.1, zero_y: zeros.2, scale_a: isShort ? 0.003 : 0.7, scale_b: -0.3,
            low: -100, high: 90)
        for length in Self.lengths {
            let (a, b) = (Self.bytes(2 * length + 2, seed: 3), Self.bytes(2 * length + 2, seed: 4))
            for form in [Broadcast.Form.vectorVector, .vectorScalar, .scalarVector] {
                let run = { (row: UnsafePointer<eo_elementwise>) in
                    Self.guarded(length, untouched) { y in
                        form.kernel(row.pointee[keyPath: kernel.1])(length, a, b, y, &parameters)
                    }
                }
                let expected = run(Self.scalar)
                for row in Self.rows {
                    #expect(run(row) == expected, "\(kernel.0) \(form), \(row.pointee.isa), length \(length)")
                }
            }
        }
    }

    @Test func conversions() {
        var parameters = eo_quantize_params(offset: 11, zero: 5, scale: 0.37, low: -50, high: 60)
        for length in Self.lengths {
            let x = Self.floats(length, seed: 5)
            let integers = Self.bytes(4 * length, seed: 6)
            for row in Self.rows {
                let (fast, plain) = (row.pointee, Self.scalar.pointee)
                for (kernel, twin) in [
                    (fast.f32_to_s8, plain.f32_to_s8), (fast.f32_to_u8, plain.f32_to_u8),
                    (fast.f32_to_s16, plain.f32_to_s16), (fast.f32_to_f16, plain.f32_to_f16),
                ] {
                    let y = Self.guarded(2 * length, UInt8(9)) { kernel(length, x, $0, &parameters) }
                    #expect(y == Self.guarded(2 * length, UInt8(9)) { twin(length, x, $0, &parameters) })
                }
                for (kernel, twin) in [
                    (fast.s32_to_s8, plain.s32_to_s8), (fast.s32_to_u8, plain.s32_to_u8),
                    (fast.s32_to_s16, plain.s32_to_s16), (fast.s8_to_f32, plain.s8_to_f32),
                    (fast.u8_to_f32, plain.u8_to_f32), (fast.s16_to_f32, plain.s16_to_f32),
                    (fast.f16_to_f32, plain.f16_to_f32),
                ] {
                    let y = Self.guarded(4 * length, UInt8(9)) { kernel(length, integers, $0, &parameters) }
                    #expect(y == Self.guarded(4 * length, UInt8(9)) { twin(length, integers, $0, &parameters) })
                }
                let table = Self.bytes(256, seed: 8)
                let looked = Self.guarded(length, UInt8(9)) { fast.x8_lut(length, integers, $0, table) }
                #expect(looked == integers[..<length].map { table[Int($0)] })
            }
        }
    }

    @Test func fakeQuantization() {
        var parameters = eo_fake_quantize_params(inverse: 1 / 0.37, scale: 0.37, low: -7, high: 8)
        for length in Self.lengths {
            let (x, dy) = (Self.floats(length, seed: 11), Self.floats(length, seed: 12))
            let finite = x.map { $0.isFinite ? $0 : 1 }
            for row in Self.rows {
                let (fast, plain) = (row.pointee, Self.scalar.pointee)
                let y = Self.guarded(length, Float(9)) { fast.f32_fake_quantize(length, x, $0, &parameters) }
                let expected = x.map { x in
                    let v = x * (1 / 0.37 as Float)
                    return v.isNaN ? v : min(max(v.rounded(.toNearestOrEven), -7), 8) * 0.37
                }
                #expect(zip(y, expected).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) })
                let gradient = { (kernels: eo_elementwise) in
                    Self.guarded(length, Float(9)) {
                        kernels.f32_fake_quantize_gradient(length, x, dy, $0, &parameters)
                    }
                }
                #expect(Self.sameBits(gradient(fast), gradient(plain)))
                let inverse = (0...length).map { Float($0 % 7 + 1) }
                let factor = inverse.map { $0 / 50 }
                let requantized = { (kernels: eo_elementwise, away: Int32) in
                    Self.guarded(length, Float(9)) { y in
                        inverse.withUnsafeBufferPointer { inverse in
                            factor.withUnsafeBufferPointer { factor in
                                var parameters = eo_fake_requantize_params(
                                    inverse: inverse.baseAddress!, factor: factor.baseAddress!, scale: 0.3, low: -9,
                                    high: 11, zero: -1, away: away)
                                kernels.f32_fake_requantize(length, x, y, &parameters)
                            }
                        }
                    }
                }
                #expect(Self.sameBits(requantized(fast, 0), requantized(plain, 0)))
                #expect(Self.sameBits(requantized(fast, 1), requantized(plain, 1)))
                let slope = { (kernels: eo_elementwise) in
                    kernels.f32_fake_quantize_scale_gradient(length, finite, finite, &parameters)
                }
                #expect(slope(fast).bitPattern == slope(plain).bitPattern)
            }
        }
    }

    @Test func reductions() {
        for length in Self.lengths {
            let x = Self.floats(length, seed: 9).map { $0.isFinite ? $0 : 1 }
            let integers = Self.bytes(2 * length, seed: 10)
            for row in Self.rows {
                let (fast, plain) = (row.pointee, Self.scalar.pointee)
                #expect(fast.f32_sum(length, x).bitPattern == plain.f32_sum(length, x).bitPattern)
                #expect(fast.f32_sum_of_squares(length, x).bitPattern == plain.f32_sum_of_squares(length, x).bitPattern)
                #expect(fast.f32_maximum(length, x) == plain.f32_maximum(length, x))
                #expect(fast.f32_minimum(length, x) == (x.min() ?? .infinity))
                let run = { (kernels: eo_elementwise) in
                    Self.guarded(length, Float(3)) { _ = kernels.f32_exp_sum(length, x, $0, 4, 0.5) }
                }
                #expect(run(fast) == run(plain))
                let sums = { (kernels: eo_elementwise) in
                    Self.guarded(length, Int32(1)) { sums in
                        integers.withUnsafeBytes {
                            kernels.s8_add_rows(length, 2, length, $0.baseAddress!, sums)
                            kernels.u8_add_rows(length, 2, length, $0.baseAddress!, sums)
                            kernels.s16_add_rows(length, 1, length, $0.baseAddress!, sums)
                        }
                    }
                }
                if length > 0 { #expect(sums(fast) == sums(plain)) }
                #expect(fast.u8_sum(length, integers) == integers[..<length].reduce(0) { $0 + Int32($1) })
                for least in [-32768, -32767] as [Int16] {
                    let numbers = [Int16](repeating: least, count: length)
                    var dots = [Int64](repeating: 0, count: 2)
                    fast.s16_dots(length, 2, numbers, 0, numbers, 0, &dots)
                    let expected = Int64(length) * Int64(least) * Int64(least)
                    #expect(dots == [expected, expected])
                }
            }
        }
    }
}

/// Steele, Lea and Flood's generator (2014).
struct SplitMix {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
