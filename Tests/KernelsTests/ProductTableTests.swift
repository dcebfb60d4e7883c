import CKernels
import Model
import Testing

@testable import Kernels

// Every row of the product tables against the last one, its scalar twin, over enumerated small sizes.

private typealias Kernel = @convention(c) (UnsafePointer<eo_gemm_tile>) -> Void

/// The numbers of one product, of which each kernel gets its own form.
private struct Product {
    var rows: Int
    var columns: Int
    /// As the kernels count it: filled up.
    var depth: Int
    var outputSize: Int
    var parameters: Block
    var rowParameters: Block?
    var rowParametersStride = 0

    /// What a kernel makes of it, `step` rows at a time. Rows of the output lie `gap` bytes apart, which must stay as
    /// they were.
    func run(
        _ kernel: Kernel, step: Int, input: Block, packed: Block,
        pieces: (count: Int, table: UnsafePointer<UnsafeRawPointer>)? = nil
    ) -> [UInt8] {
        let gap = 24
        let stride = columns * outputSize + gap
        let output = Block(rows * stride - gap)
        for first in Swift.stride(from: 0, to: rows, by: step) {
            let size = input.count / rows
            var tile = eo_gemm_tile(
                rows: min(step, rows - first), columns: columns, depth: depth, input: input.base + first * size,
                input_stride: pieces == nil ? size : 0, weights: packed.base, output: output.base + first * stride,
                output_stride: stride,
                parameters: parameters.base,
                row_parameters: rowParameters.map { UnsafeRawPointer($0.base + first * rowParametersStride) },
                row_parameters_stride: rowParametersStride,
                segments: pieces?.count ?? 0, segment_offset: 0, segment: pieces?.table, line_rows: 0, line_stride: 0,
                segment_stride: 0, in_tiles: false, rounds: false, ahead: packed.base, ahead_size: packed.count)
            kernel(&tile)
        }
        return output.array(of: UInt8.self)
    }
}

/// Calls body(rows, columns, depth): all columns up to two blocks and one more for the smallest and the largest tile,
/// some of them for those between. Kernels for many rows get those around their blocks, and depths around their steps.
private func eachSize(_ mr: Int32, _ nr: Int32, _ body: (Int, Int, Int) -> Void) {
    guard mr < 32 else {
        for rows in [1, 2, 15, 16, 17, 31, 32, 33, 49, 64, 99, Int(mr)] {
            for columns in [1, 15, 16, 17, 31, 32, 33, 48, 65] {
                for depth in [1, 3, 4, 27, 61, 64, 65, 96, 127, 128, 132, 576] { body(rows, columns, depth) }
            }
        }
        return
    }
    for rows in 1...Int(mr) {
        let all = rows == 1 || rows == mr
        for columns in stride(from: 1, through: 2 * Int(nr) + 1, by: all ? 1 : 11) {
            for depth in all ? [1, 2, 3, 4, 5, 8, 11, 20] : [1, 4, 7] { body(rows, columns, depth) }
        }
    }
}

/// A row as `eo_gather_magnitudes` leaves it.
private func magnitudes(_ row: ArraySlice<Int8>) -> [UInt8] {
    let quads = stride(from: row.startIndex, to: row.endIndex, by: 4).map { row[$0..<($0 + 4)] }
    let rest = row.filter { $0 < 0 }.reduce(Int32(0)) { $0 + Int32($1.magnitude) }
    return quads.flatMap { $0.map(\.magnitude) + $0.map { $0 < 0 ? 255 : 0 } }
        + withUnsafeBytes(of: rest) { Array($0) }
}

/// Rows of bytes, zero-filled to a multiple of 4, as the kernels of `isa` take them. `flip`: xored into every byte.
private func rowsOfBytes(_ bytes: [UInt8], depth: Int, isa: kernels_isa, flip: UInt8 = 0) -> Block {
    let filled = (depth + 3) / 4 * 4
    var padded: [UInt8] = []
    for first in stride(from: 0, to: bytes.count, by: depth) {
        padded += bytes[first..<(first + depth)].map { $0 ^ flip } + [UInt8](repeating: 0, count: filled - depth)
    }
    if eo_gemm_takes_magnitudes(isa) {
        let signed = padded.map(Int8.init(bitPattern:))
        return Block(
            stride(from: 0, to: signed.count, by: filled).flatMap { magnitudes(signed[$0..<($0 + filled)]) })
    }
    return eo_gemm_takes_words(isa) ? Block(padded.map { UInt16($0) }) : Block(padded)
}

