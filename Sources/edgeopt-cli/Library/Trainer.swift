import CEdgeOpt

/// A training under way, through edgeopt.h.
final class Trainer {
    private let handle: OpaquePointer

    /// What is made of the weights on the way; nil: nothing.
    struct Targets {
        var pruning: eo_pruning_options?
        var schedule: eo_pruning_schedule?
        var clustering: eo_clustering_options?
        var quantization: eo_training_quantization?
        var sparsities: [LayerNumber] = []
        var clusters: [LayerNumber] = []
        var floatLayers: [String] = []
        var weightBits: [LayerNumber] = []
        var activationBits: [LayerNumber] = []
        var preservesZeros = false
        var preservesClusters = false
    }

    /// `calibration` gives the bytes of each input of sample `index`.
    init(
        _ model: Model, _ options: eo_trainer_options, _ loss: eo_loss_term, _ targets: Targets, calibrationCount: Int,
        calibration: @escaping (Int) throws -> [[UInt8]]
    ) throws {
        let samples = CalibrationSamples(calibrationCount, calibration)
        let arena = Arena()
        var options = options
        (options.losses, options.loss_count) = (arena.pointer(loss), 1)
        options.pruning = arena.pointer(targets.pruning(arena))
        options.pruning_schedule = arena.pointer(targets.schedule)
        options.clustering = arena.pointer(targets.clustering(arena))
        options.quantization = arena.pointer(targets.quantization(arena, samples))
        (options.preserve_zeros, options.preserve_clusters) = (targets.preservesZeros, targets.preservesClusters)
        var handle: OpaquePointer?
        let status = withExtendedLifetime((arena, samples)) { eo_trainer_create(model.handle, &options, &handle) }
        if let failure = samples.failure { throw failure }
        try check(status)
        self.handle = handle!
    }

    deinit { eo_trainer_destroy(handle) }

    var steps: Int { Int(eo_trainer_steps(handle)) }

    /// The share of zeros in the parameters of two dimensions or more.
    func sparsity() throws -> Double {
        var (zeros, elements) = (0, 0)
        for index in 0..<eo_trainer_parameter_count(handle) {
            var found = eo_tensor()
            try check(eo_trainer_parameter(handle, index, &found))
            guard found.rank > 1, let data = found.data else { continue }
            let values = UnsafeRawBufferPointer(start: data, count: found.size).bindMemory(to: Float.self)
            zeros += values.count { $0 == 0 }
            elements += values.count
        }
        return Double(zeros) / Double(max(1, elements))
    }

    /// One for each loss that takes labels, for a batch.
    func labels() throws -> [Tensor] {
        try (0..<eo_trainer_label_count(handle)).map { index in
            var found = eo_tensor()
            try check(eo_trainer_label(handle, index, &found))
            return Tensor(found)
        }
    }

    /// Moves the parameters by a batch: for each input and label the bytes of its samples.
    func step(_ samples: Int, inputs: [[UInt8]], labels: [[UInt8]]) throws -> eo_batch_result {
        try run(eo_trainer_step, samples, inputs, labels)
    }

    /// Loss and right answers of a batch.
    func evaluate(_ samples: Int, inputs: [[UInt8]], labels: [[UInt8]]) throws -> eo_batch_result {
        try run(eo_trainer_evaluate, samples, inputs, labels)
    }

