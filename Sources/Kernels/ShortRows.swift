import CKernels

/// Rows of a few elements, many at once: element by element of all rows instead of row by row. Every result has the bits
/// that its row has by itself.
enum ShortRows {
    /// Sums of this many have one element in each lane of `f32_sum`.
    static let mostElements = 16
    /// Rows at once.
    private static let together = 64
    /// Their elements and sums: 6 KiB, which Swift would not put on the stack by itself.
    private typealias Memory = InlineArray<1536, Float>

    /// `y` may be `x`.
    @inline(never)
    static func softmax(
        _ rows: Int, _ depth: Int, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, beta: Float
    ) {
        var memory = Memory(repeating: 0)
        precondition((depth + mostElements / 2) * together <= memory.count)
        var span = memory.mutableSpan
        span.withUnsafeMutableBufferPointer { memory in
            for start in stride(from: 0, to: rows, by: together) {
                let (count, size) = (min(together, rows - start), MemoryLayout<Float>.stride)
                let (place, elements) = (start * depth, memory.baseAddress!)
                eo_transpose(size, count, depth, x + place, depth * size, elements, count * size)
                softmax(count, depth, elements, elements + depth * count, beta)
                eo_transpose(size, depth, count, elements, count * size, y + place, depth * size)
            }
        }
    }

    /// `x` has `depth` lines with an element of each row, `folded` room for half as many as `mostElements`.
    private static func softmax(
        _ rows: Int, _ depth: Int, _ x: UnsafeMutablePointer<Float>, _ folded: UnsafeMutablePointer<Float>,
        _ beta: Float
    ) {
        let table = kernelTable
        var none = eo_f32_params(low: -.infinity, high: .infinity)
        fold(rows, depth, x, folded, table.pointee.f32_max.vv)
        for line in 0..<depth { table.pointee.f32_sub.vv(rows, x + line * rows, folded, x + line * rows, &none) }
        _ = table.pointee.f32_exp_sum(depth * rows, x, x, 0, beta)
        fold(rows, depth, x, folded, table.pointee.f32_add.vv)
        var one: Float = 1
        table.pointee.f32_div.sv(rows, &one, folded, folded, &none)
        for line in 0..<depth { table.pointee.f32_mul.vv(rows, x + line * rows, folded, x + line * rows, &none) }
    }

    /// Lines are paired as `f32_sum` pairs lanes, of which those behind the last element are 0.
    private static func fold(
        _ rows: Int, _ depth: Int, _ x: UnsafeMutablePointer<Float>, _ folded: UnsafeMutablePointer<Float>,
        _ function: eo_binary_kernel
    ) {
        var none = eo_f32_params(low: -.infinity, high: .infinity)
        var half = mostElements / 2
        while half >= depth { half /= 2 }
        let pairs = (depth - half) * rows
        function(pairs, x, x + half * rows, folded, &none)
        (folded + pairs).update(from: x + pairs, count: half * rows - pairs)
        while half > 1 {
            half /= 2
            function(half * rows, folded, folded + half * rows, folded, &none)
        }
    }
}
