import CKernels
import Kernels
import Model
import Testing

@testable import Training

/// The kernels against the formulas in double precision, and against their scalar twins bit for bit.
@Suite struct OptimizerTests {
    private static let kinds: [OptimizerKind] = [.sgd, .adam, .adamW, .rmsprop]

    private func random(_ count: Int, _ seed: UInt64) -> [Float] {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        return (0..<count).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Float(state >> 40) / Float(1 << 23) - 1
        }
    }

    /// Keras's update of one parameter.
    private func expected(
        _ settings: OptimizerSettings, _ w: inout Double, _ g: Double, _ m: inout Double, _ v: inout Double, step: Int,
        rate: Double
    ) {
        let (momentum, beta1) = (Double(settings.momentum), Double(settings.beta1))
        let (beta2, epsilon) = (Double(settings.decayOfSquares), Double(settings.epsilon))
        switch settings.kind {
        case .sgd:
            if momentum == 0 {
                w -= rate * g
            } else {
                m = momentum * m - rate * g
                w += settings.isNesterov ? momentum * m - rate * g : m
            }
        case .adam, .adamW:
            let corrected =
                rate * (1 - Real.pow(beta2, Double(step))).squareRoot() / (1 - Real.pow(beta1, Double(step)))
            m += (g - m) * (1 - beta1)
            v += (g * g - v) * (1 - beta2)
            w -= m * corrected / (v.squareRoot() + epsilon)
        case .rmsprop:
            v = beta2 * v + (1 - beta2) * g * g
            let increment = rate * g / (v + epsilon).squareRoot()
            m = momentum * m + increment
            w -= m
        }
    }

    @Test(arguments: kinds, [(0, false), (0.9, false), (0.9, true)] as [(Float, Bool)])
    func followsTheFormula(_ kind: OptimizerKind, _ momentum: (Float, Bool)) throws {
        var settings = OptimizerSettings()
        settings.kind = kind
        (settings.momentum, settings.isNesterov) = momentum
        let definition = settings.definition
        let count = 5003
        var w = random(count, 1)
        var m = [Float](repeating: 0, count: definition.keepsFirst(settings) ? count : 0)
        var v = [Float](repeating: 0, count: definition.keepsSecond ? count : 0)
        var exact = w.map { Double($0) }
        var (exactM, exactV) = ([Double](repeating: 0, count: count), [Double](repeating: 0, count: count))
        let pool = try ThreadPool(threads: 2)
        for step in 1...5 {
            let g = random(count, UInt64(step + 10))
            let update = definition.update(settings, 0.01, step)
            var wSpan = w.mutableSpan
            var mSpan = m.mutableSpan
            var vSpan = v.mutableSpan
            update.apply(to: &wSpan, gradient: g.span, m: &mSpan, v: &vSpan, pool: pool)
            for i in 0..<count {
                expected(settings, &exact[i], Double(g[i]), &exactM[i], &exactV[i], step: step, rate: 0.01)
            }
        }
        let worst = zip(w, exact).map { abs(Double($0) - $1) }.max() ?? .infinity
        #expect(worst < 2e-6)
    }

    /// The momentum of Adam is not used.
    @Test func defaultsAreThoseOfKeras() {
        var settings = OptimizerSettings()
        #expect(settings.kind == .adam && settings.beta1 == 0.9 && settings.decayOfSquares == 0.999)
        #expect(settings.epsilon == 1e-7 && settings.decay == 0)
        settings.kind = .adamW
        #expect(settings.decay == 0.004)
        settings.kind = .rmsprop
        #expect(settings.decayOfSquares == 0.9)
    }

    @Test(arguments: [1, 7, 8, 31, 4096, 4100]) func instructionSetsGiveTheSameBits(_ count: Int) {
        var number: Int32 = 0
        let rows = eo_optimizers_rows(&number)
        var params = eo_optimizer_params(rate: 0.01, momentum: 0.9, beta1: 0.9, beta2: 0.99, epsilon: 1e-7)
        let kernels: [(UnsafePointer<eo_optimizers>) -> eo_step] = [
            { $0.pointee.sgd }, { $0.pointee.momentum }, { $0.pointee.nesterov }, { $0.pointee.adam },
            { $0.pointee.rmsprop },
        ]
        for kernel in kernels {
            var first: [[Float]]?
            for row in 0..<Int(number) where kernels_isa_available(rows[row].pointee.isa) {
                var (w, g, m, v) = (
                    random(count, 1), random(count, 2), random(count, 3), random(count, 4).map { abs($0) }
                )
                kernel(rows[row])(count, &w, &g, &m, &v, &params)
                if let first { #expect(first == [w, m, v]) }
                first = [w, m, v]
            }
        }
    }

    private typealias eo_step =
        @convention(c) (
            Int, UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>?,
            UnsafeMutablePointer<Float>?, UnsafePointer<eo_optimizer_params>
        ) -> Void

    @Test(
        arguments: [
            { (s: inout OptimizerSettings) in s.momentum = 1 }, { s in s.beta1 = -0.1 }, { s in s.beta2 = .nan },
            { s in s.epsilon = 0 }, { s in s.weightDecay = -1 }, { s in s.averaging = 1 },
            { s in
                s.clipNorm = 1
                s.clipValue = 1
            },
        ] as [@Sendable (inout OptimizerSettings) -> Void])
    func refusesNumbersThatAreNone(_ spoil: @Sendable (inout OptimizerSettings) -> Void) {
        var settings = OptimizerSettings()
        spoil(&settings)
        #expect(throws: Failure.self) { try settings.validate() }
    }
}