    private func run(
        _ function: (OpaquePointer?, UnsafePointer<eo_batch>?, UnsafeMutablePointer<eo_batch_result>?) -> eo_status,
        _ samples: Int, _ inputs: [[UInt8]], _ labels: [[UInt8]]
    ) throws -> eo_batch_result {
        let block = (inputs + labels).flatMap { $0 }
        var result = eo_batch_result()
        try block.withUnsafeBytes { bytes in
            var offset = 0
            let pointers = (inputs + labels).map { part -> UnsafeRawPointer? in
                defer { offset += part.count }
                return bytes.baseAddress.map { $0 + offset }
            }
            let sizes = (inputs + labels).map(\.count)
            try pointers.withUnsafeBufferPointer { pointers in
                try sizes.withUnsafeBufferPointer { sizes in
                    var batch = eo_batch()
                    batch.struct_size = MemoryLayout<eo_batch>.size
                    batch.sample_count = Int32(samples)
                    (batch.inputs, batch.input_sizes) = (pointers.baseAddress, sizes.baseAddress)
                    batch.labels = pointers.baseAddress.map { $0 + inputs.count }
                    batch.label_sizes = sizes.baseAddress.map { $0 + inputs.count }
                    try check(function(handle, &batch, &result))
                }
            }
        }
        return result
    }

    func save(to path: String, position: [UInt8]) throws {
        try check(eo_trainer_save(handle, path, position, position.count))
    }

    /// The bytes that were given to `save`.
    func restore(from path: String) throws -> [UInt8] {
        var position: UnsafeMutableRawPointer?
        var size = 0
        try check(eo_trainer_restore(handle, path, &position, &size))
        defer { eo_free(position) }
        return Array(UnsafeRawBufferPointer(start: position, count: size))
    }

    func export() throws -> Model {
        var result: OpaquePointer?
        try check(eo_trainer_export(handle, &result))
        return Model(owning: result!)
    }
}

/// Samples as `eo_next_sample` asks for them.
private final class CalibrationSamples {
    private let count: Int
    private let load: (Int) throws -> [[UInt8]]
    private var index = 0
    private var block: UnsafeMutableRawBufferPointer?
    private(set) var failure: (any Error)?

    init(_ count: Int, _ load: @escaping (Int) throws -> [[UInt8]]) { (self.count, self.load) = (count, load) }

    deinit { block?.deallocate() }

    func next(_ data: UnsafeMutablePointer<UnsafeRawPointer?>, _ sizes: UnsafeMutablePointer<Int>) -> Int32 {
        guard index < count else { return 0 }
        do {
            let sample = try load(index)
            index += 1
            block?.deallocate()
            let all = UnsafeMutableRawBufferPointer.allocate(
                byteCount: sample.reduce(0) { $0 + $1.count }, alignment: 64)
            block = all
            var offset = 0
            for (place, part) in sample.enumerated() {
                all[offset..<(offset + part.count)].copyBytes(from: part)
                (data[place], sizes[place]) = (all.baseAddress.map { UnsafeRawPointer($0) + offset }, part.count)
                offset += part.count
            }
            return 1
        } catch {
            failure = error
            return -1
        }
    }
}

extension Trainer.Targets {
    fileprivate func pruning(_ arena: Arena) -> eo_pruning_options? {
        guard var options = pruning else { return nil }
        (options.rules, options.rule_count) = (arena.rules(sparsities), Int32(sparsities.count))
        options.log = remark
        return options
    }

    fileprivate func clustering(_ arena: Arena) -> eo_clustering_options? {
        guard var options = clustering else { return nil }
        (options.rules, options.rule_count) = (arena.rules(clusters), Int32(clusters.count))
        return options
    }

    fileprivate func quantization(_ arena: Arena, _ samples: CalibrationSamples) -> eo_training_quantization? {
        guard var options = quantization else { return nil }
        (options.float_layers, options.float_layer_count) = (arena.texts(floatLayers), Int32(floatLayers.count))
        (options.weight_bits_rules, options.weight_bits_rule_count) = (
            arena.rules(weightBits), Int32(weightBits.count)
        )
        (options.activation_bits_rules, options.activation_bits_rule_count) = (
            arena.rules(activationBits), Int32(activationBits.count)
        )
        options.calibration = { user, data, sizes, _ in
            guard let user, let data, let sizes else { return -1 }
            return Unmanaged<CalibrationSamples>.fromOpaque(user).takeUnretainedValue().next(data, sizes)
        }
        options.calibration_user = Unmanaged.passUnretained(samples).toOpaque()
        options.log = remark
        return options
    }
}
