/// How the elements of two tensors meet (NumPy rules): the output in memory order is a sequence of runs, and within a
/// run each operand either advances by one element or stays. Adjacent dimensions that behave alike are one.
package struct Broadcast: Sendable {
    package enum Form: Sendable {
        case vectorVector, vectorScalar, scalarVector

        /// From one element of a run to the next.
        package var steps: (a: Int, b: Int) {
            switch self {
            case .vectorVector: (1, 1)
            case .vectorScalar: (1, 0)
            case .scalarVector: (0, 1)
            }
        }
    }

    package struct Dimension: Equatable, Sendable {
        package var count: Int
        package var strideA: Int
        package var strideB: Int
    }

    /// Dimensions around the run, outermost first; strides count elements.
    package private(set) var outer: [Dimension] = []
    package private(set) var form = Form.vectorVector
    /// Elements in a run.
    package private(set) var length = 1
    package private(set) var runs = 1

    /// `a` and `b` must broadcast to `y`.
    package init(_ a: [Int], _ b: [Int], to y: [Int]) {
        var merged: [(count: Int, movesA: Bool, movesB: Bool)] = []
        for axis in y.indices where y[axis] != 1 {
            let movesA = axis >= y.count - a.count && a[axis - (y.count - a.count)] != 1
            let movesB = axis >= y.count - b.count && b[axis - (y.count - b.count)] != 1
            if let last = merged.last, last.movesA == movesA, last.movesB == movesB {
                merged[merged.count - 1].count *= y[axis]
            } else {
                merged.append((y[axis], movesA, movesB))
            }
        }
        guard let run = merged.popLast() else { return }
        length = run.count
        form = run.movesA ? (run.movesB ? .vectorVector : .vectorScalar) : .scalarVector
        var (sizeA, sizeB) = (run.movesA ? run.count : 1, run.movesB ? run.count : 1)
        for dimension in merged.reversed() {
            outer.append(
                Dimension(
                    count: dimension.count, strideA: dimension.movesA ? sizeA : 0,
                    strideB: dimension.movesB ? sizeB : 0))
            sizeA *= dimension.movesA ? dimension.count : 1
            sizeB *= dimension.movesB ? dimension.count : 1
            runs *= dimension.count
        }
        outer.reverse()
        if length == 0 { runs = 0 }
    }

    enum Operand: Sendable { case a, b }

    /// The operand that is the same in `runs` neighbouring runs, if both advance within a run, the other's lying one
    /// behind the other.
    private var repeated: (operand: Operand, runs: Int)? {
        guard form == .vectorVector, let last = outer.last else { return nil }
        return last.strideB == 0 ? (.b, last.count) : last.strideA == 0 ? (.a, last.count) : nil
    }

    /// The operand that gives one element to each of many short runs, its elements and the other's runs lying one behind
    /// another: a number for each row.
    private var spread: Operand? {
        guard form != .vectorVector, length <= Self.longestSpread, outer.count == 1, runs > 1 else { return nil }
        return form == .vectorScalar
            ? (outer[0].strideA == length && outer[0].strideB == 1 ? .b : nil)
            : (outer[0].strideB == length && outer[0].strideA == 1 ? .a : nil)
    }

    /// Kernels take longer runs by themselves in the time in which the element could be written out; so many of 8 bytes
    /// are 1 KiB.
    private static let longestSpread = 128

    /// How short runs become long ones for a kernel.
    enum Joint: Sendable {
        /// The operand is the same in so many neighbouring runs and is written out that often.
        case repeated(Operand, runs: Int)
        /// Each element of the operand is written out over a run.
        case spread(Operand)
    }

    /// The form of the runs that kernels see.
    var kernelForm: Form { spread == nil ? form : .vectorVector }

    /// `sizes`: bytes of an element; `bytes`: room for what is written out.
    func joint(_ sizes: (a: Int, b: Int), bytes: Int) -> Joint? {
        if let spread { return .spread(spread) }
        guard length * max(sizes.a, sizes.b) <= bytes / 2, let (operand, runs) = repeated else { return nil }
        return .repeated(operand, runs: runs)
    }

    /// Where a run begins in a and b.
    @inline(never)  // it would outweigh the loops that it is in
    package func start(ofRun run: Int) -> (a: Int, b: Int) {
        var rest = run
        var (a, b) = (0, 0)
        var axis = outer.count - 1
        while axis >= 0 {
            let dimension = outer[axis]
            let index = rest % dimension.count
            rest /= dimension.count
            a += index * dimension.strideA
            b += index * dimension.strideB
            axis -= 1
        }
        return (a, b)
    }
}
