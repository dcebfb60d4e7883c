import CEdgeOpt

/// A quantization under way, through edgeopt.h.
final class Quantizer {
    private let handle: OpaquePointer

    init(_ model: Model, _ options: eo_quantizer_options) throws {
        var options = options
        var handle: OpaquePointer?
        try check(eo_quantizer_create(model.handle, &options, &handle))
        self.handle = handle!
    }

    deinit { eo_quantizer_destroy(handle) }

    func inputs() throws -> [Tensor] {
        try (0..<eo_quantizer_input_count(handle)).map { index in
            var found = eo_tensor()
            try check(eo_quantizer_input(handle, index, &found))
            return Tensor(found)
        }
    }

    /// Runs one sample, the bytes of each input, through the float model.
    func calibrate(_ sample: [[UInt8]]) throws {
        // One block holds all inputs, so that every pointer is valid for the call.
        let block = sample.flatMap { $0 }
        try block.withUnsafeBytes { bytes in
            var offset = 0
            let pointers = sample.map { input -> UnsafeRawPointer? in
                defer { offset += input.count }
                return bytes.baseAddress.map { $0 + offset }
            }
            try check(eo_quantizer_calibrate(handle, pointers, sample.map(\.count), Int32(sample.count)))
        }
    }

    func finish() throws -> Model {
        var result: OpaquePointer?
        try check(eo_quantizer_finish(handle, &result))
        return Model(owning: result!)
    }
}