/// A table's rows, the scalar twin last.
func rows<Row>(_ table: (UnsafeMutablePointer<Int32>) -> UnsafePointer<Row>) -> [Row] {
    var count: Int32 = 0
    let first = table(&count)
    return Array(UnsafeBufferPointer(start: first, count: Int(count)))
}

@Test func floatProductsAreThoseOfTheScalarTwin() {
    let table = rows(eo_f32_gemm_rows)
    let twin = table.last!
    var numbers = Numbers(seed: 1)
    let parameters = Block([eo_f32_gemm_parameters(minimum: -1.5, maximum: 1.25)])
    for kernel in table.dropLast() where kernels_isa_available(kernel.isa) {
        eachSize(kernel.mr, kernel.nr) { rows, columns, depth in
            let input = Block(numbers.floats(rows * depth))
            let weights = numbers.floats(columns * depth)
            let bias = numbers.floats(columns)
            let product = Product(rows: rows, columns: columns, depth: depth, outputSize: 4, parameters: parameters)
            let outputs = [(kernel, rows), (twin, 1)].map { row, step -> [Float] in
                let packed = Block(eo_f32_gemm_packed_size(row.nr, depth, columns))
                eo_f32_gemm_pack(row.nr, depth, columns, weights, bias, packed.base)
                return Block(product.run(row.run, step: step, input: input, packed: packed)).array(of: Float.self)
            }
            // Half an ulp for each of depth products and sums, whose absolute values are at most depth + 1.
            let bound = Float((depth + 1) * (depth + 1)) * .ulpOfOne
            let worst = zip(outputs[0], outputs[1]).map { $0 == $1 ? 0 : abs($0 - $1) }.max() ?? 0
            #expect(worst <= bound, "\(String(cString: kernel.name)) \(rows)x\(columns)x\(depth): off by \(worst)")
        }
    }
}

/// Rows in pieces give the bits of the same rows in one piece.
@Test(arguments: [1, 3, 9])
func floatProductsOfPieces(_ segments: Int) {
    var numbers = Numbers(seed: segments)
    let parameters = Block([eo_f32_gemm_parameters(minimum: -1.5, maximum: 1.25)])
    for kernel in rows(eo_f32_gemm_rows) where kernels_isa_available(kernel.isa) {
        for (rows, columns, size) in [(1, 5, 1), (2, 33, 4), (Int(kernel.mr), 70, 7)] {
            let depth = segments * size
            let input = numbers.floats(rows * depth)
            let product = Product(rows: rows, columns: columns, depth: depth, outputSize: 4, parameters: parameters)
            let packed = Block(eo_f32_gemm_packed_size(kernel.nr, depth, columns))
            eo_f32_gemm_pack(
                kernel.nr, depth, columns, numbers.floats(columns * depth), numbers.floats(columns), packed.base)
            let pieces = (0..<(segments * rows)).map { piece in
                let first = piece % rows * depth + piece / rows * size
                return Block(Array(input[first..<(first + size)]))
            }
            var table = [UnsafeRawPointer](repeating: UnsafeRawPointer(packed.base), count: segments * Int(kernel.mr))
            for (piece, block) in pieces.enumerated() {
                table[piece / rows * Int(kernel.mr) + piece % rows] = UnsafeRawPointer(block.base)
            }
            let whole = product.run(kernel.run, step: rows, input: Block(input), packed: packed)
            let parts = table.withUnsafeBufferPointer {
                product.run(
                    kernel.run, step: rows, input: Block(input), packed: packed,
                    pieces: (segments, $0.baseAddress!))
            }
            #expect(whole == parts, "\(String(cString: kernel.name)) \(rows)x\(columns), \(segments) pieces of \(size)")
        }
    }
}

