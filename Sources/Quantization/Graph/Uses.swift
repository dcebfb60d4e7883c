import Model

/// Who makes and who reads each tensor of a subgraph. A snapshot: make a new one after changing operators.
package struct Uses {
    /// The operator that writes a tensor; nil for inputs of the subgraph and constants.
    private let producers: [Int?]
    /// The operators that read a tensor, once for each reading.
    private let consumers: [[Int]]
    private let outputs: [Bool]

    package init(_ graph: Subgraph) {
        var producers = [Int?](repeating: nil, count: graph.tensors.count)
        var consumers = [[Int]](repeating: [], count: graph.tensors.count)
        var outputs = [Bool](repeating: false, count: graph.tensors.count)
        for (index, op) in graph.operators.enumerated() {
            for tensor in op.inputs where tensor >= 0 { consumers[tensor].append(index) }
            for tensor in op.outputs where tensor >= 0 { producers[tensor] = index }
        }
        for tensor in graph.outputs where tensor >= 0 { outputs[tensor] = true }
        self.producers = producers
        self.consumers = consumers
        self.outputs = outputs
    }

    package func producer(of tensor: Int) -> Int? { producers[tensor] }
    package func consumers(of tensor: Int) -> [Int] { consumers[tensor] }
    package func isOutput(_ tensor: Int) -> Bool { outputs[tensor] }

    /// The one operator that reads a tensor nobody else can see; nil if there are several readings, or none, or the
    /// tensor is an output of the subgraph.
    package func onlyConsumer(of tensor: Int) -> Int? {
        consumers[tensor].count == 1 && !outputs[tensor] ? consumers[tensor][0] : nil
    }
}
