import CKernels
import Model

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
    package var outputRuns: Int { Self.product(kept) }
    /// Input runs for each output run.
    package var inputRuns: Int { Self.product(reduced) }

    /// One large image to one pixel: its rows are combined in so many parts, which threads share, before the parts are.
    /// A thread finds those rows in its own cache that it made. Otherwise 1. The shape decides, not the threads.
    var parts: Int {
        let isImage = outputRuns == 1 && !reducesRun && reduced.count == 1
        return isImage && inputRuns * length >= elementsPerPiece ? 4 : 1
    }
    func inputRuns(ofPart part: Int) -> Range<Int> { inputRuns * part / parts..<inputRuns * (part + 1) / parts }
    /// Elements of memory, like the output's, that a reduction wants beside it.
    package var scratchCount: Int { (parts - 1) * length }

    /// Where the first input run of an output run begins.
    package func start(ofOutputRun index: Int) -> Int { Self.offset(index, kept) }
    /// Where an input run begins, from the first one of its output run.
    package func offset(ofInputRun index: Int) -> Int { Self.offset(index, reduced) }

    // They would outweigh the twenty loops that they are in.
    @inline(never)
    private static func product(_ dimensions: [Dimension]) -> Int { dimensions.reduce(1) { $0 * $1.count } }

    @inline(never)
    private static func offset(_ index: Int, _ dimensions: [Dimension]) -> Int {
        // As most are, without divisions.
        if dimensions.count == 1 { return index * dimensions[0].stride }
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
/// Output runs, or parts of one, are shared among the threads of `pool`. `scratch`: `scratchCount` elements. Nothing is
/// allocated.
package enum Reduction: Sendable {
    case sum, maximum, minimum
    /// Of no elements: NaN.
    case mean
    case product
    /// Of int32 and int64, with 64 bits.
    case longSum

    /// Not of products and long sums, which the form for all types below makes.
    package func run(
        _ shape: ReductionShape, _ x: Span<Float>, _ y: inout MutableSpan<Float>, scratch: inout MutableSpan<Float>,
        pool: ThreadPool
    ) {
        precondition(self != .product && self != .longSum)
        x.withUnsafeBytes { x in
            y.withUnsafeMutableBytes { y in
                scratch.withUnsafeMutableBytes { scratch in
                    guard self == .maximum || self == .minimum else { return Fold.sum.run(shape, x, y, scratch, pool) }
                    withUnsafePointer(to: eo_fold(self, .float32)) { pairs in
                        let table = kernelTable
                        let run = self == .maximum ? table.pointee.f32_maximum : table.pointee.f32_minimum
                        Fold.extreme(run, pairs).run(shape, x, y, scratch, pool)
                    }
                }
                guard self == .mean, let y = y.baseAddress else { return }
                var factor = Float(shape.factor)
                var none = eo_f32_params(low: -.infinity, high: .infinity)
                kernelTable.pointee.f32_div.vs(shape.outputRuns * shape.outputLength, y, &factor, y, &none)
            }
        }
    }

    /// Exact sums, wrapping beyond 32 bits.
    package static func sum<T: QuantizedInteger>(
        _ shape: ReductionShape, _ x: Span<T>, _ y: inout MutableSpan<Int32>, scratch: inout MutableSpan<Int32>,
        pool: ThreadPool
    ) {
        let fold = Fold.integerSum(T.kernels.sum, T.kernels.addRows, MemoryLayout<T>.stride)
        x.withUnsafeBytes { x in
            y.withUnsafeMutableBytes { y in scratch.withUnsafeMutableBytes { fold.run(shape, x, y, $0, pool) } }
        }
    }
}

extension Reduction {
    /// Of whole numbers, of the bytes of booleans, and products of floats.
    package func run(
        _ shape: ReductionShape, _ type: TensorType, _ x: Span<UInt8>, _ y: inout MutableSpan<UInt8>,
        scratch: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        var pairs = eo_fold(self, type)
        withUnsafePointer(to: &pairs) { pairs in
            let fold = Fold.pairs(pairs)
            x.withUnsafeBytes { x in
                y.withUnsafeMutableBytes { y in scratch.withUnsafeMutableBytes { fold.run(shape, x, y, $0, pool) } }
            }
        }
    }
}

extension eo_fold {
    fileprivate init(_ reduction: Reduction, _ type: TensorType) {
        let result: TensorType = reduction == .longSum ? .int64 : type
        let isSigned = type != .uint8 && type != .bool
        let spare = Int64(64 - (type.bits ?? 8))
        let (function, start): (Combination.Function, Int64) =
            switch reduction {
            case .sum, .mean, .longSum: (.add, 0)
            case .product: (.multiply, type == .float32 ? Int64(Float(1).bitPattern) : 1)
            case .maximum where type == .float32: (.maximum, Int64((-Float.infinity).bitPattern))
            case .minimum where type == .float32: (.minimum, Int64(Float.infinity.bitPattern))
            case .maximum: (.maximum, isSigned ? .min >> spare : 0)
            case .minimum: (.minimum, isSigned ? .max >> spare : -1)
            }
        let join = Combination(function, result)
        var step = join.parameters
        if type != result { step.function = EO_ADD_LONG }
        self.init(
            kernel: join.kernel.vv, step: step, join: join.parameters, size: (type.bits ?? 8) / 8,
            result_size: join.size, start: start)
    }
}

/// How numbers become one.
private enum Fold {
    case sum
    /// Of a run; of two.
    case extreme(@convention(c) (Int, UnsafePointer<Float>) -> Float, UnsafePointer<eo_fold>)
    /// Of a run, of rows, bytes of a number.
    case integerSum(
        @convention(c) (Int, UnsafeRawPointer) -> Int32,
        @convention(c) (Int, Int, Int, UnsafeRawPointer, UnsafeMutablePointer<Int32>) -> Void, Int)
    /// By its address: it is large, and looked at for each run.
    case pairs(UnsafePointer<eo_fold>)

    /// Bytes of a result.
    var size: Int {
        guard case .pairs(let fold) = self else { return 4 }
        return fold.pointee.result_size
    }

    var inputSize: Int {
        switch self {
        case .integerSum(_, _, let size): size
        case .pairs(let fold): fold.pointee.size
        case .sum, .extreme: 4
        }
    }

    @inline(never)
    func start(_ y: UnsafeMutableRawPointer, _ count: Int) {
        switch self {
        case .pairs(let fold), .extreme(_, let fold): eo_fold_start(fold, count, y)
        // Also of whole numbers: 0 has the same bits.
        case .sum, .integerSum: y.initializeMemory(as: Float.self, repeating: 0, count: count)
        }
    }

    func run(
        _ shape: ReductionShape, _ x: UnsafeRawBufferPointer, _ y: UnsafeMutableRawBufferPointer,
        _ scratch: UnsafeMutableRawBufferPointer, _ pool: ThreadPool
    ) {
        let outputs = shape.outputRuns
        let inputs = shape.inputRuns * shape.length
        precondition(y.count >= outputs * shape.outputLength * size && x.count >= outputs * inputs * inputSize)
        precondition(scratch.count >= shape.scratchCount * size)
        guard let x = x.baseAddress, let y = y.baseAddress, outputs * shape.outputLength > 0 else { return }
        let job = FoldJob(
            fold: self, shape: shape, x: x, y: y, scratch: scratch.baseAddress ?? y,
            outputs: Pieces(outputs, atMost: max(1, elementsPerPiece / max(1, inputs)), pool: pool))
        withUnsafePointer(to: job) {
            pool.run(shape.parts > 1 ? shape.parts : job.outputs.count, $0) { context, piece, _ in
                context.assumingMemoryBound(to: FoldJob.self).pointee.run(piece)
            }
        }
        job.join()
    }

    /// `count` runs of `length`, `stride` elements apart, into neighbouring numbers.
    func runs(_ length: Int, _ count: Int, _ stride: Int, _ x: UnsafeRawPointer, _ y: UnsafeMutableRawPointer) {
        let (floats, results) = (x.assumingMemoryBound(to: Float.self), y.assumingMemoryBound(to: Float.self))
        switch self {
        case .pairs(let fold): eo_fold_runs(fold, length, count, stride, x, y)
        case .sum:
            let sum = kernelTable.pointee.f32_sum
            for run in 0..<count { results[run] += sum(length, floats + run * stride) }
        case .extreme(let extreme, let fold):
            let isGreatest = fold.pointee.step.function == EO_MAXIMUM
            for run in 0..<count {
                let value = extreme(length, floats + run * stride)
                if (value > results[run]) == isGreatest { results[run] = value }
            }
        case .integerSum(let sum, _, let size):
            let results = y.assumingMemoryBound(to: Int32.self)
            for run in 0..<count { results[run] &+= sum(length, x + run * stride * size) }
        }
    }

    /// `count` rows of `length`, `stride` elements apart, into one.
    func rows(_ length: Int, _ count: Int, _ stride: Int, _ x: UnsafeRawPointer, _ y: UnsafeMutableRawPointer) {
        switch self {
        case .sum:
            kernelTable.pointee.f32_add_rows(
                length, count, stride, x.assumingMemoryBound(to: Float.self), y.assumingMemoryBound(to: Float.self))
        case .pairs(let fold), .extreme(_, let fold): eo_fold_rows(fold, length, count, stride, x, y)
        case .integerSum(_, let add, _): add(length, count, stride, x, y.assumingMemoryBound(to: Int32.self))
        }
    }

    /// What was combined in parts, into one.
    func join(_ length: Int, _ x: UnsafeRawPointer, _ y: UnsafeMutableRawPointer) {
        if case .pairs(let fold) = self {
            var join = fold.pointee.join
            return fold.pointee.kernel(length, x, y, y, &join)
        }
        guard case .integerSum = self else { return rows(length, 1, 0, x, y) }
        let (x, y) = (x.assumingMemoryBound(to: Int32.self), y.assumingMemoryBound(to: Int32.self))
        for index in 0..<length { y[index] &+= x[index] }
    }
}

private struct FoldJob {
    let fold: Fold
    let shape: ReductionShape
    let x: UnsafeRawPointer
    let y: UnsafeMutableRawPointer
    let scratch: UnsafeMutableRawPointer
    let outputs: Pieces

    private func part(_ part: Int) -> UnsafeMutableRawPointer {
        part == 0 ? y : scratch + (part - 1) * shape.length * fold.size
    }

    func run(_ piece: Int) {
        if shape.parts > 1 {
            fold.start(part(piece), shape.length)
            return addRows(shape.inputRuns(ofPart: piece), part(piece))
        }
        if shape.reducesRun { return runTogether(outputs[piece]) }
        let (length, inputSize) = (shape.outputLength, fold.inputSize)
        for output in outputs[piece] {
            let (x, y) = (x + shape.start(ofOutputRun: output) * inputSize, y + output * length * fold.size)
            fold.start(y, length)
            if shape.reduced.count == 1 {
                fold.rows(length, shape.inputRuns, shape.reduced[0].stride, x, y)
                continue
            }
            for input in 0..<shape.inputRuns {
                fold.rows(length, 1, 0, x + shape.offset(ofInputRun: input) * inputSize, y)
            }
        }
    }

    /// Runs of neighbouring results side by side.
    private func runTogether(_ outputs: Range<Int>) {
        let neighbours = shape.kept.last ?? ReductionShape.Dimension(count: 1, stride: 0)
        let (size, inputSize) = (fold.size, fold.inputSize)
        var output = outputs.lowerBound
        while output < outputs.upperBound {
            let count = min(outputs.upperBound - output, neighbours.count - output % neighbours.count)
            let (x, y) = (x + shape.start(ofOutputRun: output) * inputSize, y + output * size)
            fold.start(y, count)
            for input in 0..<shape.inputRuns {
                fold.runs(
                    shape.length, count, neighbours.stride, x + shape.offset(ofInputRun: input) * inputSize, y)
            }
            output += count
        }
    }

    private func addRows(_ rows: Range<Int>, _ y: UnsafeMutableRawPointer) {
        let stride = shape.reduced[0].stride
        fold.rows(shape.length, rows.count, stride, x + rows.lowerBound * stride * fold.inputSize, y)
    }

    func join() {
        for part in 1..<shape.parts { fold.join(shape.length, self.part(part), y) }
    }
}
