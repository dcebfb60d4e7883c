import ArgumentParser
import CEdgeOpt

struct Prune: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sets the weights of least magnitude to zero, or removes whole channels.",
        discussion: """
            Each weight tensor gets exactly the share --sparsity of zeros: single weights, or with --block 4x4 blocks of \
            4 output channels by 4 neighbours in each, or with --zeros-of 2:4 the 2 smallest of every 4 neighbours. The \
            file is as large as before and deflates to less; --sparse stores only what is not zero. Depthwise filters \
            and the first convolution are left alone unless --depthwise and --first say otherwise.

            --channels 0.3 removes 30 % of each layer's output channels instead: a smaller model that runs faster \
            everywhere, and that has to be trained again.

            --layer 'conv*=0.8' gives layers another share, by a pattern of the names of their weights or outputs; 0 \
            leaves them alone; of several that fit the last counts.
            """)

    @Argument(help: "A float .tflite file.") var model: String
    @Option(name: .shortAndLong, help: "Where to write.") var output: String
    @Option(help: "Share of zeros, from 0 to 1.") var sparsity = 0.5
    @Option(help: ArgumentHelp("Prune blocks.", valueName: "rows x columns")) var block: Pair?
    @Flag(help: "Judge a block by its largest weight, not by the mean.") var maxPooling = false
    @Option(help: ArgumentHelp("Prune this many of every so many.", valueName: "zeros:of")) var zerosOf: Pair?
    @Flag(help: "The share is that of all weights together, not of each tensor.") var global = false
    @Flag(help: "Only what then runs faster: 1x1 convolutions and fully connected layers.") var forLatency = false
    @Flag(help: "Depthwise filters too.") var depthwise = false
    @Flag(help: "The first convolution too.") var first = false
    @Option(help: "Remove this share of each layer's output channels.") var channels: Double?
    @Option(help: "The number of channels that stay is raised to a multiple of this.") var multiple: Int32 = 1
    @Option(help: ArgumentHelp("Another share for some layers.", valueName: "pattern=share")) var layer: [LayerOption] =
        []
    @Flag(help: "Store pruned weights in the sparse encoding, where that is smaller.") var sparse = false

    func run() throws {
        let source = try Model(path: model)
        var result = try channels.map { try withoutChannels(source, $0) } ?? pruned(source)
        if sparse { result = try result.storedSparse(from: 0.5) }
        try result.save(to: output)
        try printSummary(model, output)
    }

    private func pruned(_ source: Model) throws -> Model {
        var options = eo_pruning_options.usual
        options.sparsity = sparsity
        options.choose(block, zerosOf)
        options.block_pooling = maxPooling ? EO_BLOCK_MAXIMUM : EO_BLOCK_AVERAGE
        options.global = global
        options.for_latency = forLatency
        options.depthwise = depthwise
        options.first = first
        return try source.pruned(options, layer.map(\.rule))
    }

    private func withoutChannels(_ source: Model, _ ratio: Double) throws -> Model {
        var options = eo_channel_pruning_options.usual
        options.ratio = ratio
        options.multiple = multiple
        return try source.withoutChannels(options, layer.map(\.rule))
    }
}

extension eo_pruning_options {
    /// Which weights are pruned together.
    mutating func choose(_ block: Pair?, _ zerosOf: Pair?) {
        pattern = zerosOf != nil ? EO_SPARSITY_N_OF_M : block != nil ? EO_SPARSITY_BLOCK : EO_SPARSITY_ELEMENT
        if let block { (block_rows, block_columns) = (block.first, block.second) }
        if let zerosOf { (group_zeros, group_size) = (zerosOf.first, zerosOf.second) }
    }
}

