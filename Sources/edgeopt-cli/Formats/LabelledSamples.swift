/// What to learn from, or to measure with.
struct LabelledSamples {
    let samples: Samples
    /// nil: no labels are needed.
    let answers: Labels?
    private let inputs: [Tensor]
    /// Which of them, in the order they have without shuffling.
    var chosen: [Int]

    /// `data` and `labels` as `finetune` describes them.
    init(
        _ data: [String], labels: String?, needsLabels: Bool, for inputs: [Tensor], images: ImagePreprocessing
    ) throws {
        self.inputs = inputs
        if labels == nil, needsLabels, data.count == 1, isFolder(data[0]) {
            let classes = try files(in: data[0], endingWith: [""]).filter(isFolder)
            let pictures = try classes.map { try files(in: $0, endingWith: [".jpg", ".jpeg", ".png"]) }
            let numbers = pictures.enumerated().flatMap { number, list in list.map { _ in number } }
            samples = try Samples(pictures: pictures.flatMap { $0 }, for: inputs, images: images)
            answers = Labels(numbers)
        } else {
            samples = try Samples(data, for: inputs, images: images)
            answers = needsLabels ? try Labels(labels ?? data.first ?? "") : nil
        }
        if let answers, answers.count != samples.count {
            throw Failure("there are \(samples.count) samples and \(answers.count) labels")
        }
        chosen = Array(0..<samples.count)
    }

    var count: Int { chosen.count }

    /// Divides them at random: the last share is for validation.
    func divided(_ share: Double, seed: UInt64) throws -> (training: LabelledSamples, validation: LabelledSamples) {
        var random = SplitMix(seed, 1)
        let order = chosen.shuffled(using: &random)
        let held = Int((share * Double(count)).rounded())
        guard held > 0, held < count else {
            throw Failure("\(held) of \(count) samples would be left for validation, expected some but not all")
        }
        var parts = (training: self, validation: self)
        parts.training.chosen = order.dropLast(held).sorted()
        parts.validation.chosen = order.suffix(held).sorted()
        return parts
    }

    /// The bytes of a batch: of each input, and of each label tensor.
    func batch(
        _ indices: ArraySlice<Int>, labels: [Tensor],
        change: ([UInt8], Tensor, Int) throws -> [UInt8] = { bytes, _, _ in bytes }
    ) throws -> (inputs: [[UInt8]], labels: [[UInt8]]) {
        var blocks: [[UInt8]] = inputs.map { _ in [] }
        for index in indices {
            for (place, bytes) in try samples[index].enumerated() {
                blocks[place] += try change(bytes, inputs[place], index)
            }
        }
        let answers = try answers.map { answers in try labels.map { try answers.bytes(indices, as: $0) } } ?? []
        return (blocks, answers)
    }
}
