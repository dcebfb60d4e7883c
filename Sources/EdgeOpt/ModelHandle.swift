import CEdgeOpt
import CPlatform
import Kernels
import Model
import Runtime

/// What an `eo_model *` points to.
@safe final class ModelHandle: @unchecked Sendable {
    let loaded: LoadedModel
    private let mutex: OpaquePointer
    private let view: ModelView

    init(_ model: Model) throws(Failure) {
        guard let mutex = unsafe platform_mutex_create() else { throw .outOfMemory(64) }
        unsafe self.mutex = mutex
        loaded = try LoadedModel(model)
        view = ModelView(model)
    }

    deinit { unsafe platform_mutex_destroy(mutex) }

    var model: Model { loaded.model }

    /// What `look` takes from the model in C's words. Any thread.
    func cView<T>(_ look: (ModelView) -> T) -> T {
        unsafe platform_mutex_lock(mutex)
        defer { unsafe platform_mutex_unlock(mutex) }
        return look(view)
    }
}

/// The tensors, operators and names of a model as C structs, each made when somebody first asks for it: most programs
/// look at inputs and outputs only.
@safe final class ModelView {
    private let model: Model
    private let memory = CMemory()
    private var tensors: [[eo_tensor?]]
    private var operators: [[eo_operator?]]
    private var signatures: [eo_signature?]

    init(_ model: Model) {
        self.model = model
        unsafe tensors = model.subgraphs.map { unsafe [eo_tensor?](repeating: nil, count: $0.tensors.count) }
        unsafe operators = model.subgraphs.map { unsafe [eo_operator?](repeating: nil, count: $0.operators.count) }
        unsafe signatures = unsafe [eo_signature?](repeating: nil, count: model.signatures.count)
    }

    var description: UnsafePointer<CChar>? { unsafe memory.intern(model.description ?? "") }
    func name(of subgraph: Int) -> UnsafePointer<CChar>? { unsafe memory.intern(model.subgraphs[subgraph].name ?? "") }
    func metadataName(_ index: Int) -> UnsafePointer<CChar>? { unsafe memory.intern(model.metadata[index].name) }

    func tensor(_ subgraph: Int, _ index: Int) -> eo_tensor {
        unsafe known(&tensors[subgraph][index]) { unsafe describe(index, model.subgraphs[subgraph].tensors[index]) }
    }

    func `operator`(_ subgraph: Int, _ index: Int) -> eo_operator {
        unsafe known(&operators[subgraph][index]) { unsafe describe(model.subgraphs[subgraph].operators[index]) }
    }

    func signature(_ index: Int) -> eo_signature {
        unsafe known(&signatures[index]) { unsafe describe(model.signatures[index]) }
    }

    private func known<T>(_ place: inout T?, _ make: () -> T) -> T {
        if let place { return place }
        let made = make()
        place = made
        return made
    }

    private func describe(_ index: Int, _ tensor: Tensor) -> eo_tensor {
        var result = unsafe EdgeOpt.describe(index, tensor, shape: tensor.shape, in: memory)
        if let data = model.data(of: tensor), data.count > 0 {
            unsafe result.size = data.count
            unsafe result.data = UnsafeMutableRawPointer(mutating: data.baseAddress)
        } else {
            unsafe result.size = elementCount(tensor.shape).flatMap { tensor.type.byteCount($0) } ?? 0
        }
        return unsafe result
    }

    private func describe(_ op: Operator) -> eo_operator {
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

    private func describe(_ signature: Signature) -> eo_signature {
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
