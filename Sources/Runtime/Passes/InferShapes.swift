import Model
import Operators

extension Compiler {
    /// Gives every tensor the shape that follows from the shapes of the inputs, in execution order, and folds what is
    /// constant on the way, because shapes depend on it. Folded nodes leave the graph. Returns how many nodes have
    /// known shapes: the next one needs values that are not constant.
    mutating func inferShapes(_ graph: inout Graph, values: [Int: Bytes]) throws(Failure) -> Int {
        var staying: [Node] = []
        var ready: Int?
        for (index, node) in graph.nodes.enumerated() {
            if ready != nil {
                staying.append(node)
                continue
            }
            do throws(Failure) {
                let inputs = infos(node, graph, values: index == 0 ? values : [:])
                guard try inferShapes(of: node, inputs, &graph) else {
                    ready = staying.count
                    for waiting in graph.nodes[index...] {
                        for output in waiting.outputs { graph.hasShape[output] = false }
                    }
                    staying.append(node)
                    continue
                }
                if try fold(node, &graph) {
                    decide(node, runner: "folded")
                } else {
                    staying.append(node)
                }
            } catch { throw error.at(node, of: origin) }
        }
        graph.nodes = staying
        return ready ?? staying.count
    }

    /// False: the shapes depend on values.
    private func inferShapes(of node: Node, _ inputs: [TensorInfo?], _ graph: inout Graph) throws(Failure) -> Bool {
        let inference = ShapeInference(
            name: node.name, version: node.version, options: node.options, customOptions: node.customOptions,
            inputs: inputs, outputCount: node.outputs.count,
            statedOutputShapes: node.outputs.map { graph.tensors[$0].shape })
        guard let shapes = try node.definition.shapes(inference) else { return false }
        guard shapes.count >= node.outputs.count, shapes.isEmpty || !node.outputs.isEmpty else {
            throw .invalidModel("\(node.name): has \(node.outputs.count) outputs, \(shapes.count) expected")
        }
        for (output, shape) in zip(node.outputs, shapes) {
            let type = graph.tensors[output].type
            // 2^46 bytes: no machine has more, and sums of a few such sizes cannot overflow.
            guard let count = elementCount(shape), (type.byteCount(count) ?? 0) < 1 << 46,
                count < 1 << 46
            else {
                let name = graph.tensors[output].name
                throw .unsupported("\(node.name): output '\(name)' would have shape \(shape.listed)")
            }
            graph.tensors[output].shape = shape
            graph.hasShape[output] = true
        }
        return true
    }
}
