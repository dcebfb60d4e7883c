import Model

@testable import Runtime

extension ModelMaker {
    mutating func quantize(_ tensor: Int, _ scale: Float, _ zeroPoint: Int, _ type: TensorType) {
        model.subgraphs[0].tensors[tensor].type = type
        var quantization = Quantization()
        quantization.scales = [scale]
        quantization.zeroPoints = [zeroPoint]
        model.subgraphs[0].tensors[tensor].quantization = quantization
    }

    /// The bytes of output 0 for random inputs. `keepAll`: every operator runs by itself.
    func bytes(keepAll: Bool, isFloat: Bool = false, threads: Int = 1) throws -> [UInt8] {
        var options = Interpreter.Options()
        options.keepAll = keepAll
        options.threadCount = threads
        let interpreter = try interpreter(options)
        var random = SplitMix(seed: 7)
        for index in 0..<interpreter.inputCount {
            let input = try interpreter.inputTensor(index)
            if isFloat {
                input.fill((0..<input.byteCount / 4).map { _ in 4 * random.float() })
            } else {
                for index in 0..<input.byteCount {
                    input.data?.storeBytes(of: UInt8(random.below(256)), toByteOffset: index, as: UInt8.self)
                }
            }
        }
        try interpreter.invoke()
        let output = try interpreter.outputTensor(0)
        return (0..<output.byteCount).map { output.data?.load(fromByteOffset: $0, as: UInt8.self) ?? 0 }
    }

    /// What became of each operator.
    func runners() throws -> [String] {
        let interpreter = try interpreter()
        return try (0..<interpreter.operatorCount).map { try interpreter.report($0).decision.runner }
    }

    /// Random weights of a layer with filters `shape`, and a bias for `channels`.
    mutating func weights(
        _ shape: [Int], channels: Int, _ type: TensorType, seed: UInt64 = 5
    ) throws -> (filter: Int, bias: Int) {
        var random = SplitMix(seed: seed)
        let count = shape.reduce(1, *)
        guard type != .float32 else {
            return (
                try constant("w\(model.buffers.count)", shape, (0..<count).map { _ in random.float() }, .float32),
                try constant("b\(model.buffers.count)", [channels], (0..<channels).map { Float($0) / 9 }, .float32)
            )
        }
        let numbers = (0..<count).map { _ in Int8(random.below(255) - 127) }
        let filter = try constant("w\(model.buffers.count)", shape, numbers, .int8)
        quantize(filter, 0.01, 0, .int8)
        let (name, biases) = ("b\(model.buffers.count)", (0..<channels).map { Int64($0 * 7) })
        guard type != .int16 else { return (filter, try constant(name, [channels], biases, .int64)) }
        return (filter, try constant(name, [channels], biases.map { Int32($0) }, .int32))
    }
}
