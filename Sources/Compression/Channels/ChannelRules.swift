import Model
import Quantization

/// What each operator does with channels.
extension ChannelFlow {
    mutating func follow(_ index: Int) {
        let op = graph.operators[index]
        guard let output = op.outputs.first, output >= 0, let first = op.inputs.first, first >= 0,
            graph.tensors[output].type == .float32, !shape(output).isEmpty
        else { return pin(index) }
        switch code(index) {
        case .conv2D: convolution(index, op)
        case .transposeConv: transposeConvolution(index, op)
        case .depthwiseConv2D: depthwise(index, op)
        case .fullyConnected: product(index, op)
        case .batchMatmul: batchProduct(index, op)
        case .relu, .relu6, .reluN1To1, .relu0To1, .leakyRelu, .elu, .logistic, .tanh, .hardSwish, .gelu, .abs, .neg,
            .exp, .log, .sqrt, .rsqrt, .square, .sin, .cos, .ceil, .floor, .round, .averagePool2D, .maxPool2D,
            .resizeBilinear, .resizeNearestNeighbor, .batchToSpaceNd, .spaceToBatchNd:
            set(output, of(first))
        case .add, .sub, .mul, .div, .maximum, .minimum, .squaredDifference, .pow, .prelu, .addN:
            broadcast(index, op)
        case .concatenation: concatenate(index, op)
        case .mean, .sum, .reduceMax, .reduceMin, .reduceProd: reduce(index, op)
        case .reshape, .squeeze, .expandDims: reshape(index, op)
        case .pad, .padv2, .mirrorPad: pad(index, op)
        case .split: split(index, op)
        case .transpose: transpose(index, op)
        default: pin(index)
        }
    }

    private func isFilter(_ op: Operator, _ place: Int, rank: Int) -> Bool {
        guard place < op.inputs.count, model.floats(0, op.inputs[place]) != nil else { return false }
        return shape(op.inputs[place]).count == rank
    }

    private func input(_ op: Operator, _ place: Int) -> Int? {
        place < op.inputs.count && op.inputs[place] >= 0 ? op.inputs[place] : nil
    }

    private mutating func convolution(_ index: Int, _ op: Operator) {
        guard isFilter(op, 1, rank: 4) else { return pin(index, "has no constant filter") }
        let incoming = of(op.inputs[0])
        guard shape(op.inputs[1])[3] == incoming.count else { return pin(index, "is divided into groups") }
        attach(op.inputs[1], 3, incoming)
        produce(index, op.inputs[1], 0, bias: input(op, 2))
    }

    private mutating func transposeConvolution(_ index: Int, _ op: Operator) {
        guard isFilter(op, 1, rank: 4), let source = input(op, 2), integers(op.inputs[0]) != nil else {
            return pin(index, "has no constant filter and shape")
        }
        let incoming = of(source)
        guard shape(op.inputs[1])[3] == incoming.count else { return pin(index, "is divided into groups") }
        attach(op.inputs[1], 3, incoming)
        rewriteShape(op.inputs[0], of: op.outputs[0])
        produce(index, op.inputs[1], 0, bias: input(op, 3))
    }

    private mutating func depthwise(_ index: Int, _ op: Operator) {
        guard isFilter(op, 1, rank: 4) else { return pin(index, "has no constant filter") }
        let incoming = of(op.inputs[0])
        let width = shape(op.inputs[1])[3]
        guard !incoming.isEmpty, width % incoming.count == 0 else { return pin(index) }
        let multiplier = width / incoming.count
        let outgoing = (0..<width).map { incoming[$0 / multiplier] }
        attach(op.inputs[1], 3, outgoing)
        attachBias(input(op, 2), outgoing)
        set(op.outputs[0], outgoing)
    }

    private mutating func product(_ index: Int, _ op: Operator) {
        guard isFilter(op, 1, rank: 2) else { return pin(index, "has no constant weights") }
        let incoming = of(op.inputs[0])
        let width = shape(op.inputs[1])[1]
        // A picture that the product flattens has each channel once for each of its points.
        guard !incoming.isEmpty, width % incoming.count == 0 else { return pin(index) }
        attach(op.inputs[1], 1, (0..<width).map { incoming[$0 % incoming.count] })
        produce(index, op.inputs[1], 0, bias: input(op, 2))
    }

