import CKernels
import Model

/// The gradient of a float32 convolution by its filter (OHWI). Sums are cut by the shape alone, so the bits do not depend
/// on the number of threads. Immutable: any thread.
package final class FilterGradient: @unchecked Sendable {
    private let context: eo_filter_gradient
    private let shape: ConvolutionShape
    private let slots: Int
    package let kernelName: String
    package let scratchByteCount: Int

    /// `shape`: of the convolution.
    package init(_ shape: ConvolutionShape, threads: Int) throws(Failure) {
        try shape.check()
        let kernel = eo_f32_gemm_best().pointee
        var context = eo_filter_gradient()
        context.window = shape.window
        context.run = kernel.run
        (context.mr, context.nr) = (Int(kernel.mr), Int(kernel.nr))
        if !shape.isPointwise { context.gather = eo_gather_best().pointee.run }
        eo_filter_gradient_plan(&context)
        kernelName = String(cString: kernel.name)
        slots = min(max(1, threads), eo_filter_gradient_units(&context))
        scratchByteCount = (context.partial_size + 63) / 64 * 64 + slots * context.slot_size
        (self.context, self.shape) = (context, shape)
    }

    /// `input`: images; `dz`: the gradient of the convolution's output; `scratch`: 64-byte aligned.
    package func run(
        _ input: Span<Float>, _ dz: Span<Float>, _ dw: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>,
        pool: ThreadPool
    ) {
        precondition(input.count >= shape.inputCount && dz.count >= shape.outputCount)
        precondition(scratch.count >= scratchByteCount && dw.count >= shape.outputChannels * shape.depth)
        var context = context
        input.withUnsafeBufferPointer { input in
            dz.withUnsafeBufferPointer { dz in
                dw.withUnsafeMutableBufferPointer { dw in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        let memory = UnsafeMutableRawPointer(scratch.baseAddress!)
                        context.input = input.baseAddress
                        context.dz = dz.baseAddress
                        context.dw = dw.baseAddress
                        context.partial = memory.assumingMemoryBound(to: Float.self)
                        context.scratch = memory + (context.partial_size + 63) / 64 * 64
                        pool.run(min(pool.threadCount, slots), &context) { context, worker, _ in
                            eo_filter_gradient_work(
                                UnsafeMutableRawPointer(mutating: context).assumingMemoryBound(
                                    to: eo_filter_gradient.self), worker)
                        }
                        guard context.strips > 1 else { return }
                        pool.run(shape.outputChannels, &context) { context, filter, _ in
                            eo_filter_gradient_join(context.assumingMemoryBound(to: eo_filter_gradient.self), filter)
                        }
                    }
                }
            }
        }
    }
}

