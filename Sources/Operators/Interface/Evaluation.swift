import Kernels
import Model

/// One operator evaluated by itself, outside any plan: for folding constants at compile time, and for tests.
package struct Evaluation {
    package let definition: OperatorDefinition
    package let version: Int
    package let options: Options
    package let customOptions: Bytes?
    package var arithmetic = Arithmetic.fast
    package let pool: ThreadPool
    package let weights: PackedWeightCache

    package init(
        _ definition: OperatorDefinition, version: Int = 1, options: Options = .none, customOptions: Bytes? = nil,
        arithmetic: Arithmetic = .fast, pool: ThreadPool, weights: PackedWeightCache
    ) {
        self.definition = definition
        self.version = version
        self.options = options
        self.customOptions = customOptions
        self.arithmetic = arithmetic
        self.pool = pool
        self.weights = weights
    }

    private var name: String { definition.custom ?? definition.code.name }

    /// The outputs as constants. `inputs` must all be constant (nil: optional, left out); of `outputs` the type, name
    /// and quantization count, the shapes are inferred. nil if the shapes cannot be known.
    package func evaluate(_ inputs: [TensorInfo?], outputs: [TensorInfo]) throws(Failure) -> [TensorInfo]? {
        let inference = ShapeInference(
            name: name, version: version, options: options, customOptions: customOptions, inputs: inputs,
            outputCount: outputs.count, statedOutputShapes: outputs.map { $0.shape })
        guard let shapes = try definition.shapes(inference) else { return nil }
        var results = outputs
        for index in results.indices where index < shapes.count { results[index].shape = shapes[index] }
        let preparation = Preparation(
            name: name, version: version, options: options, customOptions: customOptions, inputs: inputs,
            outputs: results, arithmetic: arithmetic, threadCount: pool.threadCount, weights: weights)
        let kernel = try definition.prepare(preparation)
        let stores = try run(kernel, inputs, results, preparation.scratchSizes)
        for index in results.indices { results[index].constant = Bytes(stores[index]) }
        return results
    }

    private func run(
        _ kernel: Kernel, _ inputs: [TensorInfo?], _ outputs: [TensorInfo], _ scratchSizes: [Int]
    ) throws(Failure) -> [Storage] {
        var blocks: [Invocation.Block] = []
        var stores: [Storage] = []
        for input in inputs {
            guard let data = input?.constant else {
                blocks.append(.empty)
                continue
            }
            blocks.append(
                unsafe .init(base: UnsafeMutableRawPointer(mutating: data.baseAddress), byteCount: data.count))
        }
        for size in outputs.map({ $0.type.byteCount($0.count) ?? 0 }) + scratchSizes {
            let storage = try Storage.allocate(size)
            stores.append(storage)
            blocks.append(
                unsafe .init(base: UnsafeMutableRawPointer(mutating: Bytes(storage).baseAddress), byteCount: size))
        }
        var failure: Failure?
        unsafe blocks.withUnsafeBufferPointer { blocks in
            guard let base = blocks.baseAddress else { return }
            let invocation = unsafe Invocation(
                blocks: base, inputCount: inputs.count, outputCount: outputs.count, scratchCount: scratchSizes.count,
                pool: pool)
            do throws(Failure) { try kernel(invocation) } catch { failure = error }
        }
        if let failure { throw failure }
        return stores
    }
}
