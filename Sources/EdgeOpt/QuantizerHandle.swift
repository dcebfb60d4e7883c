import CEdgeOpt
import Model
import Quantization
import Runtime

/// What an `eo_quantizer *` points to.
@safe final class QuantizerHandle {
    let quantizer: Quantizer
    /// The descriptions of the inputs.
    let memory = CMemory()
    private(set) var inputs: [eo_tensor] = unsafe []

    init(_ model: ModelHandle, _ options: QuantizerOptions) throws(Failure) {
        quantizer = try Quantizer(model.model, options)
        for (index, tensor) in quantizer.inputs.enumerated() {
            var input = unsafe describe(quantizer.inputIndices[index], tensor, shape: tensor.shape, in: memory)
            unsafe input.size = elementCount(tensor.shape).flatMap { tensor.type.byteCount($0) } ?? 0
            unsafe inputs.append(input)
        }
    }
}

@c @implementation
public func eo_quantizer_create(
    _ model: OpaquePointer!, _ options: UnsafePointer<eo_quantizer_options>!,
    _ quantizer: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(quantizer, "quantizer")
        unsafe place.pointee = nil
        let source: ModelHandle = try unsafe object(model, "model")
        var defaults = unsafe eo_quantizer_options()
        unsafe defaults.scheme = EO_SCHEME_INT8
        unsafe defaults.moving_average = 0.9
        unsafe defaults.min_weight_elements = 1024
        unsafe defaults.num_threads = 1
        let given = try unsafe EdgeOpt.options(options, defaults: defaults)
        unsafe place.pointee = handle(try QuantizerHandle(source, try unsafe convert(given)))
    }
}

private func convert(_ given: eo_quantizer_options) throws(Failure) -> QuantizerOptions {
    let function = "eo_quantizer_create"
    guard let scheme = unsafe Scheme(rawValue: given.scheme.rawValue) else {
        throw .invalidArgument("\(function): there is no scheme \(unsafe given.scheme.rawValue)")
    }
    guard let calibration = unsafe CalibrationMethod(rawValue: given.calibration.rawValue) else {
        throw .invalidArgument("\(function): there is no calibration \(unsafe given.calibration.rawValue)")
    }
    var options = QuantizerOptions()
    options.scheme = scheme
    options.calibration = calibration
    options.perTensorWeights = unsafe given.per_tensor_weights
    options.inputType = try elementType(unsafe given.input_type, "input_type", in: function)
    options.outputType = try elementType(unsafe given.output_type, "output_type", in: function)
    options.movingAverage = unsafe given.moving_average
    options.minWeightElements = Int(unsafe given.min_weight_elements)
    options.threadCount = try threadCount(unsafe given.num_threads, in: function)
    if let log = unsafe given.log {
        let user = unsafe given.log_user
        options.log = { message in unsafe message.withCString { unsafe log(user, EO_LOG_INFO, $0) } }
    }
    return options
}

func elementType(_ type: eo_type, _ name: String, in function: String) throws(Failure) -> TensorType {
    guard let type = UInt8(exactly: type.rawValue).flatMap({ TensorType(rawValue: $0) }) else {
        throw .invalidArgument("\(function): \(name) is \(type.rawValue), which is no element type")
    }
    return type
}

@c @implementation
public func eo_quantizer_destroy(_ quantizer: OpaquePointer!) { unsafe release(quantizer, as: QuantizerHandle.self) }

@c @implementation
public func eo_quantizer_input_count(_ quantizer: OpaquePointer!) -> Int32 {
    guard let quantizer = unsafe quantizer else { return 0 }
    let handle = unsafe Unmanaged<QuantizerHandle>.fromOpaque(UnsafeRawPointer(quantizer)).takeUnretainedValue()
    return Int32(count: unsafe handle.inputs.count)
}

@c @implementation
public func eo_quantizer_input(
    _ quantizer: OpaquePointer!, _ input: Int32, _ tensor: UnsafeMutablePointer<eo_tensor>!
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(tensor, "tensor")
        let handle: QuantizerHandle = try unsafe object(quantizer, "quantizer")
        guard let found = unsafe handle.inputs.indices.contains(Int(input)) ? handle.inputs[Int(input)] : nil else {
            throw .outOfRange("eo_quantizer_input: there is no input \(input), only \(unsafe handle.inputs.count)")
        }
        unsafe place.pointee = found
    }
}

@c @implementation
public func eo_quantizer_calibrate(
    _ quantizer: OpaquePointer!, _ data: UnsafePointer<UnsafeRawPointer?>!, _ sizes: UnsafePointer<Int>!,
    _ count: Int32
) -> eo_status {
    call { () throws(Failure) in
        let handle: QuantizerHandle = try unsafe object(quantizer, "quantizer")
        guard Int(count) == handle.quantizer.inputCount else {
            throw .wrongSize(
                "eo_quantizer_calibrate: a sample has \(handle.quantizer.inputCount) inputs, not \(count)")
        }
        var sample: [Bytes] = []
        for index in 0..<Int(count) {
            let memory = try unsafe argument(data, "data")[index]
            let size = try unsafe argument(sizes, "sizes")[index]
            guard unsafe memory != nil else { throw .invalidArgument("eo_quantizer_calibrate: data[\(index)] is NULL") }
            sample.append(unsafe Bytes(Storage.borrow(memory, count: size)))
        }
        try handle.quantizer.calibrate(sample)
    }
}

@c @implementation
public func eo_quantizer_finish(
    _ quantizer: OpaquePointer!, _ model: UnsafeMutablePointer<OpaquePointer?>!
) -> eo_status {
    call { () throws(Failure) in
        let place = try unsafe argument(model, "model")
        unsafe place.pointee = nil
        let handle: QuantizerHandle = try unsafe object(quantizer, "quantizer")
        unsafe place.pointee = EdgeOpt.handle(try ModelHandle(try handle.quantizer.finish()))
    }
}
