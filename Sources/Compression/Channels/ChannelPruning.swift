import Model
import Quantization

package struct ChannelPruningOptions {
    /// How a filter's channel is judged; raw values are eo_channel_norm's.
    package enum Norm: UInt32, Sendable { case l1 = 0, l2 = 1 }

    /// The share of each layer's output channels that goes, rounded to a whole number; at least one stays.
    package var ratio = 0.5
    package var norm = Norm.l1
    /// The number of channels that stay is raised to a multiple of this, where there are so many.
    package var multiple = 1
    /// Ratios of layers by name; 0 leaves a layer alone. Layers whose channels are added together take the least.
    package var rules: [LayerTarget] = []
    /// Told which layers keep their channels, and why.
    package var log: (String) -> Void = { _ in }

    package init() {}

    func validate() throws(Failure) {
        for value in [ratio] + rules.map({ $0.value }) where !(value >= 0 && value < 1) {
            throw .invalidArgument("a ratio of \(value): expected a number from 0 up to, without, 1")
        }
        guard (1...1024).contains(multiple) else {
            throw .invalidArgument("channels in multiples of \(multiple): expected 1 to 1024")
        }
    }
}

extension Model {
    /// A smaller model without the output channels of least norm (Li et al., "Pruning Filters for Efficient ConvNets",
    /// 2017), of convolutions and matrix products, and without all that belongs to them in the layers behind: a dense
    /// model that every runtime runs faster. Channels that are added to, multiplied by or compared with one another go
    /// together, by the sum of their norms relative to the layer's mean. Only the main subgraph is cut. Throws
    /// `EO_UNSUPPORTED` if no layer can lose channels.
    package func withoutChannels(_ options: ChannelPruningOptions) throws(Failure) -> Model {
        try options.validate()
        var model = try preparedForQuantization()
        guard !model.subgraphs.isEmpty else { throw .invalidModel("\(origin): the model has no subgraph") }
        model.separateConstants()
        var flow = ChannelFlow(model)
        let removed = flow.removedUnits(options)
        guard !removed.isEmpty else {
            throw .unsupported("\(origin): no layer can lose channels with these options")
        }
        return try model.cut(&flow, removed).compacted()
    }

    /// Gives each use of a constant a tensor of its own: converters make equal ones the same, but biases, shapes and
    /// paddings of different layers may lose different channels. Filters that are shared stay shared.
    private mutating func separateConstants() {
        var seen = Set<Int>()
        for index in subgraphs[0].operators.indices {
            let filters = WeightPlaces.of(code(0, index).builtin).map { $0.input }
            for place in subgraphs[0].operators[index].inputs.indices where !filters.contains(place) {
                let tensor = subgraphs[0].operators[index].inputs[place]
                guard tensor >= 0, constant(0, tensor) != nil, !seen.insert(tensor).inserted else { continue }
                subgraphs[0].operators[index].inputs[place] = add(subgraphs[0].tensors[tensor], to: 0)
            }
        }
    }

    private func cut(_ flow: inout ChannelFlow, _ removed: Set<Int>) throws(Failure) -> Model {
        var model = self
        for tensor in flow.channels.indices {
            guard let labels = flow.channels[tensor] else { continue }
            let left = flow.kept(labels, removed).count
            guard left < labels.count else { continue }
            model.subgraphs[0].tensors[tensor].setWidth(left)
        }
        for axis in flow.axisOrder {
            guard let labels = flow.axes[axis] else { continue }
            let left = flow.kept(labels, removed)
            guard left.count < labels.count else { continue }
            try model.keep(left, axis, of: labels.count)
        }
        for (constant, output) in flow.shapeConstants {
            guard let width = model.subgraphs[0].tensors[output].shape.last else { continue }
            try model.rewriteLast(of: constant, to: width)
        }
        for (constant, channels) in flow.pads {
            try model.rewriteLast(of: constant, to: flow.kept(channels, removed).count)
        }
        model.rewriteNewShapes()
        return model
    }

    /// Leaves only some places of a dimension of a constant.
    private mutating func keep(_ places: [Int], _ axis: ChannelFlow.Axis, of size: Int) throws(Failure) {
        guard let values = data(of: subgraphs[0].tensors[axis.tensor])?.array(of: Float.self) else { return }
        var shape = flowShape(axis, size)
        let inner = shape[(axis.dimension + 1)...].reduce(1, *)
        let outer = shape[..<axis.dimension].reduce(1, *)
        guard values.count >= outer * size * inner else { return }
        var left: [Float] = []
        left.reserveCapacity(outer * places.count * inner)
        for block in 0..<outer {
            for place in places {
                let start = (block * size + place) * inner
                left += values[start..<start + inner]
            }
        }
        shape[axis.dimension] = places.count
        buffers.append(Buffer(try Bytes(copying: left)))
        subgraphs[0].tensors[axis.tensor].buffer = buffers.count - 1
        subgraphs[0].tensors[axis.tensor].shape = shape
        subgraphs[0].tensors[axis.tensor].shapeSignature = nil
    }

    /// The present shape of a constant; its last dimension may have been stated smaller already.
    private func flowShape(_ axis: ChannelFlow.Axis, _ size: Int) -> [Int] {
        var shape = subgraphs[0].tensors[axis.tensor].shape
        shape[axis.dimension] = size
        return shape
    }

