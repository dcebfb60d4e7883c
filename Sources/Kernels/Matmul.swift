import CKernels
import Model

/// The product of two float32 matrices neither of which is constant: A [rows, depth] times B [depth, columns], each
/// optionally stored transposed. B is packed when it runs. How the sums are cut depends on the sizes alone, so the bits
/// depend on the instruction set only. Immutable: any thread.
package struct Matmul: @unchecked Sendable {
    private let rows: Int
    private let columns: Int
    private let depth: Int
    private let transposesA: Bool
    private let transposesB: Bool
    private let nr: Int32
    private let plan: ConvolutionPlan
    private let packedBytes: Int
    /// A transposed product is the gradient of a layer by its weights, which nothing is packed for.
    private let outer: FilterGradient?
    /// What `run` needs.
    package let scratchByteCount: Int
    package let kernelName: String

    /// `transposesA`: A is stored [depth, rows]; `transposesB`: B is stored [columns, depth].
    package init(
        rows: Int, columns: Int, depth: Int, transposesA: Bool = false, transposesB: Bool = false, threads: Int = 1
    ) throws(Failure) {
        var shape = ConvolutionShape()
        shape.batch = rows
        shape.inputChannels = depth
        shape.outputChannels = columns
        try shape.check()
        let kernel = eo_f32_gemm_best().pointee
        self.rows = rows
        self.columns = columns
        self.depth = depth
        self.transposesA = transposesA
        self.transposesB = transposesB
        nr = kernel.nr
        plan = ConvolutionPlan(
            shape, run: kernel.run, mr: kernel.mr, nr: nr, blockSize: eo_f32_gemm_packed_size(nr, depth, 1),
            rows: .init(inputSize: 4, outputSize: 4, pieces: true), slots: 0)
        guard !transposesA || transposesB else {
            (shape.batch, shape.inputChannels, shape.outputChannels) = (depth, columns, rows)
            let outer = try FilterGradient(shape, threads: threads)
            (packedBytes, scratchByteCount, kernelName) = (0, outer.scratchByteCount, outer.kernelName)
            self.outer = outer
            return
        }
        outer = nil
        packedBytes = (eo_f32_gemm_packed_size(nr, depth, columns) + 63) / 64 * 64
        scratchByteCount = packedBytes + (transposesA ? rows * depth * 4 : 0)
        kernelName = String(cString: kernel.name)
    }

    /// `a`, `b` and `output` hold a matrix each, row after row. `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ a: Span<Float>, _ b: Span<Float>, _ output: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>,
        pool: ThreadPool
    ) {
        precondition(a.count >= rows * depth && b.count >= depth * columns && output.count >= rows * columns)
        precondition(scratch.count >= scratchByteCount, "scratch memory of a matrix product is too small")
        if let outer {
            var none = MutableSpan<Float>()
            return outer.run(b, a, &output, &none, scratch: &scratch, pool: pool)
        }
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                output.withUnsafeMutableBufferPointer { output in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        let packed = UnsafeMutableRawPointer(scratch.baseAddress!)
                        if transposesB {
                            eo_f32_gemm_pack(nr, depth, columns, b.baseAddress!, nil, packed)
                        } else {
                            eo_f32_gemm_pack_transposed(nr, depth, columns, b.baseAddress!, packed)
                        }
                        product(a.baseAddress!, packed, output.baseAddress!, pool)
                    }
                }
            }
        }
    }

    private func product(
        _ a: UnsafePointer<Float>, _ packed: UnsafeMutableRawPointer, _ output: UnsafeMutablePointer<Float>,
        _ pool: ThreadPool
    ) {
        var a = a
        if transposesA {
            let transposed = (packed + packedBytes).assumingMemoryBound(to: Float.self)
            eo_f32_transpose(depth, rows, a, transposed)
            a = UnsafePointer(transposed)
        }
        withUnsafePointer(to: eo_f32_gemm_parameters(minimum: -.infinity, maximum: .infinity)) { parameters in
            plan.run(
                input: a, output: output, weights: packed, parameters: parameters,
                scratch: UnsafeMutableRawBufferPointer(start: nil, count: 0), pool: pool)
        }
    }
}
