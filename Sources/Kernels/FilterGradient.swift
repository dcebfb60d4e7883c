import CKernels
import Model

/// The gradient of a float32 convolution by its filter (OHWI), and by its bias. Sums are cut by the shape alone, so the
/// bits do not depend on the number of threads. Immutable: any thread.
package final class FilterGradient: @unchecked Sendable {
    private enum Form {
        case float(eo_filter_gradient)
        /// Both images rounded to bfloat16 for the filter's gradient, not for the bias'.
        case bfloat(eo_bf16_filter_gradient)
    }
    private let form: Form
    private let shape: ConvolutionShape
    private let slots: Int
    package let kernelName: String
    package let scratchByteCount: Int

    /// `shape`: of the convolution. `roundsToBfloat`: where there are no groups.
    package init(_ shape: ConvolutionShape, roundsToBfloat: Bool = false, threads: Int) throws(Failure) {
        try shape.check()
        self.shape = shape
        if roundsToBfloat, shape.groups == 1 {
            let kernel = eo_bf16_outer_best().pointee
            var context = eo_bf16_filter_gradient()
            context.window = shape.window
            context.run = kernel.run
            context.pairs = eo_bf16_pairs_best().pointee.run
            context.rows = eo_bf16_rows_best().pointee.run
            context.add_biases = eo_f32_outer_best().pointee.run
            eo_bf16_filter_gradient_plan(&context)
            kernelName = String(cString: kernel.name)
            slots = max(1, threads)
            scratchByteCount = context.scratch_size
            form = .bfloat(context)
            return
        }
        let kernel = eo_f32_outer_best().pointee
        var context = eo_filter_gradient()
        context.window = shape.window
        context.run = kernel.run
        eo_filter_gradient_plan(&context, Int(kernel.nr))
        kernelName = String(cString: kernel.name)
        slots = min(max(1, threads), eo_filter_gradient_units(&context))
        scratchByteCount = (context.partial_size + 63) / 64 * 64 + slots * context.slot_size
        form = .float(context)
    }

    /// `input`: images; `dz`: the gradient of the convolution's output; `db`: empty if it is not wanted; `scratch`:
    /// 64-byte aligned.
    package func run(
        _ input: Span<Float>, _ dz: Span<Float>, _ dw: inout MutableSpan<Float>, _ db: inout MutableSpan<Float>,
        scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        precondition(input.count >= shape.inputCount && dz.count >= shape.outputCount)
        precondition(scratch.count >= scratchByteCount && dw.count >= shape.outputChannels * shape.depth)
        precondition(db.count == 0 || db.count >= shape.outputChannels)
        let biases = db.withUnsafeMutableBufferPointer { $0.isEmpty ? nil : $0.baseAddress }
        input.withUnsafeBufferPointer { input in
            dz.withUnsafeBufferPointer { dz in
                dw.withUnsafeMutableBufferPointer { dw in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        let memory = UnsafeMutableRawPointer(scratch.baseAddress!)
                        switch form {
                        case .float(var context):
                            (context.input, context.dz) = (input.baseAddress, dz.baseAddress)
                            (context.dw, context.db) = (dw.baseAddress, biases)
                            context.partial = memory.assumingMemoryBound(to: Float.self)
                            context.scratch = memory + (context.partial_size + 63) / 64 * 64
                            run(&context, pool)
                        case .bfloat(var context):
                            (context.input, context.dz) = (input.baseAddress, dz.baseAddress)
                            (context.dw, context.db) = (dw.baseAddress, biases)
                            context.scratch = memory
                            run(&context, pool)
                        }
                    }
                }
            }
        }
    }

    private func run(_ context: inout eo_filter_gradient, _ pool: ThreadPool) {
        pool.run(eo_filter_gradient_units(&context), workers: slots, &context) { context, unit, worker in
            eo_filter_gradient_work(context.assumingMemoryBound(to: eo_filter_gradient.self), unit, worker)
        }
        guard context.strips > 1 else { return }
        pool.run(shape.outputChannels, &context) { context, filter, _ in
            eo_filter_gradient_join(context.assumingMemoryBound(to: eo_filter_gradient.self), filter)
        }
    }

    private func run(_ context: inout eo_bf16_filter_gradient, _ pool: ThreadPool) {
        for first in stride(from: 0, to: context.window.batch, by: context.images) {
            context.first = first
            context.count = min(context.images, context.window.batch - first)
            pool.run(context.count, &context) { context, image, _ in
                eo_bf16_filter_gradient_arrange(context.assumingMemoryBound(to: eo_bf16_filter_gradient.self), image)
            }
            pool.run(eo_bf16_filter_gradient_units(&context), &context) { context, unit, _ in
                eo_bf16_filter_gradient_work(context.assumingMemoryBound(to: eo_bf16_filter_gradient.self), unit)
            }
            eo_bf16_filter_gradient_join(&context)
        }
    }
}