    /// Writes the last number of a constant of shapes or paddings; one that is left open (-1) stays open.
    private mutating func rewriteLast(of constant: Int, to width: Int) throws(Failure) {
        let tensor = subgraphs[0].tensors[constant]
        guard let data = data(of: tensor) else { return }
        if tensor.type == .int64 {
            var values = data.array(of: Int64.self)
            guard let last = values.indices.last, values[last] >= 0 else { return }
            values[last] = Int64(width)
            buffers.append(Buffer(try Bytes(copying: values)))
        } else {
            var values = data.array(of: Int32.self)
            guard let last = values.indices.last, values[last] >= 0 else { return }
            values[last] = Int32(clamping: width)
            buffers.append(Buffer(try Bytes(copying: values)))
        }
        subgraphs[0].tensors[constant].buffer = buffers.count - 1
    }

    private mutating func rewriteNewShapes() {
        for index in subgraphs[0].operators.indices where code(0, index).builtin == .reshape {
            let op = subgraphs[0].operators[index]
            var shape = op.options.ints(0).map { Int64($0) }
            guard let last = shape.indices.last, shape[last] >= 0, let output = op.outputs.first, output >= 0,
                let width = subgraphs[0].tensors[output].shape.last
            else { continue }
            shape[last] = Int64(width)
            subgraphs[0].operators[index].options[0] = .ints(shape)
        }
    }
}

extension Tensor {
    fileprivate mutating func setWidth(_ width: Int) {
        guard !shape.isEmpty else { return }
        shape[shape.count - 1] = width
        if let signature = shapeSignature, signature.count == shape.count, signature[signature.count - 1] >= 0 {
            shapeSignature?[signature.count - 1] = width
        }
    }
}

extension ChannelFlow {
    /// The places of the channels that are not removed.
    mutating func kept(_ labels: [Int], _ removed: Set<Int>) -> [Int] {
        var places: [Int] = []
        for (place, label) in labels.enumerated() where !removed.contains(units.root(label)) { places.append(place) }
        return places
    }

    /// The sets of channels that go.
    mutating func removedUnits(_ options: ChannelPruningOptions) -> Set<Int> {
        let norms = producers.map { relativeNorms($0.filter, options.norm) }
        let sets = units.sets()
        let layers = layers(sets.map { $0.sources.map { $0.producer } })
        var removed = Set<Int>()
        var left = producers.map { shape($0.filter.tensor)[$0.filter.dimension] }
        for layer in layers {
            let names = Array(Set(layer.flatMap { sets[$0].sources.map { $0.producer } })).ascending()
            let ratio = names.reduce(1) { min($0, self.ratio($1, options)) }
            if let reason = layer.lazy.compactMap({ sets[$0].reason }).first, ratio > 0 {
                report(names, reason, options)
            }
            var goal = layer.count - goalLeft(layer.count, ratio, options.multiple)
            let removable = layer.filter { sets[$0].reason == nil }
            let scores = removable.map { sets[$0].sources.reduce(0) { $0 + norms[$1.producer][$1.channel] } }
            for index in ascendingOrder(of: scores).map({ removable[$0] }) where goal > 0 {
                var counts: [Int: Int] = [:]
                for source in sets[index].sources { counts[source.producer, default: 0] += 1 }
                guard counts.allSatisfy({ left[$0.key] > $0.value }) else { continue }
                for (producer, count) in counts { left[producer] -= count }
                removed.insert(sets[index].root)
                goal -= 1
            }
        }
        return removed
    }

    private func goalLeft(_ count: Int, _ ratio: Double, _ multiple: Int) -> Int {
        let left = max(1, count - prunedCount(count, ratio))
        return min(count, (left + multiple - 1) / multiple * multiple)
    }

    private func ratio(_ producer: Int, _ options: ChannelPruningOptions) -> Double {
        let names = [name(producers[producer].filter.tensor)] + [name(output(producer))]
        return options.rules.last { rule in names.contains { rule.pattern.matches($0) } }?.value ?? options.ratio
    }

    private func output(_ producer: Int) -> Int { graph.operators[producers[producer].operation].outputs[0] }

    private func report(_ names: [Int], _ reason: String, _ options: ChannelPruningOptions) {
        for producer in names {
            options.log(
                ("\(model.operatorCodes[graph.operators[producers[producer].operation].opcode].name)"
                    + " '\(name(output(producer)))' keeps its channels: \(reason)" as Sentence).text)
        }
    }

    /// The norms of a filter's output channels, divided by their mean.
    private func relativeNorms(_ filter: Axis, _ norm: ChannelPruningOptions.Norm) -> [Double] {
        let shape = shape(filter.tensor)
        var norms = [Double](repeating: 0, count: shape[filter.dimension])
        let inner = max(1, shape[(filter.dimension + 1)...].reduce(1, *))
        for (index, value) in (model.floats(0, filter.tensor) ?? []).enumerated() {
            let channel = index / inner % norms.count
            norms[channel] += norm == .l1 ? Double(value.magnitude) : Double(value) * Double(value)
        }
        if norm == .l2 { norms = norms.map { $0.squareRoot() } }
        let mean = norms.reduce(0, +) / Double(max(1, norms.count))
        return mean > 0 && mean.isFinite ? norms.map { $0 / mean } : norms.map { _ in 1 }
    }

    /// Sets whose channels come from the same producers, directly or through others, belong to one layer.
    private func layers(_ producersOfSets: [[Int]]) -> [[Int]] {
        var parents = Array(producers.indices)
        func root(_ index: Int) -> Int {
            var index = index
            while parents[index] != index { index = parents[index] }
            return index
        }
        for members in producersOfSets {
            for member in members.dropFirst() {
                let (a, b) = (root(members[0]), root(member))
                parents[max(a, b)] = min(a, b)
            }
        }
        var found: [[Int]] = [[Int]](repeating: [], count: producers.count)
        for (index, members) in producersOfSets.enumerated() { found[root(members[0])].append(index) }
        return found.filter { !$0.isEmpty }
    }
}
