import CEdgeOpt
import Model
import Operators
import Training

/// What an `eo_trainer *` points to.
@safe final class TrainerHandle {
    let trainer: Trainer
    private let memory = CMemory()
    private(set) var inputs: [eo_tensor] = unsafe []
    private(set) var labels: [eo_tensor] = unsafe []
    private(set) var outputs: [eo_tensor] = unsafe []
    /// Descriptions of parameters, by index.
    private var parameters: [Int: eo_tensor] = unsafe [:]

    init(_ trainer: Trainer) {
        self.trainer = trainer
        unsafe inputs = trainer.inputs.enumerated().map { unsafe view($0, $1) }
        unsafe labels = trainer.labels.enumerated().map { unsafe view($0, $1) }
        unsafe outputs = trainer.outputs.enumerated().map { unsafe view($0, $1) }
    }

    private func view(_ index: Int, _ tensor: Tensor) -> eo_tensor {
        var result = unsafe describe(index, tensor, shape: tensor.shape, in: memory)
        unsafe result.size = elementCount(tensor.shape).flatMap { tensor.type.byteCount($0) } ?? 0
        return unsafe result
    }

    func parameter(_ index: Int) throws(Failure) -> eo_tensor {
        let (name, shape, values) = try trainer.parameter(index)
        var result: eo_tensor
        if let known = unsafe parameters[index] {
            unsafe result = unsafe known
        } else {
            unsafe result = unsafe view(index, Tensor(name: name, type: .float32, shape: shape))
            unsafe parameters[index] = unsafe result
        }
        unsafe result.data = UnsafeMutableRawPointer(values.address)
        return unsafe result
    }
}

@c @implementation
public func eo_trainer_create(
    _ model: OpaquePointer!, _ options: UnsafePointer<eo_trainer_options>!,
    _ trainer: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(trainer, "trainer")
        unsafe place.pointee = nil
        let source: ModelHandle = try unsafe object(model, "model")
        let given = try unsafe EdgeOpt.options(options, defaults: TrainerDefaults.options)
        let options = try unsafe TrainerOptions(given)
        unsafe place.pointee = handle(TrainerHandle(try Trainer.make(source.model, options)))
    }
}

@c @implementation
public func eo_trainer_destroy(_ trainer: OpaquePointer!) { unsafe release(trainer, as: TrainerHandle.self) }

/// What EO_TRAINER_OPTIONS_INIT and EO_LOSS_TERM_INIT say.
private enum TrainerDefaults {
    static var options: eo_trainer_options {
        var defaults = unsafe eo_trainer_options()
        unsafe defaults.batch_size = 32
        unsafe defaults.num_threads = 1
        unsafe defaults.optimizer = EO_OPTIMIZER_ADAM
        unsafe defaults.learning_rate = -1
        unsafe defaults.beta1 = 0.9
        unsafe defaults.beta2 = -1
        unsafe defaults.epsilon = 1e-7
        unsafe defaults.weight_decay = -1
        unsafe defaults.decay_rate = 0.1
        unsafe defaults.power = 1
        unsafe defaults.batch_norm_momentum = 0.99
        return unsafe defaults
    }

    static var term: eo_loss_term {
        eo_loss_term(
            struct_size: 0, loss: EO_LOSS_AUTO, output: 0, weight: 1, label_smoothing: 0, delta: 1, temperature: 1,
            max_labels: 0)
    }
}

private let creation = "eo_trainer_create"

extension TrainerOptions {
    fileprivate init(_ given: eo_trainer_options) throws(Failure) {
        self.init()
        batchSize = Int(unsafe given.batch_size)
        threadCount = try EdgeOpt.threadCount(unsafe given.num_threads, in: creation)
        if unsafe given.signature != nil { signature = try unsafe text(given.signature, "signature", in: creation) }
        frozen = try unsafe names(given.frozen, given.frozen_count, "frozen")
        trainable = try unsafe names(given.trainable, given.trainable_count, "trainable")
        optimizer = try unsafe OptimizerSettings(given)
        schedule = try unsafe Schedule(given)
        losses = try unsafe terms(given.losses, given.loss_count)
        if let function = unsafe given.host_loss { hostLoss = unsafe HostFunction(function, given.host_user).call }
        normalizesBatches = unsafe given.batch_normalization
        batchMomentum = unsafe given.batch_norm_momentum
        recomputesActivations = unsafe given.recompute_activations
        unrolls = unsafe given.unroll
        precision = try EdgeOpt.precision(unsafe given.precision, in: creation)
        targets = try unsafe TrainingTargets(given, in: creation)
    }
}

