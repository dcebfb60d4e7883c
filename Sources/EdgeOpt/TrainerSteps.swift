import CEdgeOpt
import CPlatform
import Model
import Operators
import Runtime
import Training

// MARK: What a batch consists of

private func count(_ trainer: OpaquePointer?, _ list: (TrainerHandle) -> Int) -> Int32 {
    guard let trainer = unsafe trainer else { return 0 }
    let handle = unsafe Unmanaged<TrainerHandle>.fromOpaque(UnsafeRawPointer(trainer)).takeUnretainedValue()
    return Int32(count: list(handle))
}

@c @implementation
public func eo_trainer_input_count(_ trainer: OpaquePointer!) -> Int32 {
    unsafe count(trainer) { unsafe $0.inputs.count }
}

@c @implementation
public func eo_trainer_label_count(_ trainer: OpaquePointer!) -> Int32 {
    unsafe count(trainer) { unsafe $0.labels.count }
}

@c @implementation
public func eo_trainer_output_count(_ trainer: OpaquePointer!) -> Int32 {
    unsafe count(trainer) { unsafe $0.outputs.count }
}

private func find(
    _ trainer: OpaquePointer?, _ index: Int32, _ tensor: UnsafeMutablePointer<eo_tensor>?, _ what: String,
    _ list: (TrainerHandle) -> [eo_tensor], in function: String = #function
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(tensor, "tensor", in: function)
        let handle: TrainerHandle = try unsafe object(trainer, "trainer", in: function)
        let tensors = unsafe list(handle)
        guard unsafe tensors.indices.contains(Int(index)) else {
            throw .outOfRange("there is no \(what) \(index), only \(unsafe tensors.count)")
        }
        unsafe place.pointee = unsafe tensors[Int(index)]
    }
}

@c @implementation
public func eo_trainer_input(
    _ trainer: OpaquePointer!, _ input: Int32, _ tensor: UnsafeMutablePointer<eo_tensor>!
) -> eo_status { unsafe find(trainer, input, tensor, "input") { unsafe $0.inputs } }

@c @implementation
public func eo_trainer_label(
    _ trainer: OpaquePointer!, _ label: Int32, _ tensor: UnsafeMutablePointer<eo_tensor>!
) -> eo_status { unsafe find(trainer, label, tensor, "label") { unsafe $0.labels } }

@c @implementation
public func eo_trainer_output(
    _ trainer: OpaquePointer!, _ output: Int32, _ tensor: UnsafeMutablePointer<eo_tensor>!
) -> eo_status { unsafe find(trainer, output, tensor, "output") { unsafe $0.outputs } }

// MARK: Batches

extension Batch {
    /// The caller's memory, borrowed.
    @unsafe fileprivate init(
        _ batch: UnsafePointer<eo_batch>?, _ handle: TrainerHandle, takesLabels: Bool, in function: String
    ) throws(Failure) {
        let given = try unsafe options(try argument(batch, "batch", in: function), defaults: eo_batch(), in: function)
        let samples = Int(unsafe given.sample_count)
        self.init(
            sampleCount: samples,
            inputs: try unsafe Self.list(
                given.inputs, given.input_sizes, handle.inputs.count, "inputs", in: function))
        guard takesLabels else { return }
        labels = try unsafe Self.list(given.labels, given.label_sizes, handle.labels.count, "labels", in: function)
        if let numbers = unsafe given.weights, samples > 0 {
            weights = unsafe Bytes(Storage.borrow(numbers, count: samples * MemoryLayout<Float>.size))
        }
    }

    @unsafe private static func list(
        _ data: UnsafePointer<UnsafeRawPointer?>?, _ sizes: UnsafePointer<Int>?, _ count: Int, _ name: String,
        in function: String
    ) throws(Failure) -> [Bytes] {
        var list: [Bytes] = []
        for index in 0..<count {
            let memory = try unsafe argument(data, name, in: function)[index]
            let size = try unsafe argument(sizes, "sizes of " + name, in: function)[index]
            guard unsafe memory != nil, size >= 0 else {
                throw .invalidArgument("\(function): \(name)[\(index)] is NULL")
            }
            list.append(unsafe Bytes(Storage.borrow(memory, count: size)))
        }
        return list
    }
}

extension eo_batch_result {
    fileprivate init(_ result: BatchResult) {
        self.init(
            loss: result.loss, correct: Int32(count: result.correct), counted: Int32(count: result.counted),
            gradient_norm: result.gradientNorm, learning_rate: result.learningRate)
    }
}

@c @implementation
public func eo_trainer_step(
    _ trainer: OpaquePointer!, _ batch: UnsafePointer<eo_batch>!, _ result: UnsafeMutablePointer<eo_batch_result>!
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(result, "result")
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        let samples = try unsafe Batch(batch, handle, takesLabels: true, in: "eo_trainer_step")
        unsafe place.pointee = eo_batch_result(try handle.trainer.step(samples))
    }
}

@c @implementation
public func eo_trainer_observe(_ trainer: OpaquePointer!, _ batch: UnsafePointer<eo_batch>!) -> eo_status {
    call { () throws(Failure) in
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        try handle.trainer.calibrate(try unsafe Batch(batch, handle, takesLabels: true, in: "eo_trainer_observe"))
    }
}

@c @implementation
public func eo_trainer_evaluate(
    _ trainer: OpaquePointer!, _ batch: UnsafePointer<eo_batch>!, _ result: UnsafeMutablePointer<eo_batch_result>!
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(result, "result")
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        let samples = try unsafe Batch(batch, handle, takesLabels: true, in: "eo_trainer_evaluate")
        unsafe place.pointee = eo_batch_result(try handle.trainer.evaluate(samples))
    }
}

@c @implementation
public func eo_trainer_predict(
    _ trainer: OpaquePointer!, _ batch: UnsafePointer<eo_batch>!,
    _ outputs: UnsafePointer<UnsafeMutableRawPointer?>!, _ output_sizes: UnsafePointer<Int>!
) -> eo_status {
    call { () throws(Failure) in
        let function = "eo_trainer_predict"
        let handle: TrainerHandle = try unsafe object(trainer, "trainer")
        let samples = try unsafe Batch(batch, handle, takesLabels: false, in: function)
        let (places, sizes) = (
            try unsafe argument(outputs, "outputs"), try unsafe argument(output_sizes, "output_sizes")
        )
        let size = handle.trainer.options.batchSize
        for index in unsafe handle.outputs.indices {
            let tensor = unsafe handle.outputs[index]
            let isBatched = unsafe tensor.rank > 0 && Int(tensor.shape[0]) == size
            let wanted = unsafe isBatched ? tensor.size / size * samples.sampleCount : tensor.size
            guard unsafe places[index] != nil, unsafe sizes[index] == wanted || samples.sampleCount < 1 else {
                throw .wrongSize("\(function): output \(index) has \(wanted) bytes, not \(unsafe sizes[index])")
            }
        }
        for (index, output) in try handle.trainer.predict(samples).enumerated() {
            guard let to = unsafe places[index], let from = unsafe output.data else { continue }
            unsafe to.copyMemory(from: from, byteCount: min(sizes[index], output.byteCount))
        }
    }
}
