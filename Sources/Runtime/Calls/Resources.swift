import Model
import Operators

/// What all subgraphs of an interpreter share and what outlives its invokes: the memory of resource variables, and which
/// subgraphs CALL_ONCE has run. One thread at a time.
@safe final class Resources {
    private struct Variable {
        let name: String
        let type: TensorType
        let shape: [Int]
        let storage: Storage
    }
    private var variables: [Variable] = []
    private var hasRun: [Bool]
    /// Compiled so far.
    var calls = 0
    /// A subgraph is compiled for each place that runs it: nested, they could come to billions.
    static let mostCalls = 4096

    init(subgraphCount: Int) { hasRun = [Bool](repeating: false, count: subgraphCount) }

    /// The memory of a variable, made when it is first asked for. It stays where it is. Throws if the variable is of
    /// another type or shape elsewhere.
    func memory(of name: String, _ info: TensorInfo) throws(Failure) -> UnsafeMutableRawPointer {
        if let known = variables.first(where: { $0.name == name }) {
            guard known.type == info.type, known.shape == info.shape else {
                throw .unsupported(
                    "variable '\(info.name)' is \(info.type.name) \(info.shape.listed) in one place,"
                        + " \(known.type.name) \(known.shape.listed) in another")
            }
            return unsafe known.storage.address
        }
        guard let bytes = info.type.byteCount(info.count) else {
            throw .unsupported("variable '\(info.name)' holds elements of type \(info.type.name)")
        }
        let storage = try Storage.pages(bytes)
        variables.append(Variable(name: name, type: info.type, shape: info.shape, storage: storage))
        return unsafe storage.address
    }

    /// Runs `body` unless it has run for this subgraph, and ended well.
    func once(_ subgraph: Int, _ body: () throws(Failure) -> Void) throws(Failure) {
        guard !hasRun[subgraph] else { return }
        try body()
        hasRun[subgraph] = true
    }

    /// Everything is as before the first invoke.
    func reset() {
        for index in hasRun.indices { hasRun[index] = false }
        for variable in variables {
            unsafe variable.storage.address.initializeMemory(
                as: UInt8.self, repeating: 0, count: variable.storage.count)
        }
    }
}
