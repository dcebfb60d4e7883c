import Kernels
import Model
import Operators

extension Compiler {
    /// Operators that make a tensor of bytes out of another one, each element out of one element, become a table: they
    /// are run for all 256 bytes now. The bits stay.
    mutating func tabulateBytes(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast else { return }
        rewrite(graph, &items, fromEnd: true) { matcher, index, last in
            guard let function = ByteFunction(last, graph, matcher) else { return nil }
            do throws(Failure) {
                let table = try function.table(graph)
                guard table.count == 256 else { return nil }
                for node in function.nodes.dropLast() { _ = matcher.take(node.outputs[0], node.definition.code) }
                return matcher.replace(
                    ByteTable.definition(table), name: function.name, inputs: [function.source])
            } catch {
                return nil
            }
        }
    }
}

/// Operators between two tensors of bytes, which nobody else has a part in.
private struct ByteFunction {
    let source: Int
    /// In the order in which they run.
    let nodes: [Node]

    /// Where they lie together: fewer would be tables of their own, which is no gain.
    private static let least = 2, most = 16

    /// As many as end with `last`. nil: none but that one.
    init?(_ last: Node, _ graph: Graph, _ matcher: borrowing Matcher) {
        guard Self.isElementwise(last, graph), Self.holdsBytes(graph.tensors[last.outputs[0]]) else { return nil }
        var (found, nodes) = (nil as (source: Int, count: Int)?, [last])
        while nodes.count <= Self.most {
            let inputs = Self.inputs(of: nodes, graph)
            if inputs.count == 1, nodes.count >= Self.least, Self.holdsBytes(graph.tensors[inputs[0]]) {
                found = (inputs[0], nodes.count)
            }
            // The one that runs last: two branches of a function meet before others join.
            var next: Node?
            for input in inputs where next.map({ matcher.age($0.outputs[0]) < matcher.age(input) }) ?? true {
                let reads = nodes.reduce(0) { $0 + $1.inputs.filter { $0 == input }.count }
                guard matcher.readCount(input) == reads, let node = matcher.peek(input, elementwise),
                    Self.isElementwise(node, graph)
                else { continue }
                next = node
            }
            guard let next else { break }
            nodes.append(next)
        }
        guard let found else { return nil }
        source = found.source
        // By age.
        var ordered: [Node] = []
        for node in nodes[..<found.count] {
            let place = ordered.firstIndex { matcher.age($0.outputs[0]) > matcher.age(node.outputs[0]) }
            ordered.insert(node, at: place ?? ordered.count)
        }
        self.nodes = ordered
    }

    /// What they read and do not compute, but for numbers.
    private static func inputs(of nodes: [Node], _ graph: Graph) -> [Int] {
        var inputs: [Int] = []
        for input in nodes.flatMap({ $0.inputs })
        where !graph.tensors[input].isConstant && !inputs.contains(input)
            && !nodes.contains(where: { $0.outputs[0] == input })
        {
            inputs.append(input)
        }
        return inputs
    }

    private static func holdsBytes(_ tensor: TensorInfo) -> Bool { tensor.type == .int8 || tensor.type == .uint8 }

    /// Is each element of the result made of one element of an input, and of numbers?
    private static func isElementwise(_ node: Node, _ graph: Graph) -> Bool {
        guard elementwise.contains(node.definition.code), node.outputs.count == 1, !node.inputs.isEmpty else {
            return false
        }
        let output = graph.tensors[node.outputs[0]]
        return !output.shape.isEmpty && isUniform(output)
            && node.inputs.allSatisfy {
                guard $0 >= 0, isUniform(graph.tensors[$0]) else { return false }
                let input = graph.tensors[$0]
                return input.isConstant ? input.count == 1 : input.shape == output.shape && !input.isVariable
            }
    }

    /// Has it one scale for all?
    private static func isUniform(_ tensor: TensorInfo) -> Bool { (tensor.quantization?.scales.count ?? 0) <= 1 }

    /// What becomes of the bytes 0 to 255.
    func table(_ graph: Graph) throws(Failure) -> [UInt8] {
        func row(_ tensor: Int) -> TensorInfo {
            var info = graph.tensors[tensor]
            info.shape = info.shape.map { _ in 1 }
            info.shape[info.shape.count - 1] = 256
            return info
        }
        let (pool, weights) = (try ThreadPool(threads: 1), try PackedWeightCache())
        var argument = row(source)
        argument.constant = try Bytes(copying: (0..<256).map { UInt8($0) })
        var results: [TensorInfo] = []
        for node in nodes {
            let evaluation = Evaluation(
                node.definition, version: node.version, options: node.options, customOptions: node.customOptions,
                pool: pool, weights: weights)
            let inputs = node.inputs.map { input -> TensorInfo? in
                if input == source { return argument }
                guard let earlier = nodes.firstIndex(where: { $0.outputs[0] == input }) else {
                    return graph.tensors[input]
                }
                return earlier < results.count ? results[earlier] : nil
            }
            guard let result = try evaluation.evaluate(inputs, outputs: [row(node.outputs[0])])?.first else {
                return []
            }
            results.append(result)
        }
        return results.last?.constant?.array(of: UInt8.self) ?? []
    }

    var name: String { nodes.dropFirst().reduce(nodes[0].name) { $0 + "+" + $1.name } }
}

private let elementwise: [BuiltinOperator] = [
    .add, .sub, .mul, .div, .minimum, .maximum, .squaredDifference, .prelu, .logistic, .tanh, .exp, .log, .elu, .gelu,
    .hardSwish, .leakyRelu, .relu, .relu6, .reluN1To1, .relu0To1, .abs, .neg, .sqrt, .rsqrt, .square, .floor, .ceil,
    .round, .sin, .cos, .quantize, .dequantize,
]
