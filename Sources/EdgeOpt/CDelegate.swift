import CEdgeOpt
import Model
import Operators
import Runtime

/// A delegate of the caller, behind the functions of an `eo_delegate`.
@safe final class CDelegate: Delegate {
    let name: String
    fileprivate let calls: eo_delegate
    /// The model that its questions are about.
    private let model: ModelHandle
    fileprivate static let reasonSize = 256

    private init(_ name: String, _ calls: eo_delegate, _ model: ModelHandle) {
        self.name = name
        unsafe self.calls = calls
        self.model = model
    }

    // No throwing initializer: in Embedded Swift 6.3 it would leak the instance.
    static func make(_ delegate: UnsafePointer<eo_delegate>, _ model: ModelHandle) throws(Failure) -> CDelegate {
        let calls = try unsafe options(delegate, defaults: eo_delegate(), in: "eo_interpreter_create")
        guard unsafe calls.abi == EO_DELEGATE_ABI else {
            throw .invalidArgument(
                "eo_interpreter_create: a delegate has abi \(unsafe calls.abi), this library \(EO_DELEGATE_ABI)")
        }
        let name = try unsafe text(calls.name, "the delegate's name", in: "eo_interpreter_create")
        guard unsafe calls.supports != nil, unsafe calls.prepare != nil, unsafe calls.invoke != nil,
            unsafe calls.release != nil
        else { throw .invalidArgument("eo_interpreter_create: delegate '\(name)' lacks a function it must have") }
        return unsafe CDelegate(name, calls, model)
    }

    func refusal(of op: DelegateOperator) -> String? {
        let memory = CMemory()
        let absent = unsafe eo_tensor()
        let inputs = unsafe op.inputs.map { tensor in
            guard let tensor else {
                var result = unsafe absent
                unsafe result.index = -1
                return unsafe result
            }
            return unsafe describe(tensor, memory)
        }
        let outputs = unsafe op.outputs.map { unsafe describe($0, memory) }
        var reason = [CChar](repeating: 0, count: Self.reasonSize)
        let takes = unsafe calls.supports(
            calls.user, pointer(model), Int32(count: op.subgraph), Int32(count: op.index), memory.array(inputs),
            Int32(count: inputs.count), memory.array(outputs), Int32(count: outputs.count), &reason, reason.count)
        return takes ? nil : sentence(reason, "not supported")
    }

    func prepare(_ partition: DelegatePartition) throws(Failure) -> any DelegateKernel {
        var kernel: UnsafeMutableRawPointer?
        try unsafe withC(partition) { part, reason, size in
            unsafe calls.prepare(calls.user, part, &kernel, reason, size)
        }
        return unsafe CDelegateKernel(self, kernel)
    }

    /// Calls a function that takes a partition and may give a reason for failing.
    fileprivate func withC(
        _ partition: DelegatePartition,
        _ body: (UnsafePointer<eo_partition>, UnsafeMutablePointer<CChar>?, Int) -> eo_status
    ) throws(Failure) {
        let memory = CMemory()
        var part = unsafe describe(partition, memory)
        var reason = [CChar](repeating: 0, count: Self.reasonSize)
        let count = reason.count
        let status = unsafe reason.withUnsafeMutableBufferPointer { unsafe body(&part, $0.baseAddress, count) }
        guard status == EO_OK else {
            throw Failure(
                EO_DELEGATE_ERROR, Sentence(sentence(reason, "prepare gave status " + status.rawValue.description)))
        }
    }

    @inline(never)
    private func describe(_ partition: DelegatePartition, _ memory: CMemory) -> eo_partition {
        let inputs = unsafe partition.inputs.map { unsafe describe($0, memory) }
        let outputs = unsafe partition.outputs.map { unsafe describe($0, memory) }
        var part = unsafe eo_partition()
        unsafe part.struct_size = MemoryLayout<eo_partition>.size
        unsafe part.model = pointer(model)
        unsafe part.subgraph = Int32(count: partition.subgraph)
        unsafe part.operator_count = Int32(count: partition.operators.count)
        unsafe part.operators = memory.indices(partition.operators)
        unsafe part.input_count = Int32(count: inputs.count)
        unsafe part.inputs = memory.array(inputs)
        unsafe part.output_count = Int32(count: outputs.count)
        unsafe part.outputs = memory.array(outputs)
        unsafe part.num_threads = Int32(count: partition.threadCount)
        return unsafe part
    }

    private func describe(_ tensor: DelegateTensor, _ memory: CMemory) -> eo_tensor {
        let stored = model.model.subgraphs[0].tensors
        let info = tensor.info
        var source = Tensor(name: info.name, type: info.type, shape: info.shape, quantization: info.quantization)
        if tensor.index < stored.count { source.shapeSignature = stored[tensor.index].shapeSignature }
        source.isVariable = info.isVariable
        var result = unsafe EdgeOpt.describe(tensor.index, source, shape: info.shape, in: memory)
        unsafe result.size = info.type.byteCount(info.count) ?? 0
        if let constant = info.constant {
            unsafe result.data = UnsafeMutableRawPointer(mutating: constant.baseAddress)
        }
        return unsafe result
    }

    private func pointer(_ model: ModelHandle) -> OpaquePointer {
        unsafe OpaquePointer(Unmanaged.passUnretained(model).toOpaque())
    }
}

/// What a delegate wrote as its reason.
private func sentence(_ reason: [CChar], _ otherwise: String) -> String {
    let bytes = reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return bytes.isEmpty ? otherwise : String(decoding: bytes, as: UTF8.self)
}

@safe private final class CDelegateKernel: DelegateKernel {
    private let owner: CDelegate
    private let kernel: UnsafeMutableRawPointer?

    init(_ owner: CDelegate, _ kernel: UnsafeMutableRawPointer?) {
        self.owner = owner
        unsafe self.kernel = kernel
    }

    deinit { unsafe owner.calls.release(owner.calls.user, kernel) }

    func resize(_ partition: DelegatePartition) throws(Failure) -> Bool {
        guard let resize = unsafe owner.calls.resize else { return false }
        try unsafe owner.withC(partition) { part, reason, size in
            unsafe resize(owner.calls.user, kernel, part, reason, size)
        }
        return true
    }

    @unsafe func invoke(_ inputs: UnsafePointer<eo_buffer>, _ outputs: UnsafePointer<eo_buffer>) throws(Failure) {
        let status = unsafe owner.calls.invoke(owner.calls.user, kernel, inputs, outputs)
        guard status == EO_OK else { throw Failure(EO_DELEGATE_ERROR, "invoke gave status \(status.rawValue)") }
        guard let wait = unsafe owner.calls.wait else { return }
        let end = unsafe wait(owner.calls.user, kernel)
        guard end == EO_OK else { throw Failure(EO_DELEGATE_ERROR, "wait gave status \(end.rawValue)") }
    }
}
