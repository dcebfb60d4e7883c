import Kernels
import Model
import Operators

extension Compiler {
    /// SOFTMAX written out in float32: with d = x - REDUCE_MAX(x) along rows, EXP(d) / SUM(EXP(d)). Rounding changes.
    mutating func fuseSoftmax(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast, let definition = OperatorRegistry.definition(OperatorCode(.softmax)) else { return }
        rewrite(graph, &items, endingWith: [.div]) { matcher, _, quotient in
            guard graph.tensors[quotient.outputs[0]].type == .float32,
                matcher.isPlain(quotient), let exponential = matcher.take(quotient.inputs[0], .exp),
                let sum = matcher.take(quotient.inputs[1], .sum), sum.inputs[0] == quotient.inputs[0],
                matcher.reducesRows(sum), let difference = matcher.take(exponential.inputs[0], .sub),
                matcher.isPlain(difference), let largest = matcher.take(difference.inputs[1], .reduceMax),
                largest.inputs[0] == difference.inputs[0], matcher.reducesRows(largest)
            else { return nil }
            return matcher.replace(
                definition, name: "SOFTMAX", inputs: [difference.inputs[0]],
                options: Options(.softmax, [.float(1)]))
        }
    }

    /// Scaled dot-product attention in float32: softmax(q k^T scale + mask) v, with the transpositions of its operands
    /// and of its result. Rounding changes.
    mutating func fuseAttention(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast else { return }
        // From the end: the transposition of a result comes before the product.
        rewrite(graph, &items, endingWith: [.batchMatmul, .transpose], fromEnd: true) { matcher, _, last in
            var (product, output) = (last, MatrixView(graph.tensors[last.outputs[0]]))
            if let order = matcher.permutation(last) {
                guard let found = matcher.take(last.inputs[0], .batchMatmul) else { return nil }
                var inverse = order
                for (place, axis) in order.enumerated() { inverse[axis] = place }
                (product, output) = (found, output.transposed(inverse))
            }
            guard product.definition.code == .batchMatmul, !product.options.bool(0),
                let scores = matcher.scores(product.inputs[0])
            else { return nil }
            let (v, mask) = (matcher.operand(product, 1), scores.mask.map { [$0] } ?? [])
            let inputs = [scores.q.tensor, scores.k.tensor, v.tensor] + mask
            guard (inputs + last.outputs).allSatisfy({ graph.tensors[$0].type == .float32 }),
                inputs.allSatisfy({ !graph.tensors[$0].isVariable }),
                let fused = FusedAttention(
                    q: scores.q.view, k: scores.k.view, v: v.view,
                    mask: mask.first.map { MatrixView(graph.tensors[$0]) },
                    scale: scores.scale, output: output)
            else { return nil }
            return matcher.replace(fused.definition, name: "ATTENTION", inputs: inputs)
        }
    }
}

/// A tensor, and how an operator sees it.
private typealias Operand = (tensor: Int, view: MatrixView)

extension Matcher {
    /// An operand of a BATCH_MATMUL with its adjoint, before a transposition that nobody else reads.
    fileprivate mutating func operand(_ product: Node, _ side: Int) -> Operand {
        var tensor = product.inputs[side]
        var view = MatrixView(graph.tensors[tensor])
        if isReadOnce(tensor), let node = peek(tensor, [.transpose]), let order = permutation(node) {
            _ = take(tensor, .transpose)
            tensor = node.inputs[0]
            view = MatrixView(graph.tensors[tensor]).transposed(order)
        }
        return (tensor, product.options.bool(side) ? view.adjoint : view)
    }

    /// SOFTMAX of q k, perhaps transposed, times a number and added to a mask.
    fileprivate mutating func scores(_ tensor: Int) -> (q: Operand, k: Operand, scale: Float, mask: Int?)? {
        guard let softmax = take(tensor, .softmax) else { return nil }
        var (place, scale, mask) = (softmax.inputs[0], softmax.options.float(0), Int?.none)
        if scale == 1, let sum = peek(place, [.add]), isPlain(sum),
            let order = orders(sum).first(where: { peek($0.0, [.mul, .div, .batchMatmul, .transpose]) != nil })
        {
            _ = take(place, .add)
            (place, mask) = (order.0, order.1)
        }
        if let factor = take(place, .mul), isPlain(factor) {
            guard let order = orders(factor).first(where: { scalar($0.1) != nil }) else { return nil }
            (place, scale) = (order.0, scale * (scalar(order.1) ?? 1))
        } else if let quotient = take(place, .div), isPlain(quotient) {
            guard let divisor = scalar(quotient.inputs[1]) else { return nil }
            (place, scale) = (quotient.inputs[0], scale / divisor)
        }
        var isTransposed = false
        if let node = take(place, .transpose) {
            guard let order = permutation(node), order.swapsMatrix else { return nil }
            (place, isTransposed) = (node.inputs[0], true)
        }
        guard let product = take(place, .batchMatmul) else { return nil }
        let (a, b) = (operand(product, 0), operand(product, 1))
        guard isTransposed else { return (a, b, scale, mask) }
        return ((b.tensor, b.view.adjoint), (a.tensor, a.view.adjoint), scale, mask)
    }
}
