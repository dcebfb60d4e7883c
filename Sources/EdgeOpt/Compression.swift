import CEdgeOpt
import Compression
import Model

/// Makes another model out of one, for a function of the C API.
private func transform(
    _ model: OpaquePointer?, _ result: UnsafeMutablePointer<OpaquePointer?>?, in function: String = #function,
    _ change: (Model) throws(Failure) -> Model
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(result, "the place of the new model", in: function)
        unsafe place.pointee = nil
        let source: ModelHandle = try unsafe object(model, "model", in: function)
        let changed = try change(source.model)
        try changed.validate()
        unsafe place.pointee = handle(try ModelHandle(changed))
    }
}

@c @implementation
public func eo_prune(
    _ model: OpaquePointer!, _ options: UnsafePointer<eo_pruning_options>!,
    _ pruned: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    unsafe transform(model, pruned) { source throws(Failure) in
        try source.pruned(try unsafe pruningOptions(options, in: "eo_prune"))
    }
}

/// The caller's options; nil: the defaults.
func pruningOptions(
    _ options: UnsafePointer<eo_pruning_options>?, in function: String
) throws(Failure) -> PruningOptions {
    var defaults = unsafe eo_pruning_options()
    unsafe defaults.sparsity = 0.5
    unsafe (defaults.block_rows, defaults.block_columns) = (1, 4)
    unsafe (defaults.group_zeros, defaults.group_size) = (2, 4)
    let given = try unsafe EdgeOpt.options(options, defaults: defaults, in: function)
    var made = PruningOptions()
    made.sparsity = unsafe given.sparsity
    made.pattern = try unsafe pattern(given, in: function)
    made.isGlobal = unsafe given.global
    made.forLatency = unsafe given.for_latency
    made.includesDepthwise = unsafe given.depthwise
    made.includesFirst = unsafe given.first
    made.rules = try unsafe rules(given.rules, given.rule_count, in: function)
    if let log = unsafe logger(given.log, given.log_user) { made.log = log }
    return made
}

private func pattern(
    _ given: eo_pruning_options, in function: String
) throws(Failure) -> SparsityPattern {
    let kind: UInt32 = unsafe given.pattern.rawValue
    switch kind {
    case EO_SPARSITY_ELEMENT.rawValue: return .element
    case EO_SPARSITY_BLOCK.rawValue:
        guard let pooling = unsafe SparsityPattern.Pooling(rawValue: given.block_pooling.rawValue) else {
            throw .invalidArgument("\(function): there is no block_pooling \(unsafe given.block_pooling.rawValue)")
        }
        return .block(rows: Int(unsafe given.block_rows), columns: Int(unsafe given.block_columns), pooling: pooling)
    case EO_SPARSITY_N_OF_M.rawValue:
        return .zerosOfEvery(zeros: Int(unsafe given.group_zeros), size: Int(unsafe given.group_size))
    default: throw .invalidArgument("\(function): there is no pattern \(kind)")
    }
}

@c @implementation
public func eo_prune_channels(
    _ model: OpaquePointer!, _ options: UnsafePointer<eo_channel_pruning_options>!,
    _ pruned: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    unsafe transform(model, pruned) { source throws(Failure) in
        let function = "eo_prune_channels"
        var defaults = unsafe eo_channel_pruning_options()
        unsafe defaults.ratio = 0.5
        unsafe defaults.multiple = 1
        let given = try unsafe EdgeOpt.options(options, defaults: defaults, in: function)
        guard let norm = unsafe ChannelPruningOptions.Norm(rawValue: given.norm.rawValue) else {
            throw .invalidArgument("\(function): there is no norm \(unsafe given.norm.rawValue)")
        }
        var made = ChannelPruningOptions()
        made.ratio = unsafe given.ratio
        made.norm = norm
        made.multiple = Int(unsafe given.multiple)
        made.rules = try unsafe rules(given.rules, given.rule_count, in: function)
        if let log = unsafe logger(given.log, given.log_user) { made.log = log }
        return try source.withoutChannels(made)
    }
}

@c @implementation
public func eo_cluster(
    _ model: OpaquePointer!, _ options: UnsafePointer<eo_clustering_options>!,
    _ clustered: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    unsafe transform(model, clustered) { source throws(Failure) in
        try source.clustered(try unsafe clusteringOptions(options, in: "eo_cluster"))
    }
}

/// The caller's options; nil: the defaults.
func clusteringOptions(
    _ options: UnsafePointer<eo_clustering_options>?, in function: String
) throws(Failure) -> ClusteringOptions {
    var defaults = unsafe eo_clustering_options()
    unsafe (defaults.clusters, defaults.iterations) = (16, 100)
    unsafe defaults.start = EO_CENTROIDS_KMEANS_PLUS_PLUS
    unsafe defaults.granularity = EO_CLUSTERS_SCALED_CHANNELS
    unsafe (defaults.preserve_zeros, defaults.int8_grid) = (true, true)
    let given = try unsafe EdgeOpt.options(options, defaults: defaults, in: function)
    guard let start = unsafe ClusteringMethod.Start(rawValue: given.start.rawValue) else {
        throw .invalidArgument("\(function): there is no start \(unsafe given.start.rawValue)")
    }
    guard let granularity = unsafe ClusterGranularity(rawValue: given.granularity.rawValue) else {
        throw .invalidArgument("\(function): there is no granularity \(unsafe given.granularity.rawValue)")
    }
    var made = ClusteringOptions()
    made.method.count = Int(unsafe given.clusters)
    made.method.start = start
    made.method.seed = unsafe given.seed
    made.method.iterations = Int(unsafe given.iterations)
    made.method.preservesZeros = unsafe given.preserve_zeros
    made.method.isOnInt8Grid = unsafe given.int8_grid
    made.granularity = granularity
    made.includesDepthwise = unsafe given.depthwise
    made.includesFirst = unsafe given.first
    made.rules = try unsafe rules(given.rules, given.rule_count, in: function)
    return made
}

@c @implementation
public func eo_model_store_sparse(
    _ model: OpaquePointer!, _ sparsity: Double, _ sparse: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    unsafe transform(model, sparse) { source throws(Failure) in try source.withSparseStorage(from: sparsity) }
}

private func rules(
    _ rules: UnsafePointer<eo_layer_rule>?, _ count: Int32, in function: String
) throws(Failure) -> [LayerTarget] {
    guard count >= 0 else { throw .invalidArgument("\(function): rule_count is \(count)") }
    guard count > 0 else { return [] }
    let rules = try unsafe argument(rules, "rules", in: function)
    var made: [LayerTarget] = []
    for index in 0..<Int(count) {
        let words = try unsafe text(rules[index].pattern, "rules[\(index)].pattern", in: function)
        made.append(LayerTarget(words, unsafe rules[index].value))
    }
    return made
}

func logger(_ log: eo_log?, _ user: UnsafeMutableRawPointer?) -> ((String) -> Void)? {
    guard let log = unsafe log else { return nil }
    return { message in unsafe message.withCString { unsafe log(user, EO_LOG_INFO, $0) } }
}
