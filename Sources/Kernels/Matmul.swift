import CKernels
import Model

/// Products of float32 matrices none of which is constant: A [rows, depth] times B [depth, columns], each optionally
/// stored transposed. B is packed when it runs. How the sums are cut depends on the sizes alone, so the bits depend on
/// the instruction set only. Immutable: any thread.
package struct Matmul: @unchecked Sendable {
    /// Where the matrices of a product begin.
    package typealias Operands = (a: Int, b: Int)

    package let kernelName: String

    private let rows: Int
    private let columns: Int
    private let depth: Int
    private let transposesA: Bool
    private let transposesB: Bool
    private let operands: [Operands]
    private let nr: Int
    private let plan: ConvolutionPlan
    /// Where there are enough products, a thread computes whole ones in a slot of its own: packed B, A transposed.
    /// Otherwise all threads share each product.
    private let slots: Int
    private let slotSize: Int
    private let packedSize: Int
    /// A product with A transposed is the gradient of a layer by its weights, which nothing is packed for.
    private let outer: FilterGradient?
    /// What `run` needs.
    package let scratchByteCount: Int

    /// `transposesA`: A is stored [depth, rows]; `transposesB`: B is stored [columns, depth]. `operands`: the products
    /// of a run; results follow one another. `threads`: that a run will have at most.
    package init(
        rows: Int, columns: Int, depth: Int, transposesA: Bool = false, transposesB: Bool = false,
        operands: [Operands] = [(0, 0)], threads: Int = 1
    ) throws(Failure) {
        var shape = ConvolutionShape()
        shape.batch = rows
        shape.inputChannels = depth
        shape.outputChannels = columns
        try shape.check()
        let kernel = eo_f32_gemm_best().pointee
        (self.rows, self.columns, self.depth) = (rows, columns, depth)
        (self.transposesA, self.transposesB) = (transposesA, transposesB)
        self.operands = operands
        nr = Int(kernel.nr)
        plan = ConvolutionPlan(
            shape, run: kernel.run, mr: kernel.mr, nr: kernel.nr,
            blockSize: eo_f32_gemm_packed_size(kernel.nr, depth, 1),
            rows: .init(inputSize: 4, outputSize: 4, pieces: true), slots: 0)
        guard !transposesA || transposesB else {
            (shape.batch, shape.inputChannels, shape.outputChannels) = (depth, columns, rows)
            let outer = try FilterGradient(shape, inFloat32: true, threads: threads)
            (slots, slotSize, packedSize) = (1, 0, 0)
            (scratchByteCount, kernelName) = (outer.scratchByteCount, outer.kernelName)
            self.outer = outer
            return
        }
        outer = nil
        packedSize = (eo_f32_gemm_packed_size(kernel.nr, depth, columns) + 63) / 64 * 64
        slotSize = packedSize + (transposesA ? (rows * depth * 4 + 63) / 64 * 64 : 0)
        slots = operands.count >= threads ? max(1, threads) : 1
        scratchByteCount = slots * slotSize
        kernelName = String(cString: kernel.name)
    }

    /// `a`, `b` and `output` hold matrices row after row. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ a: Span<Float>, _ b: Span<Float>, _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>,
        pool: ThreadPool
    ) {
        precondition(output.count >= operands.count * rows * columns, "the result of a matrix product is too small")
        precondition(scratch.count >= scratchByteCount, "scratch memory of a matrix product is too small")
        for (first, second) in operands {
            precondition(first >= 0 && a.count - first >= rows * depth)
            precondition(second >= 0 && b.count - second >= columns * depth)
        }
        if let outer {
            for (index, (first, second)) in operands.enumerated() {
                var product = output._mutatingExtracting((index * rows * columns)..<((index + 1) * rows * columns))
                var none = MutableSpan<Float>()
                outer.run(
                    b.extracting(second...), a.extracting(first...), &product, &none, scratch: &scratch, pool: pool)
            }
            return
        }
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                output.withUnsafeMutableBufferPointer { output in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        let job = Job(
                            matmul: self, a: a.baseAddress!, b: b.baseAddress!, output: output.baseAddress!,
                            scratch: UnsafeMutableRawPointer(scratch.baseAddress!))
                        withUnsafePointer(to: job) { run($0, pool) }
                    }
                }
            }
        }
    }

    private func run(_ job: UnsafePointer<Job>, _ pool: ThreadPool) {
        guard slots == 1 else {
            return pool.run(operands.count, workers: slots, job) { context, index, worker in
                context.assumingMemoryBound(to: Job.self).pointee.whole(index, slot: worker)
            }
        }
        for index in 0..<operands.count {
            var part = job.pointee.part(index)
            withUnsafePointer(to: part) { part in
                pool.run(blocks, part) { context, block, _ in
                    context.assumingMemoryBound(to: Part.self).pointee.pack(block)
                }
                pool.run(bands, part) { context, band, _ in
                    context.assumingMemoryBound(to: Part.self).pointee.transpose(band)
                }
            }
            plan.run(
                input: part.rows, output: part.output, weights: part.packed, parameters: &part.parameters,
                scratch: UnsafeMutableRawBufferPointer(start: nil, count: 0), pool: pool)
        }
    }

    /// Of columns of B, which are packed together.
    private var blocks: Int { (columns + nr - 1) / nr }
    private static let bandRows = 64
    /// Of rows of A, where it must be transposed.
    private var bands: Int { transposesA ? (rows + Self.bandRows - 1) / Self.bandRows : 0 }

    private struct Job {
        let matmul: Matmul
        let a: UnsafePointer<Float>
        let b: UnsafePointer<Float>
        let output: UnsafeMutablePointer<Float>
        let scratch: UnsafeMutableRawPointer

        func part(_ index: Int, slot: Int = 0) -> Part {
            let packed = scratch + slot * matmul.slotSize
            let a = a + matmul.operands[index].a
            let transposed = (packed + matmul.packedSize).assumingMemoryBound(to: Float.self)
            return Part(
                matmul: matmul, a: a, b: b + matmul.operands[index].b, packed: packed, transposed: transposed,
                rows: matmul.transposesA ? UnsafePointer(transposed) : a,
                output: output + index * matmul.rows * matmul.columns)
        }

        /// A product on the thread that asks for it.
        func whole(_ index: Int, slot: Int) {
            let part = part(index, slot: slot)
            for block in 0..<matmul.blocks { part.pack(block) }
            for band in 0..<matmul.bands { part.transpose(band) }
            var context = matmul.plan.context
            context.input = UnsafeRawPointer(part.rows)
            context.output = UnsafeMutableRawPointer(part.output)
            context.weights = UnsafeRawPointer(part.packed)
            withUnsafePointer(to: part.parameters) { parameters in
                context.parameters = UnsafeRawPointer(parameters)
                for unit in 0..<eo_convolution_start(&context, 1) { eo_convolution_work(&context, unit, 0) }
            }
        }
    }

    private struct Part {
        let matmul: Matmul
        let a: UnsafePointer<Float>
        let b: UnsafePointer<Float>
        let packed: UnsafeMutableRawPointer
        let transposed: UnsafeMutablePointer<Float>
        let rows: UnsafePointer<Float>
        let output: UnsafeMutablePointer<Float>
        var parameters = eo_f32_gemm_parameters(minimum: -.infinity, maximum: .infinity)

        func pack(_ block: Int) {
            let (first, depth) = (block * matmul.nr, matmul.depth)
            let count = min(matmul.nr, matmul.columns - first)
            let to = packed + block * matmul.plan.context.block_size
            if matmul.transposesB {
                eo_f32_gemm_pack(Int32(matmul.nr), depth, count, b + first * depth, nil, to)
            } else {
                eo_f32_gemm_pack_transposed(Int32(matmul.nr), depth, count, matmul.columns, b + first, to)
            }
        }

        func transpose(_ band: Int) {
            let first = band * Matmul.bandRows
            eo_transpose(
                4, matmul.depth, min(Matmul.bandRows, matmul.rows - first), a + first, matmul.rows * 4,
                transposed + first * matmul.depth, matmul.depth * 4)
        }
    }
}
