import CKernels
import Model

/// Scaled dot-product attention in float32 (Vaswani et al., Attention Is All You Need, 2017): for each head
/// softmax(scale Q K^T + mask) V. The scores of a few rows exist at a time, in the nearest cache, and their exponentials
/// are divided by their sum when they have been multiplied by V. How the sums are cut depends on the sizes alone, so the
/// bits depend on the instruction set only. Immutable: any thread.
package struct Attention: @unchecked Sendable {
    /// Elements of a matrix: floats from row to row and from column to column.
    package struct Steps: Sendable {
        package let row: Int
        package let column: Int
        package init(row: Int, column: Int) { (self.row, self.column) = (row, column) }

        /// Floats from the first element of `rows` x `columns` to the last.
        func reach(_ rows: Int, _ columns: Int) -> Int { (rows - 1) * row + (columns - 1) * column }
    }
    /// Where the matrices of a head begin.
    package struct Head: Sendable {
        let q, k, v, mask, output: Int
        package init(q: Int, k: Int, v: Int, mask: Int, output: Int) {
            (self.q, self.k, self.v, self.mask, self.output) = (q, k, v, mask, output)
        }
    }
    package struct Geometry: Sendable {
        package var rows = 0
        package var keys = 0
        package var depth = 0
        package var width = 0
        /// Q [rows, depth], K transposed [depth, keys], V [keys, width], mask [rows, keys], output [rows, width]. Columns
        /// of Q, mask and output are neighbours, and so are rows or columns of the others.
        package var q = Steps(row: 0, column: 1)
        package var k = Steps(row: 0, column: 1)
        package var v = Steps(row: 0, column: 1)
        package var mask: Steps?
        package var output = Steps(row: 0, column: 1)
        package var scale: Float = 1
        package init() {}
    }

    package let kernelName: String
    private let geometry: Geometry
    private let heads: [Head]
    private let kernel: eo_f32_gemm_kernel
    /// Shares of a head's rows.
    private let parts: Int
    private let slots: Int
    /// Bytes: K and V as the kernel takes them, scores of a few rows.
    private let keySize: Int
    private let valueSize: Int
    private let slotSize: Int
    /// What `run` needs.
    package var scratchByteCount: Int { slots * slotSize }

    /// nil: a matrix lies as no kernel takes it, or there is nothing to do. `threads`: that a run will have at most.
    package init?(_ geometry: Geometry, heads: [Head], threads: Int) {
        let g = geometry
        guard g.rows > 0, g.keys > 0, g.depth > 0, g.width > 0, !heads.isEmpty, g.q.column == 1, g.output.column == 1,
            g.k.row == 1 || g.k.column == 1, g.v.row == 1 || g.v.column == 1, (g.mask?.column ?? 1) == 1
        else { return nil }
        kernel = eo_f32_gemm_best().pointee
        (self.geometry, self.heads) = (g, heads)
        let wanted = min(max(1, threads), heads.count * g.rows)
        parts = heads.count >= wanted ? 1 : min(g.rows, (wanted + heads.count - 1) / heads.count)
        slots = wanted
        let unit = { (bytes: Int) in (bytes + 63) / 64 * 64 }
        keySize = unit(eo_f32_gemm_packed_size(kernel.nr, g.depth, g.keys))
        valueSize = unit(eo_f32_gemm_packed_size(kernel.nr, g.keys, g.width))
        slotSize = keySize + valueSize + unit(Int(kernel.mr) * (g.keys + 1) * 4)
        kernelName = "attention, " + String(cString: kernel.name)
    }

    /// `mask` is read only if the geometry has one. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ q: Span<Float>, _ k: Span<Float>, _ v: Span<Float>, mask: Span<Float>, _ output: inout MutableSpan<Float>,
        scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        let g = geometry
        precondition(scratch.count >= scratchByteCount, "scratch memory of an attention is too small")
        for head in heads {
            precondition(
                q.count > head.q + g.q.reach(g.rows, g.depth) && k.count > head.k + g.k.reach(g.depth, g.keys)
                    && v.count > head.v + g.v.reach(g.keys, g.width)
                    && output.count > head.output + g.output.reach(g.rows, g.width)
                    && mask.count > (g.mask.map { head.mask + $0.reach(g.rows, g.keys) } ?? -1),
                "a matrix of an attention is too small")
        }
        q.withUnsafeBufferPointer { q in
            k.withUnsafeBufferPointer { k in
                v.withUnsafeBufferPointer { v in
                    mask.withUnsafeBufferPointer { mask in
                        output.withUnsafeMutableBufferPointer { output in
                            scratch.withUnsafeMutableBufferPointer { scratch in
                                let job = Job(
                                    attention: self, q: q.baseAddress!, k: k.baseAddress!, v: v.baseAddress!,
                                    mask: mask.baseAddress, output: output.baseAddress!,
                                    scratch: UnsafeMutableRawPointer(scratch.baseAddress!))
                                withUnsafePointer(to: job) { job in
                                    pool.run(heads.count * parts, workers: slots, job) { context, unit, worker in
                                        context.assumingMemoryBound(to: Job.self).pointee.run(unit, worker)
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    private struct Job {
        let attention: Attention
        let q: UnsafePointer<Float>
        let k: UnsafePointer<Float>
        let v: UnsafePointer<Float>
        let mask: UnsafePointer<Float>?
        let output: UnsafeMutablePointer<Float>
        let scratch: UnsafeMutableRawPointer

        /// A part of a head's rows.
        func run(_ unit: Int, _ worker: Int) {
            let (g, parts) = (attention.geometry, attention.parts)
            let head = attention.heads[unit / parts]
            let keys = scratch + worker * attention.slotSize
            let values = keys + attention.keySize
            let scores = (values + attention.valueSize).assumingMemoryBound(to: Float.self)
            attention.pack(k + head.k, g.k, g.depth, g.keys, keys)
            attention.pack(v + head.v, g.v, g.keys, g.width, values)
            let share = (g.rows + parts - 1) / parts
            let (first, step) = (unit % parts * share, Int(attention.kernel.mr))
            let end = min(g.rows, first + share)
            for row in stride(from: first, to: end, by: step) {
                let (count, y) = (min(step, end - row), output + head.output + row * g.output.row)
                let (x, sums) = (q + head.q + row * g.q.row, scores + step * g.keys)
                attention.multiply(count, x, g.q.row, g.depth, keys, scores, g.keys, columns: g.keys)
                for index in 0..<count {
                    let shift = g.mask.map { mask! + head.mask + (row + index) * $0.row }
                    sums[index] = attention.exponentials(scores + index * g.keys, shift)
                }
                attention.multiply(count, scores, g.keys, g.keys, values, y, g.output.row, columns: g.width)
                for index in 0..<count { attention.scale(y + index * g.output.row, g.width, by: 1 / sums[index]) }
            }
        }
    }

    /// A matrix of `depth` rows as the kernel takes it.
    private func pack(
        _ from: UnsafePointer<Float>, _ steps: Steps, _ depth: Int, _ columns: Int, _ to: UnsafeMutableRawPointer
    ) {
        if steps.column == 1 {
            eo_f32_gemm_pack_transposed(kernel.nr, depth, columns, steps.row, from, to)
        } else {
            eo_f32_gemm_pack_rows(kernel.nr, depth, columns, steps.column, from, nil, to)
        }
    }

    /// `rows` (at most the kernel's) of x, `stride` floats apart, times a packed matrix.
    private func multiply(
        _ rows: Int, _ x: UnsafePointer<Float>, _ stride: Int, _ depth: Int, _ packed: UnsafeRawPointer,
        _ y: UnsafeMutablePointer<Float>, _ outputStride: Int, columns: Int
    ) {
        let parameters = eo_f32_gemm_parameters(minimum: -.infinity, maximum: .infinity)
        withUnsafePointer(to: parameters) {
            var tile = eo_gemm_tile(
                rows: rows, columns: columns, depth: depth, input: x, input_stride: stride * 4, weights: packed,
                output: y, output_stride: outputStride * 4, parameters: $0, row_parameters: nil,
                row_parameters_stride: 0, segments: 0, segment_offset: 0, segment: nil, line_rows: 0, line_stride: 0,
                segment_stride: 0, in_tiles: false, rounds: false, ahead: nil, ahead_size: 0)
            kernel.run(&tile)
        }
    }

    /// Scores become exponentials of their distance from the greatest; returns the sum.
    private func exponentials(_ scores: UnsafeMutablePointer<Float>, _ shift: UnsafePointer<Float>?) -> Float {
        let count = geometry.keys
        var (beta, none) = (geometry.scale, eo_f32_params(low: -.infinity, high: .infinity))
        if shift != nil || !(beta > 0) {
            scale(scores, count, by: beta)
            if let shift { kernelTable.pointee.f32_add.vv(count, scores, shift, scores, &none) }
            beta = 1
        }
        let largest = kernelTable.pointee.f32_maximum(count, scores)
        return kernelTable.pointee.f32_exp_sum(count, scores, scores, largest, beta)
    }

    private func scale(_ x: UnsafeMutablePointer<Float>, _ count: Int, by factor: Float) {
        var (factor, none) = (factor, eo_f32_params(low: -.infinity, high: .infinity))
        kernelTable.pointee.f32_mul.vs(count, x, &factor, x, &none)
    }
}
