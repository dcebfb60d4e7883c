import Model
import Operators

extension Compiler {
    /// x relu6(x + 3) / 6 in float32, in the orders in which it is written: the products and the sixth may be anywhere.
    mutating func fuseHardSwish(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast, let definition = OperatorRegistry.definition(OperatorCode(.hardSwish)) else {
            return
        }
        rewrite(graph, &items, endingWith: [.mul, .div]) { matcher, index, last in
            guard matcher.isPlain(last),
                graph.tensors[last.outputs[0]].type == .float32
            else { return nil }
            guard let x = Self.hardSwish(&matcher, index, last),
                graph.tensors[x].shape == graph.tensors[last.outputs[0]].shape
            else { return nil }
            return matcher.replace(definition, name: "HARD_SWISH", inputs: [x])
        }
    }

    private static func hardSwish(_ matcher: inout Matcher, _ index: Int, _ last: Node) -> Int? {
        // (x relu6) / 6
        if let product = sixth(&matcher, last) {
            guard let inner = matcher.take(product, .mul), matcher.isPlain(inner) else { return nil }
            return matcher.orders(inner).first { isGate(&matcher, $0.1, of: $0.0) }?.0
        }
        // x (relu6 / 6)
        guard last.definition.code == .mul else { return nil }
        for (x, gate) in matcher.orders(last) {
            matcher.begin(index)
            guard let scaled = matcher.take(gate, .mul, .div), matcher.isPlain(scaled),
                let inner = sixth(&matcher, scaled), isGate(&matcher, inner, of: x)
            else { continue }
            return x
        }
        return nil
    }

    /// What is divided by 6, or multiplied by a sixth.
    private static func sixth(_ matcher: inout Matcher, _ node: Node) -> Int? {
        if node.definition.code == .div { return matcher.scalar(node.inputs[1]) == 6 ? node.inputs[0] : nil }
        return matcher.orders(node).first { order in
            guard let factor = matcher.scalar(order.1) else { return false }
            return abs(factor - 1 / 6) < 1e-6
        }?.0
    }

    /// relu6(x + 3), the activation fused or not.
    private static func isGate(_ matcher: inout Matcher, _ gate: Int, of x: Int) -> Bool {
        var sum = matcher.take(gate, .add, .relu6)
        var isClamped = false
        if let relu = sum, relu.definition.code == .relu6 {
            isClamped = true
            sum = matcher.take(relu.inputs[0], .add)
        }
        guard let sum, sum.options.int(0) == (isClamped ? 0 : FusedActivation.relu6.rawValue) else { return false }
        return matcher.orders(sum).contains { $0.0 == x && matcher.scalar($0.1) == 3 }
    }
}
