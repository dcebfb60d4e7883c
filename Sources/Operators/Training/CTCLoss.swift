import Kernels
import Model

/// The internal operator of connectionist temporal classification (Graves et al., 2006, section 4). Inputs: logarithms
/// of probabilities [samples, time, classes], the last class the blank; labels [samples, length], int32, a row ends at
/// its first negative number. Outputs: the loss of each sample, and its derivative by the logarithms:
/// -sum of the posterior probabilities of the states that emit the class.
enum CTCLoss {
    static let name = "edgeopt.ctc_loss"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { op throws(Failure) in
            let (x, labels) = (try op.input(0), try op.input(1))
            guard x.rank == 3, x.shape[2] > 1, labels.rank == 2, labels.shape[0] == x.shape[0] else {
                throw op.invalid("\(x.described) and \(labels.described) do not go together")
            }
            return [[x.shape[0]], x.shape]
        } prepare: { op throws(Failure) in
            let (x, labels) = (try op.input(0), try op.input(1))
            guard x.type == .float32, labels.type == .int32 else { throw op.unsupportedTypes() }
            let states = 2 * labels.shape[1] + 1
            let (steps, classes) = (x.shape[1], x.shape[2])
            let (bytes, overflow) = states.multipliedReportingOverflow(by: (steps + 2) * MemoryLayout<Double>.size)
            guard !overflow, bytes < 1 << 40 else { throw op.unsupported("its working memory would be too large") }
            let work = op.scratch(bytes: bytes)
            let (samples, width, name) = (x.shape[0], labels.shape[1], op.name)
            return { io throws(Failure) in
                let x = io.input(0, as: Float.self)
                let labels = io.input(1, as: Int32.self)
                var losses = io.output(0, as: Float.self)
                var gradient = io.output(1, as: Float.self)
                var work = io.scratch(work, as: Double.self)
                for sample in 0..<samples {
                    let lattice = Lattice(
                        steps: steps, classes: classes, start: sample * steps * classes,
                        labels: labels.extracting(sample * width..<(sample + 1) * width))
                    for label in 0..<lattice.length {
                        guard lattice.labels[label] < classes - 1 else {
                            throw .execution(
                                "\(name): sample \(sample) has label \(Int(lattice.labels[label])) of \(classes - 1)")
                        }
                    }
                    losses[sample] = Float(lattice.loss(x, &gradient, &work))
                    guard losses[sample].isFinite || x.count == 0 || x[lattice.start].isNaN else {
                        throw .execution(
                            "\(name): sample \(sample) has \(lattice.length) labels, which cannot be told apart in"
                                + " \(steps) time steps")
                    }
                }
            }
        }.gradient { g throws(Failure) in
            [try g.outputs[1] * g.dy.reshape([g.dy.count, 1, 1])]
        }
    }

    /// The states of one sample: its labels with blanks around them, at each time step.
    private struct Lattice: ~Escapable {
        let steps, classes: Int
        /// Place of the sample's first number.
        let start: Int
        let labels: Span<Int32>
        let length: Int

        @_lifetime(copy labels)
        init(steps: Int, classes: Int, start: Int, labels: Span<Int32>) {
            (self.steps, self.classes, self.start) = (steps, classes, start)
            self.labels = labels
            var length = 0
            while length < labels.count, labels[length] >= 0 { length += 1 }
            self.length = length
        }

        private var states: Int { 2 * length + 1 }
        private func symbol(_ state: Int) -> Int { state % 2 == 0 ? classes - 1 : Int(labels[state / 2]) }
        /// The blank before a state may be left out unless the labels around it are the same.
        private func skips(to state: Int) -> Bool { state % 2 == 1 && state > 1 && symbol(state) != symbol(state - 2) }

        /// The loss; the derivative goes into the sample's part of `gradient`. `work` holds the logarithms of the forward
        /// variables of all steps, and two rows of backward variables. All are NaN or infinite if a probability is.
        func loss(_ x: Span<Float>, _ gradient: inout MutableSpan<Float>, _ work: inout MutableSpan<Double>) -> Double {
            let count = states
            for i in 0..<steps * classes { gradient[start + i] = 0 }
            guard steps > 0 else { return 0 }
            forward(x, &work)
            let last = (steps - 1) * count
            let total = logSum(work[last + count - 1], count > 1 ? work[last + count - 2] : -.infinity)
            guard total.isFinite else { return -total }
            // backward[s]: logarithm of the probability of everything after the present step, from state s.
            var (now, next) = (steps * count, (steps + 1) * count)
            for state in 0..<count { work[now + state] = state + 2 >= count ? 0 : -.infinity }
            for step in (0..<steps).reversed() {
                let row = start + step * classes
                for state in 0..<count {
                    let posterior = Real.exp(work[step * count + state] + work[now + state] - total)
                    gradient[row + symbol(state)] -= Float(posterior)
                }
                guard step > 0 else { break }
                for state in 0..<count {
                    var sum = work[now + state] + Double(x[row + symbol(state)])
                    if state + 1 < count {
                        sum = logSum(sum, work[now + state + 1] + Double(x[row + symbol(state + 1)]))
                    }
                    if state + 2 < count, skips(to: state + 2) {
                        sum = logSum(sum, work[now + state + 2] + Double(x[row + symbol(state + 2)]))
                    }
                    work[next + state] = sum
                }
                swap(&now, &next)
            }
            return -total
        }

        private func forward(_ x: Span<Float>, _ work: inout MutableSpan<Double>) {
            let count = states
            for state in 0..<count { work[state] = state < 2 ? Double(x[start + symbol(state)]) : -.infinity }
            for step in 1..<max(1, steps) {
                let (row, before) = (start + step * classes, (step - 1) * count)
                for state in 0..<count {
                    var sum = work[before + state]
                    if state > 0 { sum = logSum(sum, work[before + state - 1]) }
                    if skips(to: state) { sum = logSum(sum, work[before + state - 2]) }
                    work[step * count + state] = sum + Double(x[row + symbol(state)])
                }
            }
        }

        private func logSum(_ a: Double, _ b: Double) -> Double {
            let (low, high) = a < b ? (a, b) : (b, a)
            return low == -.infinity ? high : high + Real.log1p(Real.exp(low - high))
        }
    }
}
