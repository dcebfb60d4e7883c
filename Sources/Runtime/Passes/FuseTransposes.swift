import Model
import Operators

extension Compiler {
    /// Transpositions that move nothing become views, two in a row one, and those around a BATCH_MATMUL its adjoints.
    /// The bits stay: products are summed in the same order, whoever is transposed.
    mutating func fuseTransposes(_ graph: inout Graph, _ items: inout [Item]) {
        let given = graph
        rewrite(given, &items, endingWith: [.transpose]) { matcher, _, last in
            guard let second = matcher.permutation(last), let first = matcher.take(last.inputs[0], .transpose),
                let order = matcher.permutation(first)
            else { return nil }
            return matcher.replace(
                Self.transposition(second.map { order[$0] }, of: first.inputs[0], given), name: "TRANSPOSE",
                inputs: [first.inputs[0]])
        }
        transposeProducts(graph, &items)
        for index in items.indices { foldOperands(&graph, &items, index) }
        for index in items.indices where items[index].code == .transpose {
            let node = items[index].nodes[0]
            guard let order = graph.permutation(node), order.movesNothing(graph.tensors[node.inputs[0]].shape) else {
                continue
            }
            items[index] = Item(.identity(place: node.place, from: node.inputs[0], to: node.outputs[0]))
        }
    }

    /// A view if it moves nothing.
    private static func transposition(_ order: [Int], of tensor: Int, _ graph: Graph) -> OperatorDefinition {
        guard order.movesNothing(graph.tensors[tensor].shape) else { return Transpose.definition(order) }
        return Node.identity(place: 0, from: tensor, to: tensor).definition
    }

    /// (A B)^T = B^T A^T.
    private mutating func transposeProducts(_ graph: Graph, _ items: inout [Item]) {
        rewrite(graph, &items, endingWith: [.transpose]) { matcher, _, last in
            guard let order = matcher.permutation(last), order.swapsMatrix,
                let product = matcher.take(last.inputs[0], .batchMatmul),
                graph.tensors[product.inputs[0]].type == graph.tensors[product.inputs[1]].type
            else { return nil }
            var options = product.options
            options[0] = .int(product.options.bool(1) ? 0 : 1)
            options[1] = .int(product.options.bool(0) ? 0 : 1)
            return matcher.replace(
                product.definition, name: product.name, inputs: [product.inputs[1], product.inputs[0]],
                options: options, version: product.version)
        }
    }

    /// An operand that is a transposition of its own takes over the exchange of rows and columns, if what is left of the
    /// transposition then moves whole rows, and the product reads its operand no worse.
    private func foldOperands(_ graph: inout Graph, _ items: inout [Item], _ index: Int) {
        guard items[index].code == .batchMatmul else { return }
        let node = items[index].nodes[0]
        guard node.inputs[0] != node.inputs[1] else { return }
        let counts = graph.readCounts
        for side in 0...1 {
            let operand = node.inputs[side]
            guard counts[operand] == 1, !graph.isKept[operand],
                let producer = items.firstIndex(where: {
                    $0.delegate == nil && $0.outputs.count == 1 && $0.outputs[0] == operand
                }),
                case let transposition = items[producer].nodes[0],
                let order = graph.permutation(transposition), order.count >= 2,
                order[order.count - 2] == order.count - 1, side == 1 || node.options.bool(0)
            else { continue }
            var rows = order
            rows.swapAt(rows.count - 1, rows.count - 2)
            var shape = graph.tensors[operand].shape
            shape.swapAt(shape.count - 1, shape.count - 2)
            graph.tensors[operand].shape = shape
            items[producer] = Item(
                Node(
                    place: transposition.place, isInlined: transposition.isInlined, name: "TRANSPOSE", version: 1,
                    definition: Self.transposition(rows, of: transposition.inputs[0], graph),
                    inputs: [transposition.inputs[0]], outputs: [operand]))
            let product = items[index].nodes[0]
            items[index] = Item(product.with(side, .int(product.options.bool(side) ? 0 : 1)))
        }
    }

}

extension [Int] {
    /// A permutation of the last two dimensions, and nothing else.
    var swapsMatrix: Bool {
        count >= 2 && self[count - 1] == count - 2 && self[count - 2] == count - 1
            && dropLast(2).enumerated().allSatisfy { $0.offset == $0.element }
    }

    /// Dimensions of more than one element stay in their order.
    fileprivate func movesNothing(_ shape: [Int]) -> Bool {
        let moved = filter { shape[$0] != 1 }
        return zip(moved, moved.dropFirst()).allSatisfy { $0 < $1 }
    }
}

extension Matcher {
    func permutation(_ node: Node) -> [Int]? { graph.permutation(node) }
}

extension Graph {
    /// The constant permutation of a TRANSPOSE of the model; nil for everything else.
    fileprivate func permutation(_ node: Node) -> [Int]? {
        guard node.definition.code == .transpose, node.inputs.count == 2, node.inputs[1] >= 0,
            let given = tensors[node.inputs[1]].integers
        else { return nil }
        let rank = tensors[node.inputs[0]].rank
        let order = given.map { $0 < 0 ? $0 + rank : $0 }
        guard order.count == rank, (0..<rank).allSatisfy(order.contains) else { return nil }
        return order
    }
}
