import Model
import Operators

extension Compiler {
    /// x logistic(b x) in float32; b is 1, or another number where it stands for GELU. The bits stay.
    mutating func fuseSwish(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast else { return }
        rewrite(graph, &items, endingWith: [.mul]) { matcher, index, last in
            let output = graph.tensors[last.outputs[0]]
            guard matcher.isPlain(last), output.type == .float32 else { return nil }
            for (x, gate) in matcher.orders(last) where x >= 0 && graph.tensors[x].shape == output.shape {
                matcher.begin(index)
                guard let logistic = matcher.take(gate, .logistic),
                    let slope = Self.slope(&matcher, logistic.inputs[0], of: x),
                    let replaced = matcher.replace(Swish.definition(slope: slope), name: Swish.name, inputs: [x])
                else { continue }
                return replaced
            }
            return nil
        }
    }

    /// The number by which x is multiplied to give `tensor`.
    private static func slope(_ matcher: inout Matcher, _ tensor: Int, of x: Int) -> Float? {
        if tensor == x { return 1 }
        guard let product = matcher.take(tensor, .mul), matcher.isPlain(product) else { return nil }
        return matcher.orders(product).first { $0.0 == x }.flatMap { matcher.scalar($0.1) }
    }
}
