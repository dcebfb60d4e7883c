import ArgumentParser

/// Random changes of float samples while training. Samples are rows, columns and channels, or time and frequencies.
struct Augmentation: ParsableArguments {
    @Option(help: "Move pictures by up to so many pixels each way; what comes in from outside is 0.") var shift = 0
    @Flag(help: "Mirror half of the pictures left to right.") var flip = false
    @Option(help: "Add normal noise of this standard deviation.") var noise = 0.0
    @Option(help: "Set up to so many neighbouring rows (time steps) to 0.") var maskTime = 0
    @Option(help: "Set up to so many neighbouring columns (frequencies) to 0.") var maskFrequency = 0

    func validate() throws {
        guard shift >= 0, noise >= 0, noise.isFinite, maskTime >= 0, maskFrequency >= 0 else {
            throw ValidationError("augmentation takes numbers from 0")
        }
    }

    var isOn: Bool { shift > 0 || flip || noise > 0 || maskTime > 0 || maskFrequency > 0 }

    /// The bytes of a sample of `input`, changed; those of other types than float32 stay.
    func applied(to bytes: [UInt8], of input: Tensor, using random: inout SplitMix) throws -> [UInt8] {
        guard isOn, try elementType(of: input) == .float32 else { return bytes }
        let shape = Array(input.shape.dropFirst())
        var picture = Picture(
            height: shape.first ?? 1, width: shape.count > 1 ? shape[1] : 1, channels: shape.dropFirst(2).reduce(1, *),
            values: bytes.withUnsafeBytes { bytes in
                stride(from: 0, to: bytes.count, by: 4).map { bytes.loadUnaligned(fromByteOffset: $0, as: Float.self) }
            })
        if shift > 0 {
            picture.move(.random(in: -shift...shift, using: &random), .random(in: -shift...shift, using: &random))
        }
        if flip, Bool.random(using: &random) { picture.mirror() }
        if noise > 0 {
            for index in picture.values.indices { picture.values[index] += Float(noise * normal(using: &random)) }
        }
        let rows = Self.run(maskTime, of: picture.height, &random)
        let columns = Self.run(maskFrequency, of: picture.width, &random)
        picture.clear { rows.contains($0) || columns.contains($1) }
        return picture.values.withUnsafeBytes { Array($0) }
    }

    /// Up to `most` neighbours of `count` (Park et al., "SpecAugment", 2019).
    private static func run(_ most: Int, of count: Int, _ random: inout SplitMix) -> Range<Int> {
        guard most > 0 else { return 0..<0 }
        let length = Int.random(in: 0...min(most, count), using: &random)
        let start = Int.random(in: 0...(count - length), using: &random)
        return start..<start + length
    }
}

private struct Picture {
    let height, width, channels: Int
    var values: [Float]

    mutating func move(_ down: Int, _ right: Int) {
        values = made { row, column, channel in
            let (y, x) = (row - down, column - right)
            let isInside = y >= 0 && y < height && x >= 0 && x < width
            return isInside ? values[(y * width + x) * channels + channel] : 0
        }
    }

    mutating func mirror() {
        values = made { row, column, channel in values[(row * width + width - 1 - column) * channels + channel] }
    }

    mutating func clear(_ isCleared: (Int, Int) -> Bool) {
        values = made { row, column, channel in
            isCleared(row, column) ? 0 : values[(row * width + column) * channels + channel]
        }
    }

    private func made(_ value: (_ row: Int, _ column: Int, _ channel: Int) -> Float) -> [Float] {
        values.indices.map { value($0 / channels / width, $0 / channels % width, $0 % channels) }
    }
}
