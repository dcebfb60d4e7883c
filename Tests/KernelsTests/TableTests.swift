import CKernels
import Model
import Testing

@testable import Kernels

// Every row of the kernel table against the last one, its scalar twin, over enumerated small sizes. Buffers have exactly
// the stated size, so that a sanitizer sees every byte read or written beside them; rows of the output lie apart, and
// what is between them must stay as it was.

/// A memory block of exact size, filled with `filler`.
final class Block {
    static let filler: UInt8 = 0xa5
    let base: UnsafeMutableRawPointer
    let count: Int

    init(_ count: Int) {
        self.count = count
        base = .allocate(byteCount: max(1, count), alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: Block.filler, count: max(1, count))
    }
    convenience init<T: BitwiseCopyable>(_ elements: [T]) {
        self.init(elements.count * MemoryLayout<T>.stride)
        elements.withUnsafeBytes { if let from = $0.baseAddress { base.copyMemory(from: from, byteCount: $0.count) } }
    }
    deinit { base.deallocate() }

    func array<T: BitwiseCopyable>(of type: T.Type) -> [T] {
        (0..<(count / MemoryLayout<T>.stride)).map {
            base.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.stride, as: T.self)
        }
    }
}

private let depths = [1, 2, 3, 4, 5, 7, 8, 11, 16, 20]

/// Outputs of one call: `pack` makes packed weights for a row's NR, `input` the rows of activations.
private struct Product {
    var rows: Int
    var columns: Int
    var depth: Int
    var elementSize: Int

    func run(
        _ kernel: @convention(c) (UnsafePointer<eo_gemm_tile>) -> Void, input: Block, stride: Int, packed: Block,
        parameters: UnsafeRawPointer, rowParameters: UnsafeRawPointer? = nil
    ) -> Block {
        let gap = 24
        let output = Block(rows * columns * elementSize + (rows - 1) * gap)
        var tile = eo_gemm_tile(
            rows: rows, columns: columns, depth: depth, input: input.base, input_stride: stride, weights: packed.base,
            output: output.base, output_stride: columns * elementSize + gap, parameters: parameters,
            row_parameters: rowParameters)
        kernel(&tile)
        return output
    }
}

/// Calls body(rows, columns, depth) for every tile size up to that of the kernel and one column more.
private func eachSize(_ mr: Int32, _ nr: Int32, _ body: (Int, Int, Int) throws -> Void) rethrows {
    for rows in 1...Int(mr) {
        for columns in stride(from: 1, through: 2 * Int(nr) + 1, by: rows == 1 || rows == mr ? 1 : 7) {
            for depth in depths { try body(rows, columns, depth) }
        }
    }
}

@Test func floatProductsAreThoseOfTheScalarTwin() {
    var count: Int32 = 0
    let table = eo_f32_gemm_rows(&count)
    let twin = table[Int(count) - 1]
    for index in 0..<Int(count) - 1 where kernels_isa_available(table[index].isa) {
        let kernel = table[index]
        var numbers = Numbers(seed: index)
        var parameters = eo_f32_gemm_parameters(minimum: -1.5, maximum: 1.25)
        eachSize(kernel.mr, kernel.nr) { rows, columns, depth in
            let input = Block(numbers.floats(rows * depth))
            let weights = numbers.floats(columns * depth)
            let bias = numbers.floats(columns)
            let outputs = [kernel, twin].map { row -> Block in
                let packed = Block(eo_f32_gemm_packed_size(row.nr, depth, columns))
                eo_f32_gemm_pack(row.nr, depth, columns, weights, bias, packed.base)
                // The twin's tile is smaller: a row at a time.
                var results: [UInt8] = []
                let step = row.mr == kernel.mr ? rows : 1
                for first in stride(from: 0, to: rows, by: step) {
                    let part = Block(Array(input.array(of: Float.self)[(first * depth)..<((first + step) * depth)]))
                    results += Product(rows: step, columns: columns, depth: depth, elementSize: 4).run(
                        row.run, input: part, stride: depth * 4, packed: packed, parameters: &parameters
                    ).array(of: UInt8.self)
                    if first + step < rows { results += [UInt8](repeating: Block.filler, count: 24) }
                }
                return Block(results)
            }
            let (fast, slow) = (outputs[0].array(of: Float.self), outputs[1].array(of: Float.self))
            // Half an ulp for each of depth products and sums, whose absolute values are at most depth + 1.
            let bound = Float(depth + 1) * Float(depth + 1) * .ulpOfOne
            let worst = zip(fast, slow).map { $0 == $1 ? 0 : abs($0 - $1) }.max() ?? 0
            #expect(worst <= bound, "\(String(cString: kernel.name)) \(rows)x\(columns)x\(depth): off by \(worst)")
        }
    }
}

