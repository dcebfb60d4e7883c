import CEdgeOpt
import CPlatform
import Kernels
import Model
import Runtime

/// What an `eo_model *` points to.
@safe final class ModelHandle: @unchecked Sendable {
    let loaded: LoadedModel
    private let mutex: OpaquePointer
    private var view: ModelView?

    init(_ model: Model) throws(Failure) {
        guard let mutex = unsafe platform_mutex_create() else { throw .outOfMemory(64) }
        unsafe self.mutex = mutex
        loaded = try LoadedModel(model)
    }

    deinit { unsafe platform_mutex_destroy(mutex) }

    var model: Model { loaded.model }

    /// The model in C's words, made when somebody first looks. Any thread.
    var cView: ModelView {
        unsafe platform_mutex_lock(mutex)
        defer { unsafe platform_mutex_unlock(mutex) }
        if let view { return view }
        let made = ModelView(model)
        view = made
        return made
    }
}

/// The tensors, operators and names of a model as C structs.
@safe final class ModelView {
    let memory = CMemory()
    let description: UnsafePointer<CChar>?
    private(set) var subgraphNames: [UnsafePointer<CChar>?] = unsafe []
    private(set) var tensors: [[eo_tensor]] = unsafe []
    private(set) var operators: [[eo_operator]] = unsafe []
    private(set) var signatures: [eo_signature] = unsafe []
    private(set) var metadataNames: [UnsafePointer<CChar>?] = unsafe []

    init(_ model: Model) {
        unsafe description = memory.string(model.description ?? "")
        for subgraph in model.subgraphs {
            unsafe subgraphNames.append(memory.string(subgraph.name ?? ""))
            unsafe tensors.append(subgraph.tensors.enumerated().map { unsafe tensor($0, $1, model) })
            unsafe operators.append(subgraph.operators.map { unsafe self.operator($0, model) })
        }
        for signature in model.signatures { unsafe signatures.append(self.signature(signature)) }
        for entry in model.metadata { unsafe metadataNames.append(memory.string(entry.name)) }
    }

    private func tensor(_ index: Int, _ tensor: Tensor, _ model: Model) -> eo_tensor {
        var result = unsafe describe(index, tensor, shape: tensor.shape, in: memory)
        if let data = model.data(of: tensor), data.count > 0 {
            unsafe result.size = data.count
            unsafe result.data = UnsafeMutableRawPointer(mutating: data.baseAddress)
        } else {
            unsafe result.size = elementCount(tensor.shape).flatMap { tensor.type.byteCount($0) } ?? 0
        }
        return unsafe result
    }

    private func `operator`(_ op: Operator, _ model: Model) -> eo_operator {
        let code = model.operatorCodes[op.opcode]
        var result = unsafe eo_operator()
        unsafe result.name = memory.intern(code.name)
        unsafe result.is_custom = code.builtin == .custom
        unsafe result.builtin_code = code.builtin.rawValue
        unsafe result.version = Int32(count: code.version)
        unsafe result.input_count = Int32(count: op.inputs.count)
        unsafe result.inputs = memory.indices(op.inputs)
        unsafe result.output_count = Int32(count: op.outputs.count)
        unsafe result.outputs = memory.indices(op.outputs)
        return unsafe result
    }

    private func signature(_ signature: Signature) -> eo_signature {
        var result = unsafe eo_signature()
        unsafe result.key = memory.string(signature.key)
        unsafe result.subgraph = Int32(count: signature.subgraph)
        unsafe result.input_count = Int32(count: signature.inputs.count)
        unsafe result.input_names = names(signature.inputs)
        unsafe result.inputs = memory.indices(signature.inputs.map { $0.tensor })
        unsafe result.output_count = Int32(count: signature.outputs.count)
        unsafe result.output_names = names(signature.outputs)
        unsafe result.outputs = memory.indices(signature.outputs.map { $0.tensor })
        return unsafe result
    }

    private func names(_ entries: [Signature.Entry]) -> UnsafePointer<UnsafePointer<CChar>?>? {
        unsafe memory.array(entries.map { unsafe memory.string($0.name) })
    }
}
