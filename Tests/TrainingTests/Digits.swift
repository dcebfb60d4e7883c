import Model
import Testing

@testable import Training

/// The network of the examples, 8x8 images to 10 classes, and numbers that look like its data.
struct Digits {
    static let path =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/") + "/"

    static func model() throws -> Model { try Model.open(path: path + "examples/digits/digits_float32.tflite") }

    static func noise(_ count: Int, seed: UInt32) -> [Float] {
        var state = seed &* 2_654_435_761 | 1
        return (0..<count).map { _ in
            state ^= state << 13
            state ^= state >> 17
            state ^= state << 5
            return Float(state >> 8) / Float(1 << 24)
        }
    }

    static func batch(_ samples: Int, seed: UInt32 = 1) throws -> Batch {
        let images = noise(samples * 64, seed: seed)
        // A rule that can be learnt: which column of the image is the brightest.
        let labels = (0..<samples).map { sample -> Int32 in
            let sums = (0..<8).map { column in (0..<8).reduce(Float(0)) { $0 + images[sample * 64 + $1 * 8 + column] } }
            return Int32(sums.indices.max { sums[$0] < sums[$1] } ?? 0)
        }
        return Batch(
            sampleCount: samples, inputs: [try Bytes(copying: images)], labels: [try Bytes(copying: labels)])
    }

    static func trainer(_ change: (inout TrainerOptions) -> Void = { _ in }) throws -> Trainer {
        var options = TrainerOptions()
        options.batchSize = 8
        change(&options)
        return try Trainer.make(try model(), options)
    }
}

extension Trainer {
    var weights: [[Float]] {
        get throws { try (0..<parameterCount).map { try parameter($0).memory.values } }
    }
}
