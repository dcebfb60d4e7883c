import Kernels
import Model
import Operators
import Testing

@testable import Training

/// Each loss alone: the value against its formula in double precision, the derivative against differences. The network
/// is y = w x for each of the elements of x = 1, so that a step of SGD with rate 1 shows the derivative by y.
@Suite struct LossTests {
    private struct Net {
        let trainer: Trainer

        init(_ shape: [Int], _ w: [Float], _ term: LossTerm) throws {
            var model = Model()
            model.subgraphs = [Subgraph()]
            model.operatorCodes = [OperatorCode(.mul)]
            model.buffers.append(Buffer(try Bytes(copying: w)))
            model.subgraphs[0].tensors = [
                Tensor(name: "x", type: .float32, shape: shape),
                Tensor(name: "w", type: .float32, shape: shape, buffer: 1),
                Tensor(name: "y", type: .float32, shape: shape),
            ]
            model.subgraphs[0].operators = [
                Operator(opcode: 0, inputs: [0, 1], outputs: [2], options: Options(.mul))
            ]
            (model.subgraphs[0].inputs, model.subgraphs[0].outputs) = ([0], [2])
            var options = TrainerOptions()
            options.batchSize = shape[0]
            options.optimizer.kind = .sgd
            options.schedule.rate = 1
            options.losses = [term]
            // Arithmetic with the input is taken for preprocessing, so the source names its parameter itself.
            var source = TrainingSource(model)
            source.states = [Learned()]
            trainer = try Trainer.make(source, options)
        }

        final class Learned: TrainingState {
            let states: [Int] = []
            let learned = [1]
            let observed: [Int] = []
            func update(_ values: borrowing StateValues, step: Int) {}
        }
    }

    private func batch(_ shape: [Int], _ labels: Bytes) throws -> Batch {
        let ones = [Float](repeating: 1, count: shape.reduce(1, *))
        return Batch(sampleCount: shape[0], inputs: [try Bytes(copying: ones)], labels: [labels])
    }

    private func check(
        _ kind: LossKind, _ shape: [Int], _ w: [Float], _ labels: Bytes, _ expected: ([Double]) -> Double,
        _ change: (inout LossTerm) -> Void = { _ in }
    ) throws {
        var term = LossTerm()
        term.kind = kind
        change(&term)
        let net = try Net(shape, w, term)
        let loss = try net.trainer.step(batch(shape, labels)).loss
        let exact = w.map { Double($0) }
        #expect(abs(Double(loss) - expected(exact)) < 1e-5 * max(1, abs(expected(exact))))
        let after = try net.trainer.parameter(0).memory.values
        for index in w.indices {
            var (low, high) = (exact, exact)
            low[index] -= 1e-5
            high[index] += 1e-5
            let slope = (expected(high) - expected(low)) / 2e-5
            #expect(abs(Double(w[index] - after[index]) - slope) < 1e-4, "element \(index)")
        }
    }

    private let w: [Float] = [0.5, -1.2, 2, 0.1, 1.5, -0.3]
    private let targets: [Float] = [0.2, 0.5, 0.3, 0.9, 0, 0.1]

    private func logSoftmax(_ x: ArraySlice<Double>) -> [Double] {
        let sum = x.reduce(0) { $0 + Real.exp($1) }
        return x.map { $0 - Real.log1p(sum - 1) }
    }

    private func crossEntropy(_ x: [Double], _ labels: [Double]) -> Double {
        let rows = [logSoftmax(x[0..<3]), logSoftmax(x[3..<6])].flatMap { $0 }
        return -zip(rows, labels).reduce(0) { $0 + $1.0 * $1.1 } / 2
    }

    @Test(arguments: [Float(0), 0.1]) func sparse(_ smoothing: Float) throws {
        let rest = Double(smoothing) / 3
        var spread = [Double](repeating: rest, count: 6)
        spread[2] += 1 - Double(smoothing)
        spread[3] += 1 - Double(smoothing)
        let indices = try Bytes(copying: [Int32(2), 0])
        try check(.sparseCategoricalCrossEntropy, [2, 3], w, indices, { crossEntropy($0, spread) }) {
            $0.labelSmoothing = smoothing
        }
    }

    @Test func dense() throws {
        let labels = try Bytes(copying: targets)
        let spread = targets.map { Double($0) * 0.9 + 0.1 / 3 }
        try check(.categoricalCrossEntropy, [2, 3], w, labels, { crossEntropy($0, spread) }) { $0.labelSmoothing = 0.1 }
    }

    @Test func binary() throws {
        let labels = try Bytes(copying: targets)
        try check(
            .binaryCrossEntropy, [2, 3], w, labels,
            { x in
                zip(x, targets).reduce(0) { $0 + Real.log1p(Real.exp($1.0)) - $1.0 * Double($1.1) } / 6
            })
    }

