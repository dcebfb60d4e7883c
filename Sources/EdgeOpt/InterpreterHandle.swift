import CEdgeOpt
import CPlatform
import Model
import Operators
import Runtime

/// What an `eo_interpreter *` points to.
@safe final class InterpreterHandle {
    let interpreter: Interpreter
    private let model: ModelHandle
    private let names = CMemory()
    private(set) var inputNames: [UnsafePointer<CChar>?] = unsafe []
    private(set) var outputNames: [UnsafePointer<CChar>?] = unsafe []
    /// C descriptions by tensor, as long as the shape stays.
    private var views: [Int: TensorView] = unsafe [:]
    /// Words of reports.
    private var words = CMemory()

    @unsafe private struct TensorView {
        let shape: [Int]
        let memory: CMemory
        let tensor: eo_tensor
    }

    init(_ model: ModelHandle, _ interpreter: Interpreter) {
        self.model = model
        self.interpreter = interpreter
        unsafe inputNames = unsafe interpreter.inputNames.map { unsafe names.string($0) }
        unsafe outputNames = unsafe interpreter.outputNames.map { unsafe names.string($0) }
    }

    /// Descriptions and reports handed out so far are void.
    func forget() {
        unsafe views = unsafe [:]
        words = CMemory()
    }

    func describe(_ live: LiveTensor) -> eo_tensor {
        var tensor = unsafe view(live).tensor
        unsafe tensor.size = live.byteCount
        unsafe tensor.data = live.data
        return unsafe tensor
    }

    private func view(_ live: LiveTensor) -> TensorView {
        if let known = unsafe views[live.index], unsafe known.shape == live.info.shape { return unsafe known }
        let memory = CMemory()
        let tensor = model.model.subgraphs[interpreter.subgraph].tensors[live.index]
        let made = unsafe TensorView(
            shape: live.info.shape, memory: memory,
            tensor: EdgeOpt.describe(live.index, tensor, shape: live.info.shape, in: memory))
        unsafe views[live.index] = unsafe made
        return unsafe made
    }

    func report(_ index: Int) throws(Failure) -> eo_operator_report {
        let report = try interpreter.report(index)
        var result = unsafe eo_operator_report()
        unsafe result.index = Int32(count: index)
        unsafe result.name = words.intern(report.name)
        unsafe result.runner = words.intern(report.decision.runner)
        unsafe result.kernel = words.intern(report.decision.kernel)
        unsafe result.reason = words.intern(report.decision.reason)
        unsafe result.partition = Int32(count: report.decision.partition)
        unsafe result.output_offset = report.outputOffset ?? -1
        unsafe result.calls = report.calls
        unsafe result.nanoseconds = report.nanoseconds
        return unsafe result
    }
}
