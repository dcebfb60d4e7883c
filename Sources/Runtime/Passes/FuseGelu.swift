import Model
import Operators

extension Compiler {
    /// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 in float32 (Hendrycks and Gimpel, Gaussian Error Linear Units,
    /// 2016), however its products and sums are written.
    mutating func fuseGelu(_ graph: Graph, _ items: inout [Item]) {
        guard arithmetic == .fast, let definition = OperatorRegistry.definition(OperatorCode(.gelu)) else { return }
        rewrite(graph, &items) { matcher, index, last in
            guard last.definition.code == .mul, matcher.isPlain(last),
                graph.tensors[last.outputs[0]].type == .float32,
                let tanh = Expansion.find(.tanh, below: last, matcher, depth: 0)
            else { return nil }
            for x in Expansion.variables(below: tanh, matcher) {
                matcher.begin(index)
                var expansion = Expansion(x: x)
                guard graph.tensors[x].shape == graph.tensors[last.outputs[0]].shape,
                    let inner = expansion.polynomial(tanh.inputs[0], &matcher),
                    inner.isCloseTo([0, 0.7978846, 0, 0.0356774]),
                    case _? = matcher.take(tanh.outputs[0], .tanh)
                else { continue }
                expansion.curve = tanh.outputs[0]
                guard let whole = expansion.sum(last.outputs[0], &matcher), whole.plain.isCloseTo([0, 0.5]),
                    whole.withCurve.isCloseTo([0, 0.5])
                else { continue }
                return matcher.replace(
                    definition, name: "GELU", inputs: [x], options: Options(.gelu, [.int(1)]), version: 1)
            }
            return nil
        }
    }
}

/// Tensors as sums p(x) + q(x) t, p and q polynomials of x, t another function of x.
private struct Expansion {
    typealias Polynomial = [Float]
    let x: Int
    /// The tensor that holds t.
    var curve = -1

    init(x: Int) { self.x = x }

    private static let mostDepth = 8
    private static let mostDegree = 4

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

    mutating func polynomial(_ tensor: Int, _ matcher: inout Matcher) -> Polynomial? {
        guard let sum = sum(tensor, &matcher), sum.withCurve.isEmpty else { return nil }
        return sum.plain
    }

    /// The operators on the way become part of the pattern.
    func sum(
        _ tensor: Int, _ matcher: inout Matcher, depth: Int = 0
    ) -> (plain: Polynomial, withCurve: Polynomial)? {
        if tensor == x { return ([0, 1], []) }
        if tensor == curve { return ([], [1]) }
        if let scalar = matcher.scalar(tensor) { return ([scalar], []) }
        guard depth < Self.mostDepth, let node = matcher.take(tensor, Self.arithmetic), matcher.isPlain(node),
            let a = sum(node.inputs[0], &matcher, depth: depth + 1)
        else { return nil }
        if node.definition.code == .square { return product(a, a) }
        guard node.inputs.count == 2, let b = sum(node.inputs[1], &matcher, depth: depth + 1) else { return nil }
        switch node.definition.code {
        case .add: return (add(a.plain, b.plain, 1), add(a.withCurve, b.withCurve, 1))
        case .sub: return (add(a.plain, b.plain, -1), add(a.withCurve, b.withCurve, -1))
        case .mul: return product(a, b)
        case .div:
            guard b.withCurve.isEmpty, b.plain.count == 1, b.plain[0] != 0 else { return nil }
            return (a.plain.map { $0 / b.plain[0] }, a.withCurve.map { $0 / b.plain[0] })
        case .pow:
            if b.withCurve.isEmpty, b.plain == [2] { return product(a, a) }
            guard b.withCurve.isEmpty, b.plain == [3], let square = product(a, a) else { return nil }
            return product(square, a)
        default: return nil
        }
    }

    private func product(
        _ a: (plain: Polynomial, withCurve: Polynomial), _ b: (plain: Polynomial, withCurve: Polynomial)
    ) -> (plain: Polynomial, withCurve: Polynomial)? {
        guard a.withCurve.isEmpty || b.withCurve.isEmpty, a.plain.count + b.plain.count <= Self.mostDegree + 2 else {
            return nil
        }
        return (
            multiply(a.plain, b.plain), add(multiply(a.plain, b.withCurve), multiply(a.withCurve, b.plain), 1)
        )
    }

    private func add(_ a: Polynomial, _ b: Polynomial, _ sign: Float) -> Polynomial {
        (0..<max(a.count, b.count)).map { ($0 < a.count ? a[$0] : 0) + ($0 < b.count ? sign * b[$0] : 0) }
    }

    private func multiply(_ a: Polynomial, _ b: Polynomial) -> Polynomial {
        if a.isEmpty || b.isEmpty { return [] }
        var result = Polynomial(repeating: 0, count: a.count + b.count - 1)
        for i in a.indices { for j in b.indices { result[i + j] += a[i] * b[j] } }
        return result
    }
}

extension [Float] {
    /// Within rounding of published coefficients.
    fileprivate func isCloseTo(_ other: [Float]) -> Bool {
        (0..<Swift.max(count, other.count)).allSatisfy {
            abs(($0 < count ? self[$0] : 0) - ($0 < other.count ? other[$0] : 0)) < 1e-4
        }
    }
}