@Test(arguments: [0, 1, -128, 127] as [Int32], [false, true])
func byteProductsAreThoseOfTheScalarTwin(_ weightZeroPoint: Int32, signed: Bool) {
    let table = rows(eo_u8_gemm_rows)
    let twin = table.last!
    var numbers = Numbers(seed: Int(weightZeroPoint) + 200)
    for kernel in table.dropLast() where kernels_isa_available(kernel.isa) {
        eachSize(kernel.mr, kernel.nr) { rows, columns, depth in
            // Extreme bytes often: there sums saturate, if anywhere.
            let bytes = numbers.integers(rows * depth, -64...319).map { UInt8(min(255, max(0, $0))) }
            let weights = numbers.integers(columns * depth, -192...191).map { byte(min(127, max(-128, $0))) }
            let bias = numbers.integers(columns, -9000...9000).map { Int32($0) }
            let scale = numbers.integers(columns, 1...400).map { Float($0) / 40000 }
            let outputs = [(kernel, rows), (twin, 1)].map { row, step -> [UInt8] in
                var row = row
                let packed = Block(eo_u8_gemm_packed_size(&row, depth, columns, 1))
                let isSigned =
                    !eo_gemm_takes_unsigned_rows(row.isa) || signed && eo_gemm_takes_signed_rows(row.isa)
                withByteWeights(
                    depth, columns, weights, bias, scale, weightZeroPoint, inputZeroPoint: isSigned ? 3 : 131
                ) { eo_u8_gemm_pack(&row, $0, packed.base) }
                let input = rowsOfBytes(bytes, depth: depth, isa: row.isa, flip: isSigned ? 0x80 : 0)
                let parameters = Block([
                    eo_u8_gemm_parameters(
                        minimum: -100, maximum: 155, output_zero_point: signed ? -28 : 100,
                        weight_zero_point: weightZeroPoint, rows_are_signed: isSigned, scales_below_one: rows % 2 == 0)
                ])
                let product = Product(
                    rows: rows, columns: columns, depth: (depth + 3) / 4 * 4, outputSize: 1, parameters: parameters)
                return product.run(row.run, step: step, input: input, packed: packed)
            }
            #expect(outputs[0] == outputs[1], "\(String(cString: kernel.name)) \(rows)x\(columns)x\(depth)")
        }
    }
}

func withByteWeights(
    _ depth: Int, _ columns: Int, _ weights: [UInt8], _ bias: [Int32], _ scale: [Float], _ zeroPoint: Int32,
    inputZeroPoint: Int32 = 131, _ body: (UnsafePointer<eo_u8_gemm_weights>) -> Void
) {
    weights.withUnsafeBufferPointer { weights in
        bias.withUnsafeBufferPointer { bias in
            scale.withUnsafeBufferPointer { scale in
                var source = eo_u8_gemm_weights(
                    depth: depth, columns: columns, weights: weights.baseAddress!, flip: 0,
                    weight_zero_point: zeroPoint, input_zero_point: inputZeroPoint, bias: bias.baseAddress,
                    scale: scale.baseAddress!, pieces: 1)
                body(&source)
            }
        }
    }
}

@Test func hybridProductsAreThoseOfTheScalarTwin() {
    let table = rows(eo_hybrid_gemm_rows)
    let twin = table.last!
    var numbers = Numbers(seed: 5)
    let parameters = Block([eo_hybrid_gemm_parameters(minimum: -300, maximum: 300, block: 0)])
    for kernel in table.dropLast() where kernels_isa_available(kernel.isa) {
        eachSize(kernel.mr, kernel.nr) { rows, columns, depth in
            let bytes = numbers.integers(rows * depth, 0...255).map { UInt8($0) }
            let weights = numbers.integers(columns * depth, -127...127).map(byte)
            let bias = numbers.floats(columns)
            let scale = numbers.integers(columns, 1...400).map { Float($0) / 40000 }
            let grids = (0..<rows).map { _ in
                eo_hybrid_row(scale: numbers.float() + 1.5, zero_point: Int32(numbers.integer(0...255)))
            }
            // A grid for each row, and one for all.
            for stride in [MemoryLayout<eo_hybrid_row>.stride, 0] {
                let product = Product(
                    rows: rows, columns: columns, depth: (depth + 3) / 4 * 4, outputSize: 4, parameters: parameters,
                    rowParameters: Block(grids), rowParametersStride: stride)
                let outputs = [(kernel, rows), (twin, 1)].map { row, step -> [UInt8] in
                    var row = row
                    let packed = Block(eo_hybrid_gemm_packed_size(&row, depth, columns, 1))
                    eo_hybrid_gemm_pack(&row, depth, columns, weights, scale, bias, packed.base)
                    let flip: UInt8 = eo_gemm_takes_unsigned_rows(row.isa) ? 0 : 0x80
                    let input = rowsOfBytes(bytes, depth: depth, isa: row.isa, flip: flip)
                    return product.run(row.run, step: step, input: input, packed: packed)
                }
                #expect(
                    outputs[0] == outputs[1],
                    "\(String(cString: kernel.name)) \(rows)x\(columns)x\(depth), grids \(stride) bytes apart")
            }
        }
    }
}
