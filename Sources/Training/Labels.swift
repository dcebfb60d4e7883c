import Model
import Operators
import Runtime

extension LabelFormat {
    /// Labels that come with each batch.
    var isCallers: Bool {
        switch meaning {
        case .classes, .values, .sequences: true
        case .teacher, .gradient: false
        }
    }

    /// Throws `EO_OUT_OF_RANGE` for a class that is not there.
    func check(_ data: Bytes, samples: Int, loss: Int) throws(Failure) {
        let limit: Int
        let allowsNone: Bool
        switch meaning {
        case .classes(let count): (limit, allowsNone) = (count, false)
        case .sequences(let count): (limit, allowsNone) = (count, true)
        case .values, .teacher, .gradient: return
        }
        let labels = data.array(of: Int32.self)
        for (index, label) in labels.enumerated() where Int(label) >= limit || (label < 0 && !allowsNone) {
            throw .outOfRange(
                "labels of loss \(loss): sample \(index / max(1, labels.count / samples)) has class \(Int(label)), there"
                    + " are \(limit)")
        }
    }
}

/// Counts right answers.
struct Answers {
    private let accuracy: LossDefinition.Accuracy
    private let format: LabelFormat

    init(_ accuracy: LossDefinition.Accuracy, _ format: LabelFormat) {
        self.accuracy = accuracy
        self.format = format
    }

    func count(
        _ predictions: LiveTensor, labels: LiveTensor, samples: Int, _ result: inout BatchResult
    ) throws(Failure) {
        guard let values = unsafe predictions.data, let answers = unsafe labels.data,
            let batch = predictions.info.shape.first, batch > 0
        else { return }
        let count = predictions.byteCount / 4 / batch * samples
        let outputs = unsafe Span<Float>(_unsafeStart: values.assumingMemoryBound(to: Float.self), count: count)
        switch accuracy {
        case .none: return
        case .sign:
            let wanted = unsafe Span<Float>(_unsafeStart: answers.assumingMemoryBound(to: Float.self), count: count)
            for index in 0..<count where (outputs[index] > 0) == (wanted[index] > 0.5) { result.correct += 1 }
            result.counted += count
        case .argmax:
            let classes = predictions.info.shape.last ?? 1
            let rows = count / max(1, classes)
            for row in 0..<rows {
                let answer: Int
                if case .classes = format.meaning {
                    answer = Int(unsafe answers.assumingMemoryBound(to: Int32.self)[row])
                } else {
                    let wanted = unsafe Span<Float>(
                        _unsafeStart: answers.assumingMemoryBound(to: Float.self), count: count)
                    answer = largest(wanted, row, classes)
                }
                if largest(outputs, row, classes) == answer { result.correct += 1 }
            }
            result.counted += rows
        }
    }

    private func largest(_ values: Span<Float>, _ row: Int, _ classes: Int) -> Int {
        var best = 0
        for place in 1..<max(1, classes) where values[row * classes + place] > values[row * classes + best] {
            best = place
        }
        return best
    }
}