extension OptimizerSettings {
    fileprivate init(_ given: eo_trainer_options) throws(Failure) {
        self.init()
        guard let kind = OptimizerKind(rawValue: unsafe given.optimizer.rawValue) else {
            throw .invalidArgument("\(creation): there is no optimizer \(unsafe given.optimizer.rawValue)")
        }
        self.kind = kind
        momentum = unsafe given.momentum
        isNesterov = unsafe given.nesterov
        beta1 = unsafe given.beta1
        beta2 = unsafe given.beta2 < 0 ? nil : given.beta2
        epsilon = unsafe given.epsilon
        weightDecay = unsafe given.weight_decay < 0 ? nil : given.weight_decay
        withoutDecay = try unsafe names(given.no_decay, given.no_decay_count, "no_decay")
        clipValue = unsafe given.clip_value
        clipNorm = unsafe given.clip_norm
        clipGlobalNorm = unsafe given.clip_global_norm
        averaging = unsafe given.averaging
    }
}

extension Schedule {
    fileprivate init(_ given: eo_trainer_options) throws(Failure) {
        self.init()
        guard let kind = ScheduleKind(rawValue: unsafe given.schedule.rawValue) else {
            throw .invalidArgument("\(creation): there is no schedule \(unsafe given.schedule.rawValue)")
        }
        self.kind = kind
        let usual: Float = unsafe given.optimizer == EO_OPTIMIZER_SGD ? 0.01 : 0.001
        rate = unsafe given.learning_rate < 0 ? usual : given.learning_rate
        endRate = unsafe given.end_learning_rate
        length = Int(unsafe given.schedule_steps)
        warmUp = Int(unsafe given.warmup_steps)
        factor = unsafe given.decay_rate
        power = unsafe given.power
    }
}

func names(
    _ list: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int32, _ name: String
) throws(Failure) -> [String] {
    guard count >= 0 else { throw .invalidArgument("\(creation): \(name)_count is \(count)") }
    var names: [String] = []
    for index in 0..<Int(count) {
        let list = try unsafe argument(list, name, in: creation)
        names.append(try unsafe text(list[index], "\(name)[\(index)]", in: creation))
    }
    return names
}

private func terms(_ list: UnsafePointer<eo_loss_term>?, _ count: Int32) throws(Failure) -> [LossTerm] {
    guard let list = unsafe list else { return [] }
    guard count >= 0 else { throw .invalidArgument("\(creation): loss_count is \(count)") }
    let distance = unsafe list.pointee.struct_size
    var terms: [LossTerm] = []
    for index in 0..<Int(count) {
        let place = unsafe (UnsafeRawPointer(list) + index * distance).assumingMemoryBound(to: eo_loss_term.self)
        let given = try unsafe EdgeOpt.options(place, defaults: TrainerDefaults.term, in: creation)
        guard let kind = LossKind(rawValue: given.loss.rawValue) else {
            throw .invalidArgument("\(creation): there is no loss \(given.loss.rawValue)")
        }
        var term = LossTerm()
        term.kind = kind
        term.output = Int(given.output)
        term.weight = given.weight
        term.labelSmoothing = given.label_smoothing
        term.delta = given.delta
        term.temperature = given.temperature
        term.maximumLabels = Int(given.max_labels)
        terms.append(term)
    }
    return terms
}

/// The host's loss function and its user pointer.
@unsafe private struct HostFunction {
    private let function: eo_host_loss
    private let user: UnsafeMutableRawPointer?

    init(_ function: @escaping eo_host_loss, _ user: UnsafeMutableRawPointer?) {
        unsafe self.function = unsafe function
        unsafe self.user = unsafe user
    }

    func call(_ batch: HostLossCall) throws(Failure) -> Float {
        let outputs = unsafe batch.predictions.map { unsafe UnsafePointer<Float>?($0.address) }
        let gradients = unsafe batch.gradients.map { unsafe UnsafeMutablePointer<Float>?($0.address) }
        var loss: Float = 0
        let answer = unsafe function(user, outputs, gradients, Int32(count: batch.sampleCount), &loss)
        guard answer == 0 else { throw Failure(EO_CANCELLED, "host_loss returned \(answer)") }
        return loss
    }
}
