import Model
import Operators

/// The mean of each channel of what linear operators read, over all samples: rounding their weights shifts their
/// results by the error of the weights times these means.
struct ChannelMeans {
    private struct Entry {
        /// The tensor an operator reads, and the one that was computed: the first may be a view of the second.
        let tensor: Int
        let source: Int
        let channels: Int
        /// Empty until there was a sample.
        var means: [Double] = []
    }
    private var entries: [Entry] = []
    private var sampleCount = 0

    init(_ model: Model, _ graph: Int) {
        let subgraph = model.subgraphs[graph]
        let uses = Uses(subgraph)
        for op in subgraph.operators.indices {
            guard let linear = LinearOperator(model.code(graph, op).builtin) else { continue }
            let inputs = subgraph.operators[op].inputs
            guard linear.input < inputs.count, inputs[linear.input] >= 0 else { continue }
            let tensor = inputs[linear.input]
            guard subgraph.tensors[tensor].type == .float32, !entries.contains(where: { $0.tensor == tensor }),
                let channels = subgraph.tensors[tensor].shape.last, channels > 0
            else { continue }
            let source = Self.source(of: tensor, model, graph, uses)
            entries.append(Entry(tensor: tensor, source: source, channels: channels))
        }
    }

    private static func source(of tensor: Int, _ model: Model, _ graph: Int, _ uses: Uses) -> Int {
        var source = tensor
        while let op = uses.producer(of: source), let input = model.subgraphs[graph].operators[op].inputs.first,
            input >= 0, OperatorRegistry.definition(model.code(graph, op))?.isView == true
        { source = input }
        return source
    }

    /// Means of one sample, entry by entry; empty until `observe` has seen the tensor.
    var emptySample: [[Double]] { entries.map { _ in [] } }

    func observe(_ tensor: Int, _ values: Span<Float>, _ sample: inout [[Double]]) {
        for index in entries.indices where entries[index].source == tensor {
            let channels = entries[index].channels
            let rows = values.count / channels
            guard rows > 0 else { continue }
            var sums = [Double](repeating: 0, count: channels)
            var position = 0
            for _ in 0..<rows {
                for channel in 0..<channels { sums[channel] += Double(values[position + channel]) }
                position += channels
            }
            for channel in 0..<channels { sums[channel] /= Double(rows) }
            sample[index] = sums
        }
    }

    mutating func add(_ sample: [[Double]]) {
        sampleCount += 1
        for index in entries.indices {
            if entries[index].means.isEmpty {
                entries[index].means = [Double](repeating: 0, count: sample[index].count)
            }
            for (channel, mean) in sample[index].enumerated() {
                entries[index].means[channel] += (mean - entries[index].means[channel]) / Double(sampleCount)
            }
        }
    }

    /// nil: no linear operator reads the tensor, or there was no sample.
    func means(_ tensor: Int) -> [Double]? {
        entries.first { $0.tensor == tensor && !$0.means.isEmpty }?.means
    }
}
