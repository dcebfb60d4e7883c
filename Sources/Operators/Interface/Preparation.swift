import Kernels
import Model

/// What an operator gets when it is compiled: its tensors with their final shapes, and what it may ask for.
package final class Preparation {
    package let name: String
    package let version: Int
    package let options: Options
    package let customOptions: Bytes?
    package let inputs: [TensorInfo?]
    package let outputs: [TensorInfo]
    /// Tensors without data that tell scales inside the operator.
    package var intermediates: [TensorInfo] = []
    package let arithmetic: Arithmetic
    package let precision: Precision
    package let threadCount: Int
    /// Forms of a layer are timed, and the fastest is taken.
    package let autotune: Bool
    /// Packed weights, shared by all interpreters of the model.
    package let weights: PackedWeightCache
    /// Sizes of the scratch blocks asked for.
    package private(set) var scratchSizes: [Int] = []
    /// Forms of quantizers whose results for input 0 earlier readers leave.
    package var quantizedBefore: [Int] = []
    /// The scratch block in which this operator finds or leaves input 0 quantized; -1: none.
    package private(set) var quantized = (form: 0, block: -1)
    /// A deferred constant that the kernel does not read, but a packed form of it.
    package var packed: Storage?
    /// Which micro-kernel was chosen, for reports.
    package var kernelName = ""
    /// What this operator, prepared for fast arithmetic, does to each element, if a layer before it can do that too.
    package var finish: Finish?
    /// A layer shall also say how it can be a part of a cascade.
    var wantsStage = false
    var stage: LayerStage?
    /// A layer shall only say which of its images can be bfloat16.
    var wantsRounding = false
    var rounding = RoundedImages()
    /// What the kernel shall do to its results, and the input that holds the other operand (-1: none).
    private var following: (finish: Finish, operand: Int)?

    package init(
        name: String, version: Int, options: Options, customOptions: Bytes? = nil, inputs: [TensorInfo?],
        outputs: [TensorInfo], arithmetic: Arithmetic = .fast, precision: Precision = .float32,
        threadCount: Int = 1, autotune: Bool = false, weights: PackedWeightCache
    ) {
        self.name = name
        self.version = version
        self.options = options
        self.customOptions = customOptions
        self.inputs = inputs
        self.outputs = outputs
        self.arithmetic = arithmetic
        self.precision = precision
        self.threadCount = threadCount
        self.autotune = autotune
        self.weights = weights
    }

    /// Products of float32 layers, and of their gradients, take factors of bfloat16.
    var roundsToBfloat: Bool { precision == .bfloat16 && BfloatConvolution.isFast }

    package func hasInput(_ index: Int) -> Bool { index < inputs.count && inputs[index] != nil }

    /// Input `index`, which the operator must have.
    package func input(_ index: Int) throws(Failure) -> TensorInfo {
        guard index < inputs.count, let input = inputs[index] else {
            throw .invalidModel("\(name): input \(index) is missing")
        }
        return input
    }

    package func output(_ index: Int = 0) throws(Failure) -> TensorInfo {
        guard index < outputs.count else { throw .invalidModel("\(name): output \(index) is missing") }
        return outputs[index]
    }

    /// Asks for working memory that only this operator uses, 64-byte aligned. Its contents do not outlive its run.
    package func scratch(bytes: Int) -> Scratch {
        scratchSizes.append(bytes)
        return Scratch(index: scratchSizes.count - 1)
    }

    /// Asks for memory in which input 0 is quantized; `isThere`: before this operator runs.
    func scratch(for quantizer: DynamicRangeQuantizer) -> (memory: Scratch, isThere: Bool) {
        let memory = scratch(bytes: quantizer.byteCount)
        quantized = (quantizer.form, memory.index)
        return (memory, quantizedBefore.contains(quantizer.form))
    }

    /// Asks for a kernel that also does `finish`. A kernel that does calls `takeFinish`.
    func follow(with finish: Finish, operand: Int) { following = (finish, operand) }

    func takeFinish() -> (finish: Finish, operand: Int) {
        defer { following = nil }
        return following ?? (Finish(), -1)
    }

    var isFinishTaken: Bool { following == nil }

    /// Asks of `inner`, which is prepared in the place of this operator, what is asked of this one.
    func pass(to inner: Preparation) {
        inner.wantsStage = wantsStage
        inner.wantsRounding = wantsRounding
        inner.following = following
        inner.quantizedBefore = quantizedBefore
    }

    /// Takes over what `inner` has asked for and found.
    func adopt(_ inner: Preparation) {
        quantized = inner.quantized
        if quantized.block >= 0 { quantized.block += scratchSizes.count }
        for size in inner.scratchSizes { _ = scratch(bytes: size) }
        (kernelName, stage, following, packed) = (inner.kernelName, inner.stage, inner.following, inner.packed)
        rounding = inner.rounding
    }

    /// A failure that begins with the operator's name.
    package func invalid(_ message: Sentence) -> Failure { .invalidModel("\(name): \(message)") }
    package func unsupported(_ message: Sentence) -> Failure { .unsupported("\(name): \(message)") }
    /// For the end of a switch over types.
    package func unsupportedTypes() -> Failure {
        let types = inputs.map { $0?.type.name ?? "none" }.joined(separator: ", ")
        let results = outputs.map { $0.type.name }.joined(separator: ", ")
        return unsupported("version \(version) with types (\(types)) -> (\(results)) is not supported")
    }
}

/// A block of working memory asked for in `prepare`.
package struct Scratch: Sendable { let index: Int }
