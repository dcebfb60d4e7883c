import Model

/// Batches in parts. The gradient of a batch is the sum of those of its samples, so a step can take some samples at a
/// time: intermediate results of a few stay in the caches, and need little memory.
extension TrainingSource {
    /// Bytes of the largest results that the caches of a processor hold.
    private static let cacheBytes = 512 * 1024
    /// Each part packs the weights and writes their gradients, which costs little beside this many times as much.
    private static let resultsPerParameter = 8

    /// Depends on the model and the options, not on the machine, so that the order of additions does not either.
    func samplesAtATime(
        _ options: TrainerOptions, _ losses: [LossTerm], _ tensors: TrainingGraph.Tensors
    ) throws(Failure) -> Int {
        guard options.batchSize > 1, states.allSatisfy({ $0.takesParts }),
            !losses.contains(where: { $0.kind == .host })
        else { return options.batchSize }
        if let wanted = options.samplesAtATime { return min(max(1, wanted), options.batchSize) }
        let graph = try training.withBatchSize(options.batchSize).subgraphs[0]
        func bytes(_ tensor: Int) -> Int { graph.tensors[tensor].shape.reduce(4, &*) }
        let results = graph.operators.flatMap { $0.outputs }.filter { graph.tensors[$0].type == .float32 }.map(bytes)
        let largest = max(1, (results.max() ?? 0) / options.batchSize)
        let all = max(1, results.reduce(0, &+) / options.batchSize)
        let parameters = tensors.trained.reduce(0) { $0 &+ bytes($1) }
        let least = max(Self.cacheBytes / largest, Self.resultsPerParameter &* parameters / all, 2)
        let parts = max(1, options.batchSize / least)
        let size = (options.batchSize + parts - 1) / parts
        // An input for all samples must not look as if it were one for each.
        return graph.inputs.contains { graph.tensors[$0].shape.first == size } ? options.batchSize : size
    }
}