    private mutating func batchProduct(_ index: Int, _ op: Operator) {
        guard isFilter(op, 1, rank: 2), !op.options.bool(0) else { return pin(index, "has no constant weights") }
        let incoming = of(op.inputs[0])
        let sumDimension = op.options.bool(1) ? 1 : 0
        guard shape(op.inputs[1])[sumDimension] == incoming.count else { return pin(index) }
        attach(op.inputs[1], sumDimension, incoming)
        produce(index, op.inputs[1], 1 - sumDimension, bias: nil)
    }

    /// Operands with as many channels as the result share them; those with one are spread over all.
    private mutating func broadcast(_ index: Int, _ op: Operator) {
        let width = shape(op.outputs[0]).last ?? 0
        var shared: [Int]?
        for operand in op.inputs where operand >= 0 {
            guard graph.tensors[operand].type == .float32 else { return pin(index) }
            guard shape(operand).last == width else { continue }
            let labels = of(operand)
            if let shared { units.join(shared, labels) }
            shared = shared ?? labels
        }
        guard let shared else { return pin(index) }
        set(op.outputs[0], shared)
    }

    private mutating func concatenate(_ index: Int, _ op: Operator) {
        let rank = shape(op.outputs[0]).count
        let axis = op.options.int(0)
        let parts = op.inputs.filter { $0 >= 0 }
        if axis == rank - 1 || axis == -1 {
            var joined: [Int] = []
            for part in parts { joined += of(part) }
            return set(op.outputs[0], joined)
        }
        let labels = of(parts[0])
        for part in parts.dropFirst() {
            guard shape(part).last == labels.count else { return pin(index) }
            units.join(labels, of(part))
        }
        set(op.outputs[0], labels)
    }

    private mutating func reduce(_ index: Int, _ op: Operator) {
        let rank = shape(op.inputs[0]).count
        guard let place = input(op, 1), let axes = integers(place),
            !axes.contains(where: { ($0 < 0 ? $0 + rank : $0) == rank - 1 })
        else { return pin(index, "reduces over channels") }
        set(op.outputs[0], of(op.inputs[0]))
    }

    /// The last dimension stays, or takes up the points before it: each channel once for each of them.
    private mutating func reshape(_ index: Int, _ op: Operator) {
        let incoming = of(op.inputs[0])
        let (before, after) = (shape(op.inputs[0]), shape(op.outputs[0]))
        let width = after.last ?? 0
        guard let count = elementCount(before), count == elementCount(after), !incoming.isEmpty, width > 0,
            width <= Self.widest, width % incoming.count == 0
        else { return pin(index, "divides channels") }
        if code(index) == .reshape {
            if let place = input(op, 1) {
                guard integers(place) != nil else { return pin(index, "computes its shape") }
                rewriteShape(place, of: op.outputs[0])
            }
        } else if width != incoming.count {
            return pin(index)
        }
        set(op.outputs[0], (0..<width).map { incoming[$0 % incoming.count] })
    }

    /// Zeros behind the channels are channels that come from nowhere.
    private mutating func pad(_ index: Int, _ op: Operator) {
        guard let place = input(op, 1), let paddings = integers(place), paddings.count >= 2,
            paddings[paddings.count - 2] == 0, paddings[paddings.count - 1] >= 0
        else { return pin(index, "pads channels") }
        let added = paddings[paddings.count - 1]
        guard added > 0 else { return set(op.outputs[0], of(op.inputs[0])) }
        guard code(index) == .pad, added <= Self.widest else { return pin(index, "pads channels") }
        let made = units.make(added)
        pads.append((place, made))
        set(op.outputs[0], of(op.inputs[0]) + made)
    }

    /// The parts of a split must stay equally many.
    private mutating func split(_ index: Int, _ op: Operator) {
        guard let source = input(op, 1), let axis = integers(op.inputs[0])?.first, !op.outputs.contains(-1) else {
            return pin(index)
        }
        let labels = of(source)
        let rank = shape(source).count
        let isLast = (axis < 0 ? axis + rank : axis) == rank - 1
        guard isLast else {
            for output in op.outputs { set(output, labels) }
            return
        }
        let width = labels.count / op.outputs.count
        let parts = op.outputs.indices.map { Array(labels[$0 * width..<($0 + 1) * width]) }
        for (output, part) in zip(op.outputs, parts) {
            units.join(parts[0], part)
            set(output, part)
        }
    }

    private mutating func transpose(_ index: Int, _ op: Operator) {
        let rank = shape(op.outputs[0]).count
        guard let place = input(op, 1), let order = integers(place), order.count == rank, order.last == rank - 1 else {
            return pin(index, "moves channels")
        }
        set(op.outputs[0], of(op.inputs[0]))
    }
}