/// The numbers of a row of bytes, zero-filled to `depth`, as the kernels of `isa` take them.
private func rowsOfBytes(_ bytes: [UInt8], depth: Int, filled: Int, isa: kernels_isa) -> Block {
    let rows = bytes.count / depth
    var padded = [UInt8]()
    for row in 0..<rows {
        padded += bytes[(row * depth)..<((row + 1) * depth)] + [UInt8](repeating: 0, count: filled - depth)
    }
    return eo_gemm_takes_wide_rows(isa) ? Block(padded.map { UInt16($0) }) : Block(padded)
}

@Test(arguments: [0, 1, -128, 127])
func byteProductsAreThoseOfTheScalarTwin(_ weightZeroPoint: Int32) {
    var count: Int32 = 0
    let table = eo_u8_gemm_rows(&count)
    let twin = table[Int(count) - 1]
    var numbers = Numbers(seed: Int(weightZeroPoint) + 200)
    var parameters = eo_u8_gemm_parameters(
        minimum: -100, maximum: 155, output_zero_point: -28, weight_zero_point: weightZeroPoint)
    for index in 0..<Int(count) - 1 where kernels_isa_available(table[index].isa) {
        let kernel = table[index]
        eachSize(kernel.mr, kernel.nr) { rows, columns, depth in
            let filled = (depth + 3) / 4 * 4
            // Extreme bytes often: there sums saturate, if anywhere.
            let bytes = numbers.integers(rows * depth, -64...319).map { UInt8(min(255, max(0, $0))) }
            let weights = numbers.integers(columns * depth, -192...191).map { byte(min(127, max(-128, $0))) }
            let bias = numbers.integers(columns, -9000...9000).map { Int32($0) }
            let scale = numbers.integers(columns, 1...400).map { Float($0) / 40000 }
            let outputs = [kernel, twin].map { row -> [UInt8] in
                let packed = Block(eo_u8_gemm_packed_size(row.nr, depth, columns))
                weights.withUnsafeBufferPointer { weights in
                    bias.withUnsafeBufferPointer { bias in
                        scale.withUnsafeBufferPointer { scale in
                            var source = eo_u8_gemm_weights(
                                depth: depth, columns: columns, weights: weights.baseAddress!, flip: 0,
                                weight_zero_point: weightZeroPoint, input_zero_point: 131, bias: bias.baseAddress,
                                scale: scale.baseAddress!)
                            eo_u8_gemm_pack(row.nr, &source, packed.base)
                        }
                    }
                }
                let size = eo_gemm_takes_wide_rows(row.isa) ? 2 : 1
                var results: [UInt8] = []
                let step = row.mr == kernel.mr && row.isa == kernel.isa ? rows : 1
                for first in stride(from: 0, to: rows, by: step) {
                    let part = rowsOfBytes(
                        Array(bytes[(first * depth)..<((first + step) * depth)]), depth: depth, filled: filled,
                        isa: row.isa)
                    results += Product(rows: step, columns: columns, depth: filled, elementSize: 1).run(
                        row.run, input: part, stride: filled * size, packed: packed, parameters: &parameters
                    ).array(of: UInt8.self)
                    if first + step < rows { results += [UInt8](repeating: Block.filler, count: 24) }
                }
                return results
            }
            #expect(outputs[0] == outputs[1], "\(String(cString: kernel.name)) \(rows)x\(columns)x\(depth)")
        }
    }
}

