import CKernels
import Model

/// The gradient of a float32 convolution by its filter (OHWI), and by its bias. Sums are cut by the shape alone, so the
/// bits do not depend on the number of threads. Immutable: any thread.
package final class FilterGradient: @unchecked Sendable {
    private enum Form {
        case float(eo_filter_gradient)
        /// On tiles: the filter's gradient in parts of bfloat16, or rounded to it; not the bias'.
        case tiles(eo_tile_gradient)
    }
    private let form: Form
    private let shape: ConvolutionShape
    private let slots: Int
    package let kernelName: String
    package let scratchByteCount: Int

    /// `shape`: of the convolution. `roundsToBfloat`: where there are no groups. `wholeInput`: the images are whole
    /// numbers up to 256 times a scale, which `run` is told. `inFloat32`: not in parts.
    package init(
        _ shape: ConvolutionShape, roundsToBfloat: Bool = false, wholeInput: Bool = false, inFloat32: Bool = false,
        threads: Int
    ) throws(Failure) {
        try shape.check()
        self.shape = shape
        let tiles = eo_bf16_tiles_best().pointee
        if roundsToBfloat || !inFloat32 && tiles.isa != ISA_SCALAR && shape.inputChannels >= Self.tileChannels,
            shape.groups == 1,
            BfloatImage(shape, for: [shape]) != nil
        {
            var context = eo_tile_gradient()
            context.window = shape.window
            context.dz_parts = roundsToBfloat ? 1 : Int(EO_BF16_GRADIENT_PARTS)
            context.x_parts = wholeInput ? 1 : context.dz_parts
            context.scale = 1
            context.run = tiles.run
            context.pairs = eo_bf16_pairs_best().pointee.run
            context.rows = eo_bf16_rows_best().pointee.run
            eo_tile_gradient_plan(&context)
            kernelName = String(cString: tiles.name)
            slots = min(max(1, threads), context.strips)
            scratchByteCount = context.strips * context.strip_size + slots * context.slot_size
            form = .tiles(context)
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

    /// With fewer channels tiles are filled less than vectors of floats.
    private static let tileChannels = 8

    /// `input`: images, whole numbers times `scale` if they were said to be; `dz`: the gradient of the convolution's output; `db`: empty if it is not wanted; `scratch`:
    /// 64-byte aligned.
    package func run(
        _ input: Span<Float>, scale: Float = 1, _ dz: Span<Float>, _ dw: inout MutableSpan<Float>,
        _ db: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>, pool: ThreadPool
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
                        case .tiles(var context):
                            (context.input, context.dz) = (input.baseAddress, dz.baseAddress)
                            (context.dw, context.db) = (dw.baseAddress, biases)
                            (context.scale, context.scratch) = (scale, memory)
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

    private func run(_ context: inout eo_tile_gradient, _ pool: ThreadPool) {
        pool.run(context.strips, workers: slots, &context) { context, strip, worker in
            eo_tile_gradient_work(context.assumingMemoryBound(to: eo_tile_gradient.self), strip, worker)
        }
        pool.run(eo_tile_gradient_blocks(&context), &context) { context, block, _ in
            eo_tile_gradient_join(context.assumingMemoryBound(to: eo_tile_gradient.self), block)
        }
    }
}
