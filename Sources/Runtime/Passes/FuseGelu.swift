import Model
import Operators

extension Compiler {
    /// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 in float32 (Hendrycks and Gimpel, Gaussian Error Linear Units,
    /// 2016), however its products and sums are written.
    mutating func fuseGelu(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast, let definition = OperatorRegistry.definition(OperatorCode(.gelu)) else { return }
        rewrite(graph, &items, endingWith: [.mul]) { matcher, index, last in
            guard matcher.isPlain(last),
                graph.tensors[last.outputs[0]].type == .float32,
                let tanh = Expansion.find(.tanh, below: last, matcher, depth: 0)
            else { return nil }
            for x in Expansion.variables(below: tanh, matcher) {
                matcher.begin(index)
                var expansion = Expansion(x: x)
                guard graph.tensors[x].shape == graph.tensors[last.outputs[0]].shape,
                    expansion.matches(tanh.inputs[0], [0, 0.7978846, 0, 0.0356774], [], &matcher),
                    matcher.take(tanh.outputs[0], .tanh) != nil
                else { continue }
                expansion.curve = tanh.outputs[0]
                guard expansion.matches(last.outputs[0], [0, 0.5], [0, 0.5], &matcher) else { continue }
                return matcher.replace(
                    definition, name: "GELU", inputs: [x], options: Options(.gelu, [.int(1)]), version: 1)
            }
            return nil
        }
    }
}

/// Tensors as sums p(x) + q(x) t, p and q polynomials of x, t another function of x.
private struct Expansion {
    /// Coefficients of p, then those of q, degree 0 first.
    typealias Sum = [Float]
    private static let terms = 5

    let x: Int
    /// The tensor that holds t.
    var curve = -1

    init(x: Int) { self.x = x }

    private static let mostDepth = 8

    /// The operator `code` from which `node` computes its result by sums and products.
    static func find(_ code: BuiltinOperator, below node: Node, _ matcher: borrowing Matcher, depth: Int) -> Node? {
        if node.definition.code == code { return node }
        guard depth < mostDepth, arithmetic.contains(node.definition.code) else { return nil }
        for input in node.inputs {
            guard let producer = matcher.peek(input, arithmetic + [code]) else { continue }
            if let found = find(code, below: producer, matcher, depth: depth + 1) { return found }
        }
        return nil
    }

    /// Tensors that the argument of `node` may be a polynomial of.
    static func variables(below node: Node, _ matcher: borrowing Matcher) -> [Int] {
        var (found, waiting) = ([Int](), [node])
        while let next = waiting.popLast(), found.count < 16 {
            for input in next.inputs where input >= 0 && !matcher.isConstant(input) && !found.contains(input) {
                found.append(input)
                if let producer = matcher.peek(input, arithmetic) { waiting.append(producer) }
            }
        }
        return found.reversed()
    }

    private static let arithmetic: [BuiltinOperator] = [.add, .sub, .mul, .div, .square, .pow]

    /// Does `tensor` equal this sum, within the rounding of published coefficients? The operators on the way become part
    /// of the pattern.
    func matches(_ tensor: Int, _ plain: Sum, _ withCurve: Sum, _ matcher: inout Matcher) -> Bool {
        guard let found = sum(tensor, &matcher, depth: 0) else { return false }
        for index in 0..<Self.terms {
            let first = index < plain.count ? plain[index] : 0
            let second = index < withCurve.count ? withCurve[index] : 0
            guard abs(found[index] - first) < 1e-4, abs(found[Self.terms + index] - second) < 1e-4 else { return false }
        }
        return true
    }

    private func sum(_ tensor: Int, _ matcher: inout Matcher, depth: Int) -> Sum? {
        var single = Sum(repeating: 0, count: 2 * Self.terms)
        if tensor == x || tensor == curve {
            single[tensor == x ? 1 : Self.terms] = 1
            return single
        }
        if let scalar = matcher.scalar(tensor) {
            single[0] = scalar
            return single
        }
        guard depth < Self.mostDepth, let node = matcher.take(tensor, Self.arithmetic), matcher.isPlain(node),
            let a = sum(node.inputs[0], &matcher, depth: depth + 1)
        else { return nil }
        let code = node.definition.code
        if code == .square { return product(a, a) }
        guard node.inputs.count == 2, let b = sum(node.inputs[1], &matcher, depth: depth + 1) else { return nil }
        switch code {
        case .add, .sub:
            for index in single.indices { single[index] = code == .add ? a[index] + b[index] : a[index] - b[index] }
            return single
        case .mul: return product(a, b)
        case .div, .pow:
            // By a number only.
            guard b[0] != 0, !b.dropFirst().contains(where: { $0 != 0 }) else { return nil }
            single[0] = 1 / b[0]
            if code == .div { return product(a, single) }
            guard b[0] == 2 || b[0] == 3, let square = product(a, a) else { return nil }
            return b[0] == 2 ? square : product(square, a)
        default: return nil
        }
    }

    /// nil: the degree is too high, or t squared.
    private func product(_ a: Sum, _ b: Sum) -> Sum? {
        var result = Sum(repeating: 0, count: 2 * Self.terms)
        for i in a.indices where a[i] != 0 {
            for j in b.indices where b[j] != 0 {
                let curves = i / Self.terms + j / Self.terms
                let degree = i % Self.terms + j % Self.terms
                guard curves < 2, degree < Self.terms else { return nil }
                result[curves * Self.terms + degree] += a[i] * b[j]
            }
        }
        return result
    }
}
