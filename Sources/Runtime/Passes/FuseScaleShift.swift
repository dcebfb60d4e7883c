import Model
import Operators

extension Compiler {
    /// x * c + d and x * c - d, the constants along the channels. The bits stay.
    mutating func fuseScaleShift(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast else { return }
        rewrite(graph, &items, endingWith: [.add, .sub]) { matcher, _, sum in
            for (middle, shifts) in matcher.orders(sum) where matcher.isConstant(shifts) {
                // c - x is something else.
                if sum.definition.code == .sub, middle != sum.inputs[0] { continue }
                guard let product = matcher.take(middle, .mul) else { continue }
                for (x, factors) in matcher.orders(product) where matcher.isConstant(factors) {
                    let fused = ScaleShift(
                        x: graph.tensors[x], factors: graph.tensors[factors], middle: graph.tensors[middle],
                        shifts: graph.tensors[shifts], output: graph.tensors[sum.outputs[0]],
                        multiplication: product.options.int(0), addition: sum.options.int(0),
                        subtracts: sum.definition.code == .sub)
                    guard let fused else { continue }
                    return matcher.replace(fused.definition, name: "MUL+ADD", inputs: [x, factors, shifts])
                }
            }
            return nil
        }
    }
}
