import CKernels
import Model

/// Products of matrices none of which is constant: int16 A [rows, depth] times int16 or int8 B [depth, columns] or,
/// transposed, [columns, depth], without zero points: sums are exact in 64 bits, and requantized as `Requantization`
/// says. The same bits on every machine. Immutable: any thread.
package struct ShortMatmul: @unchecked Sendable {
    package static let kernelName = "eo_s16_dots"
    /// What `run` needs.
    package let scratchByteCount: Int

    private let rows: Int
    private let columns: Int
    private let depth: Int
    private let transposesB: Bool
    private let hasBytes: Bool
    private let operands: [(a: Int, b: Int)]
    private let scales: [Float]
    private let parameters: eo_quantize_params
    /// Of B as the kernel takes it, and of a worker's sums.
    private let packedSize: Int
    private let slotSize: Int
    private let slots: Int

    /// `hasBytes`: B is int8. `operands`: for each product of a run where its matrices begin; results follow one
    /// another. `threads`: that a run will have at most.
    package init(
        rows: Int, columns: Int, depth: Int, transposesB: Bool, hasBytes: Bool, operands: [(a: Int, b: Int)],
        requantization: Requantization, threads: Int
    ) throws(Failure) {
        var shape = ConvolutionShape()
        (shape.batch, shape.inputChannels, shape.outputChannels) = (rows, depth, columns)
        try shape.check()
        scales = try requantization.shortScales(columns)
        (self.rows, self.columns, self.depth) = (rows, columns, depth)
        (self.transposesB, self.hasBytes, self.operands) = (transposesB, hasBytes, operands)
        let limits = requantization.shortParameters
        parameters = eo_quantize_params(
            offset: 0, zero: limits.output_zero_point, scale: 1, low: limits.minimum, high: limits.maximum)
        packedSize = transposesB && !hasBytes ? 0 : (2 * columns * depth + 63) / 64 * 64
        slotSize = (8 * columns + 63) / 64 * 64
        slots = max(1, threads)
        scratchByteCount = packedSize + slots * slotSize
    }

    /// `b`: the bytes of its numbers. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ a: Span<Int16>, _ b: Span<UInt8>, _ output: inout MutableSpan<Int16>, scratch: inout MutableSpan<UInt8>,
        pool: ThreadPool
    ) {
        let size = hasBytes ? 1 : 2
        precondition(output.count >= operands.count * rows * columns && scratch.count >= scratchByteCount)
        for (first, second) in operands {
            precondition(first >= 0 && a.count - first >= rows * depth)
            precondition(second >= 0 && b.count - second * size >= columns * depth * size)
        }
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBytes { b in
                output.withUnsafeMutableBufferPointer { output in
                    scratch.withUnsafeMutableBytes { scratch in
                        for (index, (first, second)) in operands.enumerated() {
                            multiply(
                                a.baseAddress! + first, b.baseAddress! + second * size,
                                output.baseAddress! + index * rows * columns, scratch.baseAddress!, pool)
                        }
                    }
                }
            }
        }
    }

    private struct Job {
        let matmul: ShortMatmul
        let a: UnsafePointer<Int16>
        let b: UnsafePointer<Int16>
        let output: UnsafeMutablePointer<Int16>
        let sums: UnsafeMutableRawPointer
        let pieces: Pieces
    }

    private func multiply(
        _ a: UnsafePointer<Int16>, _ b: UnsafeRawPointer, _ output: UnsafeMutablePointer<Int16>,
        _ scratch: UnsafeMutableRawPointer, _ pool: ThreadPool
    ) {
        if packedSize > 0 { pack(b, scratch.assumingMemoryBound(to: Int16.self)) }
        let packed = packedSize > 0 ? UnsafeRawPointer(scratch) : b
        let job = Job(
            matmul: self, a: a, b: packed.assumingMemoryBound(to: Int16.self), output: output,
            sums: scratch + packedSize,
            pieces: Pieces(rows, atMost: max(1, elementsPerPiece / (depth * columns)), pool: pool))
        withUnsafePointer(to: job) {
            pool.run(job.pieces.count, workers: slots, $0) { context, piece, worker in
                let job = context.assumingMemoryBound(to: Job.self)
                for row in job.pointee.pieces[piece] { job.pointee.matmul.multiply(row, worker, job) }
            }
        }
    }

    /// B as int16 [columns, depth].
    private func pack(_ b: UnsafeRawPointer, _ packed: UnsafeMutablePointer<Int16>) {
        guard hasBytes else { return eo_transpose(2, depth, columns, b, 2 * columns, packed, 2 * depth) }
        let (column, step) = transposesB ? (depth, 1) : (1, columns)
        for index in 0..<columns {
            let (from, to) = (b.assumingMemoryBound(to: Int8.self) + index * column, packed + index * depth)
            for k in 0..<depth { to[k] = Int16(from[k * step]) }
        }
    }

    private func multiply(_ row: Int, _ worker: Int, _ job: UnsafePointer<Job>) {
        let memory = job.pointee.sums + worker * slotSize
        let sums = memory.assumingMemoryBound(to: Int64.self)
        kernelTable.pointee.s16_dots(depth, columns, job.pointee.a + row * depth, 0, job.pointee.b, depth, sums)
        // Each takes the place of the first half of a sum that has been read.
        for column in 0..<columns {
            let real = Float(memory.load(fromByteOffset: 8 * column, as: Int64.self)) * scales[column]
            memory.storeBytes(of: real, toByteOffset: 4 * column, as: Float.self)
        }
        withUnsafePointer(to: parameters) {
            kernelTable.pointee.f32_to_s16(columns, memory, job.pointee.output + row * columns, $0)
        }
    }
}
