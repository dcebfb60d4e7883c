import Model
import Operators

extension Compiler {
    /// Layer normalization in float32 as converters write it. With m = MEAN(x), r = RSQRT(MEAN(SQUARED_DIFFERENCE(x, m))
    /// + epsilon), g = r gamma: x g + (beta - m g).
    mutating func fuseLayerNormalization(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast else { return }
        rewrite(graph, &items, endingWith: [.add]) { matcher, index, sum in
            guard graph.tensors[sum.outputs[0]].type == .float32, matcher.isPlain(sum)
            else { return nil }
            for (scaled, rest) in matcher.orders(sum) {
                matcher.begin(index)
                guard let found = Self.normalization(&matcher, scaled, rest),
                    let fused = LayerNormalization(
                        x: graph.tensors[found.x], gamma: found.gamma.map { graph.tensors[$0] },
                        beta: graph.tensors[found.beta], epsilon: found.epsilon)
                else { continue }
                let inputs = [found.x, found.gamma ?? -1, found.beta]
                return matcher.replace(fused.definition, name: "LAYER_NORMALIZATION", inputs: inputs)
            }
            return nil
        }
    }

    private static func normalization(
        _ matcher: inout Matcher, _ scaled: Int, _ rest: Int
    ) -> (x: Int, gamma: Int?, beta: Int, epsilon: Float)? {
        guard let product = matcher.take(scaled, .mul), matcher.isPlain(product),
            let difference = matcher.take(rest, .sub), matcher.isPlain(difference),
            matcher.isConstant(difference.inputs[0]),
            let shift = matcher.take(difference.inputs[1], .mul), matcher.isPlain(shift)
        else { return nil }
        for (x, factor) in matcher.orders(product) {
            guard shift.inputs.contains(factor), let mean = shift.inputs.first(where: { $0 != factor }),
                let scale = inverse(&matcher, factor), isMean(&matcher, mean, of: x),
                let squares = matcher.take(scale.variance, .mean), matcher.reducesRows(squares),
                let deviation = matcher.take(squares.inputs[0], .squaredDifference),
                deviation.inputs == [x, mean] || deviation.inputs == [mean, x]
            else { continue }
            return (x, scale.gamma, difference.inputs[0], scale.epsilon)
        }
        return nil
    }

    /// `factor` as RSQRT(variance + epsilon), times gamma or not.
    private static func inverse(
        _ matcher: inout Matcher, _ factor: Int
    ) -> (variance: Int, gamma: Int?, epsilon: Float)? {
        var (root, gamma) = (factor, Int?.none)
        if let product = matcher.take(factor, .mul), matcher.isPlain(product) {
            guard let order = matcher.orders(product).first(where: { matcher.isConstant($0.1) }) else { return nil }
            (root, gamma) = (order.0, order.1)
        }
        guard let inverse = matcher.take(root, .rsqrt), let sum = matcher.take(inverse.inputs[0], .add),
            matcher.isPlain(sum), let order = matcher.orders(sum).first(where: { matcher.isConstant($0.1) }),
            let epsilon = matcher.scalar(order.1)
        else { return nil }
        return (order.0, gamma, epsilon)
    }

    private static func isMean(_ matcher: inout Matcher, _ mean: Int, of x: Int) -> Bool {
        guard let node = matcher.take(mean, .mean) else { return false }
        return node.inputs[0] == x && matcher.reducesRows(node)
    }
}

extension Matcher {
    /// A reduction over the last dimension that keeps it.
    func reducesRows(_ node: Node) -> Bool {
        let x = graph.tensors[node.inputs[0]]
        guard node.options.bool(0), node.inputs.count == 2, let axes = graph.tensors[node.inputs[1]].integers,
            axes.count == 1
        else { return false }
        return axes[0] == -1 || axes[0] == x.rank - 1
    }
}
