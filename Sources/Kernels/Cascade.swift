import CKernels
import Model

/// A layer as a part of a `Cascade`: its plan, and what that points to.
package struct CascadeStage: @unchecked Sendable {
    fileprivate enum Plan {
        case convolution(eo_convolution)
        case depthwise(eo_depthwise)
    }
    fileprivate let plan: Plan
    fileprivate let window: eo_window
    /// What the plan points to.
    private let padding: Storage?
    private let weights: Storage
    private let parameters: Storage
    private let finish: Finish
    fileprivate let outputBytes: Int
    /// Bytes of an element of the input.
    fileprivate var inputSize: Int {
        switch plan {
        case .convolution(let plan): plan.input_element_size
        case .depthwise(let plan): plan.input_element_size
        }
    }
    package var weightBytes: Int { weights.count }
    /// Bytes of its result for one image.
    package var imageBytes: Int { outputBytes / max(1, window.batch) }
    package var hasOperand: Bool { finish.hasOperand }
    /// Copies its rows before it multiplies them.
    package var gathersRows: Bool {
        guard case .convolution(let plan) = plan else { return false }
        return plan.gather != nil
    }

    /// nil: the layer has groups.
    static func of(
        _ plan: ConvolutionPlan, _ weights: Storage, _ parameters: eo_f32_gemm_parameters, _ finish: Finish
    ) throws(Failure) -> CascadeStage? {
        guard plan.context.window.groups == 1 else { return nil }
        let parameters = try stored(of: parameters)
        var context = plan.context
        context.weights = UnsafeRawPointer(Bytes(weights).baseAddress)
        context.parameters = UnsafeRawPointer(Bytes(parameters).baseAddress)
        context.finish = finish.raw
        return CascadeStage(
            plan: .convolution(context), window: context.window, padding: nil, weights: weights,
            parameters: parameters, finish: finish, outputBytes: plan.outputBytes)
    }

    static func of(
        _ plan: DepthwisePlan, _ weights: Storage, _ parameters: eo_f32_gemm_parameters, _ finish: Finish
    ) throws(Failure) -> CascadeStage? {
        let parameters = try stored(of: parameters)
        var context = plan.context
        context.weights = UnsafeRawPointer(Bytes(weights).baseAddress)
        context.parameters = UnsafeRawPointer(Bytes(parameters).baseAddress)
        context.finish = finish.raw
        return CascadeStage(
            plan: .depthwise(context), window: context.window, padding: plan.padding, weights: weights,
            parameters: parameters, finish: finish, outputBytes: plan.outputBytes)
    }

    /// Every window sees some of the image, or lines would have nothing under them.
    fileprivate var seesImage: Bool {
        window.padding_top < span
            && (window.output_height - 1) * window.stride_height < window.input_height + window.padding_top
    }
    /// Input lines under an output line.
    fileprivate var span: Int { (window.kernel_height - 1) * window.dilation_height + 1 }
}

/// Convolutions one after the other, a few lines at a time; see cascade.h. The bits are those of the layers by
/// themselves. Immutable: any thread.
package final class Cascade: @unchecked Sendable {
    /// Lines kept take about this much (256 to 384 KiB are fastest), and the scratch memory of a thread at most that.
    private static let keptBytes = 320 * 1024
    private static let mostBytes = 1 << 20

    private let parts: [CascadeStage]
    private let stages: UnsafeMutablePointer<eo_cascade_stage>
    private let context: eo_cascade
    private let slots: Int
    private let inputBytes: Int

    package var scratchByteCount: Int { context.slot_size * slots }

    /// nil: the layers are too many, do not fit together, or their lines take more than the second-level cache, or are
    /// moved about too much.
    package static func of(_ parts: [CascadeStage], threads: Int) -> Cascade? {
        guard parts.count >= 2, parts.count <= Int(EO_CASCADE_STAGES), parts.allSatisfy({ $0.seesImage }),
            parts.dropLast().allSatisfy({ !$0.hasOperand })
        else { return nil }
        for (first, second) in zip(parts, parts.dropFirst()) {
            guard first.window.output_height == second.window.input_height,
                first.window.output_width == second.window.input_width,
                first.window.output_channels == second.window.input_channels
            else { return nil }
        }
        let cascade = Cascade(parts, threads: threads)
        return cascade.context.slot_size <= mostBytes && cascade.computesMostLines ? cascade : nil
    }

    /// Lines that a step finds there and moves to their new place are at most twice as many as it computes: with
    /// dilation they can be all but one.
    private var computesMostLines: Bool {
        parts.indices.dropFirst().allSatisfy {
            parts[$0].span <= (1 + 2 * stages[$0].lines) * parts[$0].window.stride_height
        }
    }

    private init(_ parts: [CascadeStage], threads: Int) {
        self.parts = parts
        stages = .allocate(capacity: parts.count)
        for (index, part) in parts.enumerated() {
            var stage = eo_cascade_stage()
            switch part.plan {
            case .convolution(let plan): stage.convolution = plan
            case .depthwise(let plan):
                stage.depthwise = plan
                stage.is_depthwise = true
                // What a layer of the cascade has computed is in the cache.
                if index > 0, eo_f32_depthwise_fits_lines(&stage.depthwise.window) {
                    stage.depthwise.lines = eo_f32_depthwise_lines_best().pointee.run
                    stage.depthwise.slot_size = EO_DEPTHWISE_SCRATCH
                }
            }
            (stages + index).initialize(to: stage)
        }
        var context = eo_cascade(
            count: parts.count, stages: stages, slot_size: 0, input: nil, output: nil, operand: nil, scratch: nil,
            unit_lines: 0, workers: 0)
        eo_cascade_plan(&context, Self.keptBytes)
        self.context = context
        slots = threads
        let first = parts[0].window
        inputBytes = first.batch * first.input_height * first.input_width * first.input_channels * parts[0].inputSize
    }

    deinit { stages.deallocate() }

    /// `input` and `output`: NHWC. `operand`: of what follows the last layer, as large as the output, or empty.
    /// `scratch`: of `scratchByteCount` bytes.
    package func run(
        _ input: Span<UInt8>, _ output: inout MutableSpan<UInt8>, operand: Span<UInt8>,
        scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        precondition(input.count >= inputBytes && output.count >= parts[parts.count - 1].outputBytes)
        precondition(!parts[parts.count - 1].hasOperand || operand.count >= parts[parts.count - 1].outputBytes)
        precondition(scratch.count >= context.slot_size, "scratch memory of a cascade is too small")
        var context = context
        let workers = min(pool.threadCount, scratch.count / context.slot_size)
        input.withUnsafeBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                operand.withUnsafeBufferPointer { operand in
                    scratch.withUnsafeMutableBufferPointer { scratch in
                        context.input = UnsafeRawPointer(input.baseAddress)
                        context.output = UnsafeMutableRawPointer(output.baseAddress)
                        context.operand = UnsafeRawPointer(operand.baseAddress)
                        context.scratch = UnsafeMutableRawPointer(scratch.baseAddress)
                        let units = eo_cascade_start(&context, workers)
                        withUnsafePointer(to: context) { job in
                            pool.run(units, workers: context.workers, job) { context, unit, worker in
                                eo_cascade_work(context.assumingMemoryBound(to: eo_cascade.self), unit, worker)
                            }
                        }
                    }
                }
            }
        }
    }
}
