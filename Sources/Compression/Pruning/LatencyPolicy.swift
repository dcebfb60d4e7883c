import Model

/// What gains speed from zeros here: 1x1 convolutions and FULLY_CONNECTED, whose weights are zero for 16 neighbouring
/// output channels at a time, from half of them on. Everything else runs dense and is left alone.
///
/// XNNPACK, which stock LiteRT uses, runs only 1x1 convolutions sparse (Elsen et al., "Fast Sparse ConvNets", 2020) and
/// asks for more: at least two thirds of the weights zero, a network that begins with a 3x3 convolution of steps of 2
/// over 3 channels, and ends its convolutions in MEAN or DEPTH_TO_SPACE. Where the model does not have that shape the
/// log says so.
struct LatencyPolicy {
    /// Blocks of the pattern that the kernels are for.
    static let pattern = SparsityPattern.block(rows: 16, columns: 1, pooling: .average)
    private let model: Model

    init(_ model: Model, _ options: PruningOptions) {
        self.model = model
        if options.sparsity < 0.5 {
            options.log("fewer zeros than half run no faster than none")
        }
        for obstacle in Self.obstacles(model, options) {
            options.log(("\(model.origin): stock LiteRT will run the pruned model dense: \(obstacle)" as Sentence).text)
        }
    }

    func allows(_ weights: WeightTensor) -> Bool {
        let op = model.subgraphs[weights.subgraph].operators[weights.operation]
        return weights.matrix.rows >= 16 && weights.matrix.columns >= 32
            && (weights.isPointwise || model.operatorCodes[op.opcode].builtin == .fullyConnected)
    }

    private static func obstacles(_ model: Model, _ options: PruningOptions) -> [Sentence] {
        var found: [Sentence] = []
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
