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
    }

    /// `calibration` gives the bytes of each input of sample `index`.
    init(
        _ model: Model, _ options: eo_trainer_options, _ targets: Targets, calibrationCount: Int,
        calibration: @escaping (Int) throws -> [[UInt8]]
    ) throws {
        let samples = CalibrationSamples(calibrationCount, calibration)
        var quantization = targets.quantization
        quantization?.calibration = { user, data, sizes, _ in
            guard let user, let data, let sizes else { return -1 }
            return Unmanaged<CalibrationSamples>.fromOpaque(user).takeUnretainedValue().next(data, sizes)
        }
        quantization?.calibration_user = Unmanaged.passUnretained(samples).toOpaque()
        quantization?.log = remark
        var options = options
        var handle: OpaquePointer?
        try withPointer(targets.pruning) { pruning in
            try withPointer(targets.schedule) { schedule in
                try withPointer(targets.clustering) { clustering in
                    try withPointer(quantization) { quantization in
                        options.pruning = pruning
                        options.pruning_schedule = schedule
                        options.clustering = clustering
                        options.quantization = quantization
                        let status = eo_trainer_create(model.handle, &options, &handle)
                        if let failure = samples.failure { throw failure }
                        try check(status)
                    }
                }
            }
        }
        withExtendedLifetime(samples) {}
        self.handle = handle!
    }

    deinit { eo_trainer_destroy(handle) }

    var steps: Int { Int(eo_trainer_steps(handle)) }

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
                    try check(eo_trainer_step(handle, &batch, &result))
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

private func withPointer<T, R>(_ value: T?, _ body: (UnsafePointer<T>?) throws -> R) rethrows -> R {
    guard let value else { return try body(nil) }
    return try withUnsafePointer(to: value) { try body($0) }
}