/// The gradients of DEPTHWISE_CONV_2D (filters [taps][output channels]). Immutable: any thread.
package struct DepthwiseGradients: @unchecked Sendable {
    private let shape: ConvolutionShape
    private let strips: Int

    /// `shape`: of the convolution.
    package init(_ shape: ConvolutionShape) throws(Failure) {
        try shape.checkDepthwise()
        var plain = shape
        plain.groups = 1
        self.shape = plain
        strips = min(16, shape.batch * shape.outputHeight)
    }

    /// Scratch memory of the gradient by the filter.
    package var scratchByteCount: Int { strips * shape.taps * shape.outputChannels * 4 }

    package func filter(
        _ input: Span<Float>, _ dz: Span<Float>, _ dw: inout MutableSpan<Float>, scratch: inout MutableSpan<UInt8>,
        pool: ThreadPool
    ) {
        precondition(input.count >= shape.inputCount && dz.count >= shape.outputCount)
        precondition(scratch.count >= scratchByteCount && dw.count >= shape.taps * shape.outputChannels)
        input.withUnsafeBufferPointer { input in
            dz.withUnsafeBufferPointer { dz in
                dw.withUnsafeMutableBufferPointer { dw in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        let memory = UnsafeMutableRawPointer(scratch.baseAddress!)
                        var context = context(input.baseAddress, dz.baseAddress, dw.baseAddress)
                        context.partial = memory.assumingMemoryBound(to: Float.self)
                        pool.run(strips, &context) { context, strip, _ in
                            eo_depthwise_filter_gradient(
                                context.assumingMemoryBound(to: eo_depthwise_gradient.self), strip)
                        }
                        eo_depthwise_filter_gradient_join(&context)
                    }
                }
            }
        }
    }

    package func input(
        _ weights: Span<Float>, _ dz: Span<Float>, _ dx: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        precondition(dx.count >= shape.inputCount && dz.count >= shape.outputCount)
        precondition(weights.count >= shape.taps * shape.outputChannels)
        weights.withUnsafeBufferPointer { weights in
            dz.withUnsafeBufferPointer { dz in
                dx.withUnsafeMutableBufferPointer { dx in
                    var context = context(weights.baseAddress, dz.baseAddress, dx.baseAddress)
                    pool.run(shape.batch * shape.inputHeight, &context) { context, line, _ in
                        eo_depthwise_input_gradient(context.assumingMemoryBound(to: eo_depthwise_gradient.self), line)
                    }
                }
            }
        }
    }

    private func context(
        _ a: UnsafePointer<Float>?, _ dz: UnsafePointer<Float>?, _ result: UnsafeMutablePointer<Float>?
    ) -> eo_depthwise_gradient {
        var context = eo_depthwise_gradient()
        context.window = shape.window
        context.kernels = gradientTable
        context.strips = strips
        (context.a, context.dz, context.result) = (a, dz, result)
        return context
    }
}

extension Pooling {
    /// What windows hand back to the first of their greatest elements. `y`: greatest elements, or clamped ones (where
    /// `dy` is 0).
    package static func maximumGradient(
        _ shape: PoolShape, _ x: Span<Float>, _ y: Span<Float>, _ dy: Span<Float>, _ dx: inout MutableSpan<Float>,
        pool: ThreadPool
    ) {
        precondition(x.count >= shape.inputCount && y.count >= shape.outputCount)
        x.withUnsafeBufferPointer { x in
            y.withUnsafeBufferPointer { y in
                gradient(shape, dy, &dx, x.baseAddress, y.baseAddress, pool) { context, image, _ in
                    eo_max_pool_gradient(context.assumingMemoryBound(to: eo_pool_gradient.self), image)
                }
            }
        }
    }

    /// What windows hand back to their elements, in equal shares.
    package static func averageGradient(
        _ shape: PoolShape, _ dy: Span<Float>, _ dx: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        gradient(shape, dy, &dx, nil, nil, pool) { context, image, _ in
            eo_average_pool_gradient(context.assumingMemoryBound(to: eo_pool_gradient.self), image)
        }
    }

    private static func gradient(
        _ shape: PoolShape, _ dy: Span<Float>, _ dx: inout MutableSpan<Float>, _ x: UnsafePointer<Float>?,
        _ y: UnsafePointer<Float>?, _ pool: ThreadPool, _ body: ThreadPool.Body
    ) {
        precondition(dx.count >= shape.inputCount && dy.count >= shape.outputCount)
        dy.withUnsafeBufferPointer { dy in
            dx.withUnsafeMutableBufferPointer { dx in
                var context = eo_pool_gradient()
                context.window = shape.window
                context.kernels = gradientTable
                (context.x, context.y, context.dy, context.dx) = (x, y, dy.baseAddress, dx.baseAddress)
                pool.run(shape.batch, &context, body)
            }
        }
    }
}

extension PoolShape {
    fileprivate var window: eo_window {
        eo_window(
            batch: batch, input_height: inputHeight, input_width: inputWidth, input_channels: channels,
            output_height: outputHeight, output_width: outputWidth, output_channels: channels,
            kernel_height: filterHeight, kernel_width: filterWidth, stride_height: strideHeight,
            stride_width: strideWidth, dilation_height: 1, dilation_width: 1, padding_top: paddingTop,
            padding_left: paddingLeft, groups: 1)
    }
}
