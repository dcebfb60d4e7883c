import CEdgeOpt
import Compression
import Model
import Training

extension TrainingTargets {
    init(_ given: eo_trainer_options, in function: String) throws(Failure) {
        self.init()
        if unsafe given.pruning != nil {
            let options = try unsafe pruningOptions(given.pruning, in: function)
            pruning = options
            let schedule = try unsafe pruningSchedule(given.pruning_schedule, in: function)
            self.schedule = PruningSchedule(schedule, target: options.sparsity)
            prunedGradient = schedule.regrow ? .kept : .masked
        }
        if unsafe given.clustering != nil {
            clustering = try unsafe clusteringOptions(given.clustering, in: function)
        }
        preservesZeros = unsafe given.preserve_zeros
        preservesClusters = unsafe given.preserve_clusters
        guard unsafe given.quantization != nil else { return }
        let settings = try unsafe trainingQuantization(given.quantization, in: function)
        quantization = try unsafe QuantizationAwareOptions(
            settings, threadCount: Int(given.num_threads), in: function)
        if let next = unsafe settings.calibration {
            let samples = unsafe SampleSource(next, settings.calibration_user, "\(function): calibration")
            calibration = { count throws(Failure) in try unsafe samples.next(count) }
        }
    }
}

private func pruningSchedule(
    _ schedule: UnsafePointer<eo_pruning_schedule>?, in function: String
) throws(Failure) -> eo_pruning_schedule {
    try unsafe options(
        schedule,
        defaults: eo_pruning_schedule(
            struct_size: 0, initial_sparsity: -1, begin_step: 0, end_step: -1, frequency: 100, power: 3, regrow: false),
        in: function)
}

extension PruningSchedule {
    fileprivate init(_ given: eo_pruning_schedule, target: Double) {
        let initial = given.initial_sparsity < 0 || given.end_step < 0 ? target : given.initial_sparsity
        self = .polynomial(
            initial: initial, target: target, begin: Int(given.begin_step), end: Int(given.end_step),
            power: given.power, frequency: Int(given.frequency))
        if given.end_step < 0 { end = nil }
    }
}

/// A host's function that gives samples, and its user pointer.
@unsafe struct SampleSource {
    private let function: eo_next_sample
    private let user: UnsafeMutableRawPointer?
    private let name: String

    init(_ function: @escaping eo_next_sample, _ user: UnsafeMutableRawPointer?, _ name: String) {
        unsafe self.function = unsafe function
        unsafe self.user = unsafe user
        unsafe self.name = name
    }

    /// The next sample's bytes of each input, borrowed; nil: there is none.
    func next(_ count: Int) throws(Failure) -> [Bytes]? {
        var data = unsafe [UnsafeRawPointer?](repeating: nil, count: count)
        var sizes = [Int](repeating: 0, count: count)
        let answer = unsafe data.withUnsafeMutableBufferPointer { data in
            unsafe sizes.withUnsafeMutableBufferPointer { sizes in
                unsafe function(user, data.baseAddress, sizes.baseAddress, Int32(count: count))
            }
        }
        guard answer >= 0 else { throw Failure(EO_CANCELLED, "\(unsafe name) returned \(answer)") }
        guard answer > 0 else { return nil }
        var sample: [Bytes] = []
        for index in 0..<count {
            guard let memory = unsafe data[index], sizes[index] >= 0 else {
                throw .invalidArgument("\(unsafe name) gave no bytes for input \(index)")
            }
            sample.append(unsafe Bytes(Storage.borrow(memory, count: sizes[index])))
        }
        return sample
    }
}
