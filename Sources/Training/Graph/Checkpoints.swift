import Model

/// Which results of a forward graph are kept for the backward pass, if most are to be computed again: those that cross
/// from one segment to the next. Segments have about the same bytes of results, as many as makes both small, and end
/// where little crosses.
struct Checkpoints {
    /// All but the last, whose results are still there when the backward pass begins.
    let segments: [Range<Int>]

    /// All shapes must be known.
    init(_ model: Model, _ subgraph: Int) {
        let graph = model.subgraphs[subgraph]
        let sizes = graph.tensors.map { $0.type.byteCount($0.shape.reduce(1, &*)) ?? 0 }
        let count = graph.operators.count
        // What crosses the place before each operator, and what was computed up to there.
        var crossing = [Int](repeating: 0, count: count + 1)
        var computed = crossing
        var lastUse = [Int](repeating: -1, count: graph.tensors.count)
        for (index, op) in graph.operators.enumerated() {
            for input in op.inputs where input >= 0 { lastUse[input] = index }
        }
        for (index, op) in graph.operators.enumerated() {
            computed[index + 1] = computed[index] &+ op.outputs.reduce(0) { $0 &+ sizes[$1] }
            for output in op.outputs where lastUse[output] > index {
                for place in index + 1...lastUse[output] { crossing[place] &+= sizes[output] }
            }
        }
        let pieces = Int(Double(count).squareRoot())
        var segments: [Range<Int>] = []
        var first = 0
        for piece in stride(from: 1, to: pieces, by: 1) {
            let (low, high) = (computed[count] / pieces * (piece - 1), computed[count] / pieces * (piece + 1))
            let candidates = (first + 1..<max(first + 1, count)).filter { computed[$0] > low && computed[$0] < high }
            guard let end = candidates.min(by: { crossing[$0] < crossing[$1] }) else { continue }
            segments.append(first..<end)
            first = end
        }
        self.segments = segments
    }
}