struct Cluster: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Gives each weight tensor only a few different values.",
        discussion: """
            The values are the centroids that k-means finds. The file is as large as before and deflates to a fraction; \
            quantize it afterwards. Zeros stay zeros, so pruning is kept. Depthwise filters and the first convolution \
            are left alone unless --depthwise and --first say otherwise.

            --layer 'conv*=64' gives layers another number, by a pattern of the names of their weights or outputs; 0 \
            leaves them alone; of several that fit the last counts.
            """)

    @Argument(help: "A float .tflite file.") var model: String
    @Option(name: .shortAndLong, help: "Where to write.") var output: String
    @Option(help: "Different values, zero included.") var clusters: Int32 = 16
    @Option(help: "Where the search begins: kmeans++, density, linear or random.") var start = CentroidStart
        .kMeansPlusPlus
    @Option(help: "The same seed gives the same model.") var seed: UInt64 = 0
    @Option(
        help: "Who shares the values: tensor, channel, or scaled_channels: a tensor, relative to its channels' largest."
    )
    var granularity = Granularity.scaledChannels
    @Flag(help: "Zeros are values like others.") var forgetZeros = false
    @Flag(help: "Values need not be those that int8 weights hold exactly.") var anyValue = false
    @Flag(help: "Depthwise filters too.") var depthwise = false
    @Flag(help: "The first convolution too.") var first = false
    @Option(help: ArgumentHelp("Another number for some layers.", valueName: "pattern=clusters"))
    var layer: [LayerOption] = []

    func run() throws {
        var options = eo_clustering_options.usual
        options.clusters = clusters
        options.start = start.value
        options.seed = seed
        options.granularity = granularity.value
        options.preserve_zeros = !forgetZeros
        options.int8_grid = !anyValue
        options.depthwise = depthwise
        options.first = first
        try Model(path: model).clustered(options, layer.map(\.rule)).save(to: output)
        try printSummary(model, output)
    }
}

/// Sizes before and after, and what the weights are like now.
func printSummary(_ before: String, _ after: String) throws {
    let (old, new) = (try readFile(before), try readFile(after))
    let deflated = (old.withUnsafeBytes(deflatedSize), new.withUnsafeBytes(deflatedSize))
    let weights = try Model(path: after).weights()
    let elements = weights.reduce(0) { $0 + $1.elements }
    let zeros = weights.reduce(0) { $0 + $1.zeros }
    print(
        "\(after): \(new.count) bytes of \(old.count), deflated \(deflated.1) of \(deflated.0); "
            + format("%.2f %%", 100 * Double(zeros) / Double(max(1, elements))) + " of \(elements) weights are zero")
}

/// "4x4", "2:4"
struct Pair: ExpressibleByArgument {
    let first: Int32
    let second: Int32

    init?(argument: String) {
        let parts = argument.split(whereSeparator: { $0 == "x" || $0 == ":" }).map { Int32($0) }
        guard parts.count == 2, let first = parts[0], let second = parts[1] else { return nil }
        (self.first, self.second) = (first, second)
    }
}

/// "conv*=0.5"
struct LayerOption: ExpressibleByArgument {
    let rule: LayerNumber

    init?(argument: String) {
        guard let place = argument.lastIndex(of: "="), let value = Double(argument[argument.index(after: place)...])
        else { return nil }
        rule = LayerNumber(pattern: String(argument[..<place]), value: value)
    }
}

enum CentroidStart: String, ExpressibleByArgument, CaseIterable {
    case linear, random, density
    case kMeansPlusPlus = "kmeans++"

    var value: eo_centroid_start {
        switch self {
        case .linear: EO_CENTROIDS_LINEAR
        case .random: EO_CENTROIDS_RANDOM
        case .density: EO_CENTROIDS_DENSITY
        case .kMeansPlusPlus: EO_CENTROIDS_KMEANS_PLUS_PLUS
        }
    }
}

enum Granularity: String, ExpressibleByArgument, CaseIterable {
    case tensor, channel
    case scaledChannels = "scaled_channels"

    var value: eo_cluster_granularity {
        switch self {
        case .tensor: EO_CLUSTERS_PER_TENSOR
        case .channel: EO_CLUSTERS_PER_CHANNEL
        case .scaledChannels: EO_CLUSTERS_SCALED_CHANNELS
        }
    }
}
