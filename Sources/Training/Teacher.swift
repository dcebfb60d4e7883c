import Model
import Quantization
import Runtime

/// The model as it was before training, which says what distillation wants to hear. One thread at a time.
final class Teacher {
    private let session: GraphSession

    private init(_ session: GraphSession) { self.session = session }

    static func make(
        _ model: Model, _ losses: [LossTerm], _ options: TrainerOptions, samples: Int
    ) throws(Failure) -> Teacher {
        // The same losses look at the same tensors; what they compute is nobody's concern.
        let graph = try TrainingGraph(
            model, batchSize: samples, losses: losses, tensors: .init(), for: .evaluation)
        return Teacher(try GraphSession.make(graph, threadCount: options.threadCount))
    }

    /// Runs the teacher on a part of a batch and hands what it says to `student`.
    func teach(_ batch: Batch, _ part: Int, _ student: GraphSession) throws(Failure) {
        try session.load(inputs: batch, part: part)
        try session.invoke()
        for (index, format) in student.graph.labels.enumerated() {
            if case .teacher = format.meaning { student.teach(index, try session.output(1 + index)) }
        }
    }
}
