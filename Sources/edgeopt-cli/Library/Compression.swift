import CEdgeOpt

/// Remarks of the library on standard error.
let remark: eo_log = { _, _, text in note(string(text)) }

extension Model {
    func pruned(_ options: eo_pruning_options, _ rules: [LayerNumber]) throws -> Model {
        let arena = Arena()
        defer { withExtendedLifetime(arena) {} }
        var options = options
        (options.rules, options.rule_count) = (arena.rules(rules), Int32(rules.count))
        options.log = remark
        return try made { eo_prune(handle, &options, $0) }
    }

    func withoutChannels(_ options: eo_channel_pruning_options, _ rules: [LayerNumber]) throws -> Model {
        let arena = Arena()
        defer { withExtendedLifetime(arena) {} }
        var options = options
        (options.rules, options.rule_count) = (arena.rules(rules), Int32(rules.count))
        options.log = remark
        return try made { eo_prune_channels(handle, &options, $0) }
    }

    func clustered(_ options: eo_clustering_options, _ rules: [LayerNumber]) throws -> Model {
        let arena = Arena()
        defer { withExtendedLifetime(arena) {} }
        var options = options
        (options.rules, options.rule_count) = (arena.rules(rules), Int32(rules.count))
        return try made { eo_cluster(handle, &options, $0) }
    }

    func storedSparse(from sparsity: Double) throws -> Model {
        try made { eo_model_store_sparse(handle, sparsity, $0) }
    }

    private func made(_ call: (UnsafeMutablePointer<OpaquePointer?>) -> eo_status) throws -> Model {
        var result: OpaquePointer?
        try check(call(&result))
        return Model(owning: result!)
    }

    /// What the weights of all subgraphs look like.
    func weights() throws -> [WeightReport] {
        var found: [WeightReport] = []
        for subgraph in 0..<subgraphCount {
            for tensor in try tensors(of: subgraph) where tensor.data != nil {
                var statistics = eo_weight_statistics()
                guard eo_model_weight_statistics(handle, subgraph, Int32(tensor.index), &statistics) == EO_OK,
                    statistics.is_weight
                else { continue }
                found.append(WeightReport(subgraph, tensor, statistics))
            }
        }
        return found
    }

    func histogram(_ subgraph: Int32, _ tensor: Int, bins: Int) throws -> [Int64] {
        var counts = [Int64](repeating: 0, count: bins)
        try check(eo_model_weight_histogram(handle, subgraph, Int32(tensor), &counts, Int32(bins)))
        return counts
    }
}

/// What `inspect --weights` shows of a weight tensor.
struct WeightReport: Encodable {
    let subgraph: Int32
    let tensor: Int
    let name: String
    let type: String
    let shape: [Int]
    let elements: Int
    let zeros: Int
    /// Different numbers that are stored.
    let distinct: Int
    let size: Int
    let deflatedSize: Int
    let least: Double
    let greatest: Double
    let mean: Double
    let deviation: Double
    var histogram: [Int64]?

    init(_ subgraph: Int32, _ tensor: Tensor, _ statistics: eo_weight_statistics) {
        self.subgraph = subgraph
        self.tensor = tensor.index
        name = tensor.name
        type = tensor.typeName
        shape = tensor.shape
        elements = Int(statistics.elements)
        zeros = Int(statistics.zeros)
        distinct = Int(statistics.distinct)
        size = tensor.size
        deflatedSize = edgeopt_cli.deflatedSize(UnsafeRawBufferPointer(tensor.bytes))
        least = statistics.least
        greatest = statistics.greatest
        mean = statistics.mean
        deviation = statistics.deviation
    }

    var sparsity: Double { elements > 0 ? Double(zeros) / Double(elements) : 0 }

    static func print(_ reports: [WeightReport]) {
        var table = Table("weights", "type", "shape", "bytes", "deflated", "zeros", "distinct", "from", "to", "name")
        for report in reports {
            table.add(
                "\(report.tensor)", report.type, brief(report.shape), "\(report.size)", "\(report.deflatedSize)",
                format("%.2f %%", 100 * report.sparsity), "\(report.distinct)", number(report.least),
                number(report.greatest), report.name)
        }
        Swift.print("")
        table.print()
    }
}
