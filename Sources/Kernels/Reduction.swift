import CKernels

/// Which elements of a tensor a reduction combines. Adjacent dimensions that are both kept or both reduced are one.
package struct ReductionShape: Sendable {
    package struct Dimension: Equatable, Sendable {
        package var count: Int
        package var stride: Int
    }

    /// Dimensions around the run, outermost first; strides count elements of the input.
    package private(set) var kept: [Dimension] = []
    package private(set) var reduced: [Dimension] = []
    /// The innermost dimension, contiguous: reduced to one output element, or kept as as many.
    package private(set) var length = 1
    package private(set) var reducesRun = false
    /// Input elements for each output element.
    package private(set) var factor = 1

    /// `axes` are dimensions of `shape`, in any order, each at most once.
    package init(_ shape: [Int], axes: [Int]) {
        var merged: [(count: Int, isReduced: Bool)] = []
        for axis in shape.indices where shape[axis] != 1 {
            let isReduced = axes.contains(axis)
            factor *= isReduced ? shape[axis] : 1
            if let last = merged.last, last.isReduced == isReduced {
                merged[merged.count - 1].count *= shape[axis]
            } else {
                merged.append((shape[axis], isReduced))
            }
        }
        guard let run = merged.popLast() else { return }
        (length, reducesRun) = run
        var stride = length
        for dimension in merged.reversed() {
            let outer = Dimension(count: dimension.count, stride: stride)
            if dimension.isReduced { reduced.append(outer) } else { kept.append(outer) }
            stride *= dimension.count
        }
        kept.reverse()
        reduced.reverse()
    }

    /// Output elements computed together: 1, or the kept run.
    package var outputLength: Int { reducesRun ? 1 : length }
    package var outputRuns: Int { kept.reduce(1) { $0 * $1.count } }
    /// Input runs for each output run.
    package var inputRuns: Int { reduced.reduce(1) { $0 * $1.count } }

    /// Where the first input run of an output run begins.
    package func start(ofOutputRun index: Int) -> Int { Self.offset(index, kept) }
    /// Where an input run begins, from the first one of its output run.
    package func offset(ofInputRun index: Int) -> Int { Self.offset(index, reduced) }

    private static func offset(_ index: Int, _ dimensions: [Dimension]) -> Int {
        var rest = index
        var offset = 0
        var axis = dimensions.count - 1
        while axis >= 0 {
            offset += rest % dimensions[axis].count * dimensions[axis].stride
            rest /= dimensions[axis].count
            axis -= 1
        }
        return offset
    }
}

/// Reductions of float tensors, and integer sums. The order in which elements are combined depends on the shape alone.
/// Output runs are shared among the threads of `pool`. Nothing is allocated.
package enum Reduction {
    package static func sum(
        _ shape: ReductionShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        fold(
            shape, x, &y, pool,
            .init(
                start: 0, run: kernelTable.pointee.f32_sum, runs: kernelTable.pointee.f32_add.vv,
                allRuns: kernelTable.pointee.f32_add_rows))
    }

    /// Of no elements: NaN.
    package static func mean(
        _ shape: ReductionShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        sum(shape, x, &y, pool: pool)
        var factor = Float(shape.factor)
        var none = eo_f32_params(low: -.infinity, high: .infinity)
        y.withUnsafeMutableBufferPointer {
            guard let y = $0.baseAddress else { return }
            kernelTable.pointee.f32_div.vs($0.count, y, &factor, y, &none)
        }
    }

    package static func maximum(
        _ shape: ReductionShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        fold(
            shape, x, &y, pool,
            .init(start: -.infinity, run: kernelTable.pointee.f32_maximum, runs: kernelTable.pointee.f32_max.vv))
    }

    package static func minimum(
        _ shape: ReductionShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>, pool: ThreadPool
    ) {
        fold(
            shape, x, &y, pool,
            .init(start: .infinity, run: kernelTable.pointee.f32_minimum, runs: kernelTable.pointee.f32_min.vv))
    }

    /// Exact sums, wrapping beyond 32 bits.
    package static func sum<T: QuantizedInteger>(
        _ shape: ReductionShape, _ x: Span<T>, _ y: inout MutableSpan<Int32>
    ) {
        let (outputs, inputs, length) = (shape.outputRuns, shape.inputRuns, shape.length)
        precondition(y.count >= outputs * shape.outputLength && x.count >= outputs * inputs * length)
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                y.update(repeating: 0)
                guard let x = x.baseAddress, let y = y.baseAddress else { return }
                for output in 0..<outputs {
                    let start = shape.start(ofOutputRun: output)
                    for input in 0..<inputs {
                        let run = x + start + shape.offset(ofInputRun: input)
                        if shape.reducesRun {
                            y[output] &+= T.sum(length, run)
                        } else {
                            T.accumulate(length, run, y + output * length)
                        }
                    }
                }
            }
        }
    }

    private static func fold(
        _ shape: ReductionShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>, _ pool: ThreadPool,
        _ operation: FoldJob.Operation
    ) {
        let (outputs, inputs) = (shape.outputRuns, shape.inputRuns)
        precondition(y.count >= outputs * shape.outputLength && x.count >= outputs * inputs * shape.length)
        guard y.count > 0 else { return }
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                y.update(repeating: operation.start)
                guard let x = x.baseAddress, let y = y.baseAddress else { return }
                let job = FoldJob(
                    operation: operation, shape: shape, x: x, y: y, outputs: outputs, inputs: inputs)
                withUnsafePointer(to: job) {
                    pool.run(job.pieces, $0) { context, piece, _ in
                        context.assumingMemoryBound(to: FoldJob.self).pointee.run(piece)
                    }
                }
            }
        }
    }
}

private struct FoldJob {
    struct Operation {
        let start: Float
        let run: @convention(c) (Int, UnsafePointer<Float>) -> Float
        let runs: eo_binary_form
        /// The same for runs that lie equally far apart.
        var allRuns: (@convention(c) (Int, Int, Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void)?
    }
    let operation: Operation
    let shape: ReductionShape
    let x: UnsafePointer<Float>
    let y: UnsafeMutablePointer<Float>
    let outputs: Int
    let inputs: Int

    private var runsPerPiece: Int { max(1, elementsPerPiece / max(1, inputs * shape.length)) }
    var pieces: Int { (outputs + runsPerPiece - 1) / runsPerPiece }

    func run(_ piece: Int) {
        let first = piece * runsPerPiece
        for output in first..<min(outputs, first + runsPerPiece) {
            let start = shape.start(ofOutputRun: output)
            if let all = operation.allRuns, !shape.reducesRun, shape.reduced.count == 1 {
                all(shape.length, inputs, shape.reduced[0].stride, x + start, y + output * shape.length)
                continue
            }
            for input in 0..<inputs { combine(x + start + shape.offset(ofInputRun: input), into: output) }
        }
    }

    private func combine(_ run: UnsafePointer<Float>, into output: Int) {
        var none = eo_f32_params(low: -.infinity, high: .infinity)
        if shape.reducesRun {
            var value = operation.run(shape.length, run)
            operation.runs(1, &value, y + output, y + output, &none)
        } else {
            operation.runs(shape.length, run, y + output * shape.length, y + output * shape.length, &none)
        }
    }
}
