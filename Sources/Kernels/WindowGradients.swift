import CKernels
import Model

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
    /// Maxima, and which pixel of its window each comes from: the first that has it.
    package static func maximum(
        _ shape: PoolShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>, places: inout MutableSpan<UInt16>,
        clamp: (minimum: Float, maximum: Float), pool: ThreadPool
    ) {
        precondition(x.count >= shape.inputCount && y.count >= shape.outputCount && places.count >= shape.outputCount)
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                places.withUnsafeMutableBufferPointer { places in
                    var context = shape.maximumPool
                    (context.low, context.high) = clamp
                    (context.x, context.y, context.place) = (x.baseAddress, y.baseAddress, places.baseAddress)
                    pool.run(shape.outputRows, &context) { context, line, _ in
                        eo_max_pool(context.assumingMemoryBound(to: eo_max_pool.self), line)
                    }
                }
            }
        }
    }

    /// What windows hand back to the pixels that their maxima come from.
    package static func maximumGradient(
        _ shape: PoolShape, _ dy: Span<Float>, places: Span<UInt16>, _ dx: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        precondition(
            dx.count >= shape.inputCount && dy.count >= shape.outputCount && places.count >= shape.outputCount)
        dy.withUnsafeBufferPointer { dy in
            places.withUnsafeBufferPointer { places in
                dx.withUnsafeMutableBufferPointer { dx in
                    var context = shape.maximumPool
                    (context.dy, context.dx) = (dy.baseAddress, dx.baseAddress)
                    context.place = UnsafeMutablePointer(mutating: places.baseAddress)
                    pool.run(shape.batch, &context) { context, image, _ in
                        eo_max_pool_gradient(context.assumingMemoryBound(to: eo_max_pool.self), image)
                    }
                }
            }
        }
    }

    /// What windows hand back to their elements, in equal shares.
    package static func averageGradient(
        _ shape: PoolShape, _ dy: Span<Float>, _ dx: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        precondition(dx.count >= shape.inputCount && dy.count >= shape.outputCount)
        dy.withUnsafeBufferPointer { dy in
            dx.withUnsafeMutableBufferPointer { dx in
                var context = eo_pool_gradient()
                context.window = shape.window
                context.kernels = gradientTable
                (context.dy, context.dx) = (dy.baseAddress, dx.baseAddress)
                pool.run(shape.batch, &context) { context, image, _ in
                    eo_average_pool_gradient(context.assumingMemoryBound(to: eo_pool_gradient.self), image)
                }
            }
        }
    }
}

extension PoolShape {
    fileprivate var maximumPool: eo_max_pool {
        var context = eo_max_pool()
        context.window = window
        context.kernels = kernelTable
        return context
    }

    fileprivate var window: eo_window {
        eo_window(
            batch: batch, input_height: inputHeight, input_width: inputWidth, input_channels: channels,
            output_height: outputHeight, output_width: outputWidth, output_channels: channels,
            kernel_height: filterHeight, kernel_width: filterWidth, stride_height: strideHeight,
            stride_width: strideWidth, dilation_height: 1, dilation_width: 1, padding_top: paddingTop,
            padding_left: paddingLeft, groups: 1)
    }
}
