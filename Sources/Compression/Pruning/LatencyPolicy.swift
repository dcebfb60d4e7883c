import Model

/// What gains speed from single zeros: the 1x1 convolutions, as a product of a sparse matrix with many columns (Elsen et
/// al., "Fast Sparse ConvNets", 2020). Everything else runs dense, here and in other runtimes, and is left alone.
///
/// XNNPACK, which stock LiteRT uses, asks for more: at least two thirds of the weights zero, a network that begins with
/// a 3x3 convolution of steps of 2 over 3 channels, and ends its convolutions in MEAN or DEPTH_TO_SPACE. Where the model
/// does not have that shape the log says so.
struct LatencyPolicy {
    init(_ model: Model, _ options: PruningOptions) {
        for obstacle in Self.obstacles(model, options) {
            options.log(("\(model.origin): stock LiteRT will run the pruned model dense: \(obstacle)" as Sentence).text)
        }
    }

    func allows(_ weights: WeightTensor) -> Bool { weights.isPointwise }

    private static func obstacles(_ model: Model, _ options: PruningOptions) -> [Sentence] {
        var found: [Sentence] = []
        if options.pattern != .element { found.append("it has kernels for single zeros only") }
        if options.sparsity < 2.0 / 3 { found.append("it wants at least two thirds of the weights to be zero") }
        guard let graph = model.subgraphs.first else { return found }
        let codes = graph.operators.map { model.operatorCodes[$0.opcode].builtin }
        if let first = codes.firstIndex(of: .conv2D) {
            let op = graph.operators[first]
            let filter = op.inputs.count > 1 && op.inputs[1] >= 0 ? graph.tensors[op.inputs[1]].shape : []
            if filter.count != 4 || filter[1...] != [3, 3, 3] || op.options.int(1) != 2 || op.options.int(2) != 2 {
                found.append("the first convolution is not 3x3 with steps of 2 over 3 channels")
            }
        }
        let last = codes.lastIndex { $0 == .conv2D || $0 == .depthwiseConv2D } ?? 0
        if !codes[last...].contains(where: { $0 == .mean || $0 == .depthToSpace }) {
            found.append("the convolutions do not end in MEAN or DEPTH_TO_SPACE")
        }
        return found
    }
}