@Test func hybridProductsAreThoseOfTheScalarTwin() {
    var count: Int32 = 0
    let table = eo_hybrid_gemm_rows(&count)
    let twin = table[Int(count) - 1]
    var numbers = Numbers(seed: 5)
    var parameters = eo_hybrid_gemm_parameters(minimum: -300, maximum: 300)
    for index in 0..<Int(count) - 1 where kernels_isa_available(table[index].isa) {
        let kernel = table[index]
        eachSize(kernel.mr, kernel.nr) { rows, columns, depth in
            let filled = (depth + 3) / 4 * 4
            let bytes = numbers.integers(rows * depth, 0...255).map { UInt8($0) }
            let weights = numbers.integers(columns * depth, -127...127).map(byte)
            let bias = numbers.floats(columns)
            let scale = numbers.integers(columns, 1...400).map { Float($0) / 40000 }
            let entries = (0..<rows).map { _ in
                eo_hybrid_row(scale: numbers.float() + 1.5, zero_point: Int32(numbers.integer(0...255)))
            }
            let outputs = [kernel, twin].map { row -> [UInt8] in
                let packed = Block(eo_hybrid_gemm_packed_size(row.nr, depth, columns))
                eo_hybrid_gemm_pack(row.nr, depth, columns, weights, scale, bias, packed.base)
                let size = eo_gemm_takes_wide_rows(row.isa) ? 2 : 1
                var results: [UInt8] = []
                let step = row.mr == kernel.mr && row.isa == kernel.isa ? rows : 1
                for first in stride(from: 0, to: rows, by: step) {
                    let part = rowsOfBytes(
                        Array(bytes[(first * depth)..<((first + step) * depth)]), depth: depth, filled: filled,
                        isa: row.isa)
                    let numbersOfRows = Block(Array(entries[first..<(first + step)]))
                    results += Product(rows: step, columns: columns, depth: filled, elementSize: 4).run(
                        row.run, input: part, stride: filled * size, packed: packed, parameters: &parameters,
                        rowParameters: numbersOfRows.base
                    ).array(of: UInt8.self)
                    if first + step < rows { results += [UInt8](repeating: Block.filler, count: 24) }
                }
                return results
            }
            #expect(outputs[0] == outputs[1], "\(String(cString: kernel.name)) \(rows)x\(columns)x\(depth)")
        }
    }
}

@Test func shortProductsAreThoseOfTheScalarTwin() {
    var count: Int32 = 0
    let table = eo_s16_gemm_rows(&count)
    let twin = table[Int(count) - 1]
    var numbers = Numbers(seed: 6)
    var parameters = eo_s16_parameters(minimum: -32768, maximum: 30000, output_zero_point: 0)
    for index in 0..<Int(count) - 1 where kernels_isa_available(table[index].isa) {
        let kernel = table[index]
        eachSize(kernel.mr, kernel.nr) { rows, columns, depth in
            let filled = (depth + 1) / 2 * 2
            let shorts = numbers.integers(rows * filled, -32768...32767).map { Int16($0) }
            let weights = numbers.integers(columns * depth, -128...127).map(byte)
            let bias = numbers.integers(columns, -90000...90000).map { Int64($0) }
            let scale = numbers.integers(columns, 1...400).map { Float($0) / 400000 }
            let outputs = [kernel, twin].map { row -> [UInt8] in
                let packed = Block(eo_s16_gemm_packed_size(row.nr, depth, columns))
                eo_s16_gemm_pack(row.nr, depth, columns, weights, scale, bias, packed.base)
                var results: [UInt8] = []
                let step = row.mr == kernel.mr && row.isa == kernel.isa ? rows : 1
                for first in stride(from: 0, to: rows, by: step) {
                    let part = Block(Array(shorts[(first * filled)..<((first + step) * filled)]))
                    results += Product(rows: step, columns: columns, depth: filled, elementSize: 2).run(
                        row.run, input: part, stride: filled * 2, packed: packed, parameters: &parameters
                    ).array(of: UInt8.self)
                    if first + step < rows { results += [UInt8](repeating: Block.filler, count: 24) }
                }
                return results
            }
            #expect(outputs[0] == outputs[1], "\(String(cString: kernel.name)) \(rows)x\(columns)x\(depth)")
        }
    }
}