    /// Where |x| is large, and at 0.
    @Test func binaryAtTheEnds() throws {
        let values: [Float] = [60, -60, 0, 20, -20, 0]
        let labels = try Bytes(copying: [Float(1), 0, 1, 0, 1, 0.5])
        try check(
            .binaryCrossEntropy, [2, 3], values, labels,
            { x in
                zip(x, [1.0, 0, 1, 0, 1, 0.5]).map { (score: Double, target: Double) -> Double in
                    let softplus = max(score, 0) + Real.log1p(Real.exp(-score.magnitude))
                    return softplus - score * target
                }.reduce(0, +) / 6
            })
    }

    @Test func regression() throws {
        let labels = try Bytes(copying: targets)
        let errors = { (x: [Double]) in zip(x, self.targets).map { $0 - Double($1) } }
        try check(.meanSquaredError, [2, 3], w, labels, { errors($0).reduce(0) { $0 + $1 * $1 } / 6 })
        try check(.meanAbsoluteError, [2, 3], w, labels, { errors($0).map { $0.magnitude }.reduce(0, +) / 6 })
        try check(
            .huber, [2, 3], w, labels,
            {
                errors($0).map { (error: Double) -> Double in
                    error.magnitude <= 0.7 ? error * error / 2 : 0.7 * (error.magnitude - 0.35)
                }.reduce(0, +) / 6
            }
        ) { $0.delta = 0.7 }
    }

    @Test func cosine() throws {
        let labels = try Bytes(copying: targets)
        try check(
            .cosineSimilarity, [2, 3], w, labels,
            { x in
                var sum = 0.0
                for row in 0..<2 {
                    let a = x[row * 3..<row * 3 + 3]
                    let b = targets[row * 3..<row * 3 + 3].map { Double($0) }
                    let product = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
                    let lengths = a.reduce(0) { $0 + $1 * $1 } * b.reduce(0) { $0 + $1 * $1 }
                    sum -= product / lengths.squareRoot()
                }
                return sum / 2
            })
    }

    /// Against the sum over all alignments, one by one.
    @Test func ctc() throws {
        let (steps, classes) = (4, 3)
        let w: [Float] = (0..<2 * steps * classes).map { Float($0 * 7 % 11) / 5 - 1 }
        let sequences: [[Int]] = [[0, 0], [1]]
        func probability(_ x: ArraySlice<Double>, _ labels: [Int]) -> Double {
            let x = Array(x)
            let rows = (0..<steps).flatMap { logSoftmax(x[$0 * classes..<($0 + 1) * classes]) }
            var sum = 0.0
            for path in 0..<81 {
                var (rest, before, spelled, logarithm) = (path, -1, [Int](), 0.0)
                for step in 0..<steps {
                    let symbol = rest % classes
                    rest /= classes
                    logarithm += rows[step * classes + symbol]
                    if symbol != before && symbol != classes - 1 { spelled.append(symbol) }
                    before = symbol
                }
                if spelled == labels { sum += Real.exp(logarithm) }
            }
            return sum
        }
        let labels = try Bytes(copying: [Int32(0), 0, -1, 1, -1, -1])
        try check(
            .ctc, [2, steps, classes], w, labels,
            { x in
                let half = steps * classes
                return -(0..<2).reduce(0) {
                    $0 + naturalLogarithm(probability(x[$1 * half..<($1 + 1) * half], sequences[$1]))
                } / 2
            }
        ) { $0.maximumLabels = 3 }
    }

    private func naturalLogarithm(_ x: Double) -> Double { Real.log1p(x - 1) }

    @Test func ctcWithTooManyLabels() throws {
        var term = LossTerm()
        term.kind = .ctc
        term.maximumLabels = 3
        let net = try Net([1, 2, 3], [0, 0, 0, 0, 0, 0], term)
        let labels = try Bytes(copying: [Int32(0), 0, 1])
        #expect(throws: Failure.self) { try net.trainer.step(batch([1, 2, 3], labels)) }
    }

    @Test func termsAreWeighted() throws {
        var (first, second) = (LossTerm(), LossTerm())
        (first.kind, first.weight) = (.meanSquaredError, 2)
        (second.kind, second.weight) = (.meanAbsoluteError, 0.5)
        var model = try Digits.model()
        model.origin = "digits"
        func loss(_ terms: [LossTerm]) throws -> Float {
            var options = TrainerOptions()
            options.batchSize = 4
            options.losses = terms
            let labels = try Bytes(copying: [Float](repeating: 0.1, count: 40))
            let batch = Batch(
                sampleCount: 4, inputs: try Digits.batch(4).inputs, labels: terms.map { _ in labels })
            return try Trainer.make(model, options).evaluate(batch).loss
        }
        #expect(abs(try loss([first, second]) - loss([first]) - loss([second])) < 1e-5)
    }
}
