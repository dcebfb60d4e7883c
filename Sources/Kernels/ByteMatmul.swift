import CKernels
import Model

/// Products of int8 matrices none of which is constant: A [rows, depth] times B [depth, columns] or, transposed,
/// [columns, depth], requantized as `Requantization` says. B is packed when it runs. The same bits on every machine.
/// Immutable: any thread.
package struct ByteMatmul: @unchecked Sendable {
    package let kernelName: String
    /// What `run` needs.
    package var scratchByteCount: Int { slots * slotSize }

    private let rows: Int
    private let columns: Int
    private let depth: Int
    private let transposesB: Bool
    private let plan: ConvolutionPlan
    private let kernel: UnsafePointer<eo_u8_gemm_kernel>
    private let parameters: eo_u8_gemm_parameters
    private let zero: ByteZeroPoints
    private let scales: [Float]
    /// A worker's memory: packed B, B transposed, gathered rows.
    private let slots: Int
    private let slotSize: Int
    private let packedSize: Int
    private let transposedSize: Int

    private let operands: [(a: Int, b: Int)]

    /// `transposesB`: B is stored [columns, depth]. `operands`: for each product of a run where its matrices begin;
    /// results follow one another. Products are shared among up to `threads` threads.
    package init(
        rows: Int, columns: Int, depth: Int, transposesB: Bool, operands: [(a: Int, b: Int)],
        requantization: Requantization, threads: Int
    ) throws(Failure) {
        var shape = ConvolutionShape()
        shape.batch = rows
        shape.inputChannels = depth
        shape.outputChannels = columns
        try shape.check()
        kernel = eo_u8_gemm_best()
        let (isa, nr) = (kernel.pointee.isa, kernel.pointee.nr)
        zero = try ByteZeroPoints(
            requantization, weightsAreSigned: true, activationsAreSigned: true,
            isa: isa)
        scales = try requantization.channelScales(
            columns, inputs: zero.activations, weights: zero.weights, outputs: zero.activations)
        (self.rows, self.columns, self.depth, self.transposesB) = (rows, columns, depth, transposesB)
        self.operands = operands
        plan = ConvolutionPlan(
            shape, run: kernel.pointee.run, mr: kernel.pointee.mr, nr: nr,
            blockSize: eo_u8_gemm_packed_size(kernel, depth, 1, 1),
            rows: .init(
                inputSize: 1, outputSize: 1, multiple: eo_gemm_depth_step(isa), isa: isa,
                padding: zero.padding, flip: zero.activationFlip),
            slots: 1)
        var parameters = requantization.byteParameters(weightZeroPoint: zero.weight)
        parameters.rows_are_signed = true
        parameters.scales_below_one = scales.allSatisfy { $0 < 1 }
        self.parameters = parameters
        slots = max(1, min(threads, operands.count))
        packedSize = (eo_u8_gemm_packed_size(kernel, depth, columns, 1) + 63) / 64 * 64
        transposedSize = transposesB ? 0 : (depth * columns + 63) / 64 * 64
        slotSize = packedSize + transposedSize + plan.context.slot_size
        kernelName = String(cString: kernel.pointee.name)
    }

    /// `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ a: Span<Int8>, _ b: Span<Int8>, _ output: inout MutableSpan<Int8>, scratch: inout MutableSpan<UInt8>,
        pool: ThreadPool
    ) {
        precondition(output.count >= operands.count * rows * columns && scratch.count >= scratchByteCount)
        for (first, second) in operands {
            precondition(first >= 0 && a.count - first >= rows * depth)
            precondition(second >= 0 && b.count - second >= columns * depth)
        }
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                output.withUnsafeMutableBufferPointer { output in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        let job = Job(
                            matmul: self, a: a.baseAddress!, b: b.baseAddress!, output: output.baseAddress!,
                            scratch: UnsafeMutableRawPointer(scratch.baseAddress!))
                        withUnsafePointer(to: job) { job in
                            pool.run(slots, job) { context, slot, _ in
                                context.assumingMemoryBound(to: Job.self).pointee.run(slot)
                            }
                        }
                    }
                }
            }
        }
    }

    private struct Job {
        let matmul: ByteMatmul
        let a: UnsafePointer<Int8>
        let b: UnsafePointer<Int8>
        let output: UnsafeMutablePointer<Int8>
        let scratch: UnsafeMutableRawPointer

        /// Every `slots`th product.
        func run(_ slot: Int) {
            let memory = scratch + slot * matmul.slotSize
            for product in stride(from: slot, to: matmul.operands.count, by: matmul.slots) {
                let at = matmul.operands[product]
                matmul.multiply(
                    a + at.a, b + at.b, output + product * matmul.rows * matmul.columns, memory)
            }
        }
    }

    private func multiply(
        _ a: UnsafePointer<Int8>, _ b: UnsafePointer<Int8>, _ output: UnsafeMutablePointer<Int8>,
        _ memory: UnsafeMutableRawPointer
    ) {
        var weights = UnsafeRawPointer(b)
        if !transposesB {
            eo_transpose(1, depth, columns, weights, columns, memory + packedSize, depth)
            weights = UnsafeRawPointer(memory + packedSize)
        }
        scales.withUnsafeBufferPointer { scales in
            var source = eo_u8_gemm_weights(
                depth: depth, columns: columns, weights: weights.assumingMemoryBound(to: UInt8.self), flip: 0,
                weight_zero_point: zero.weight, input_zero_point: zero.input, bias: nil, scale: scales.baseAddress!,
                pieces: 1)
            eo_u8_gemm_pack(kernel, &source, memory)
        }
        withUnsafePointer(to: parameters) { parameters in
            var context = plan.context
            context.input = UnsafeRawPointer(a)
            context.output = UnsafeMutableRawPointer(output)
            context.weights = UnsafeRawPointer(memory)
            context.parameters = UnsafeRawPointer(parameters)
            context.scratch = memory + packedSize + transposedSize
            for unit in 0..<eo_convolution_start(&context, 1) { eo_convolution_work(&context, unit, 0) }
        }
    }
}
