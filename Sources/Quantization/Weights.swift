import Kernels
import Model

/// Symmetric weights: real = scales[channel] * stored, stored in [-127, 127], with fewer than 8 bits in less.
struct QuantizedWeights {
    var values: [Int8]
    /// One for the tensor, or one for each channel.
    var scales: [Float]
    var channelDimension: Int

    var quantization: Quantization {
        scales.count == 1
            ? Quantization(scale: scales[0], zeroPoint: 0) : Quantization(scales: scales, dimension: channelDimension)
    }
}

/// True for weights that are clustered over the whole tensor and should have one scale for all channels: with one for
/// each the same value would be stored as another number in each, and the values would no longer be few. Centroids that
/// are multiples of the channels' own largest magnitudes are the other way round.
package func wantOneScale(_ weights: [Float], shape: [Int], channelDimension: Int) -> Bool {
    guard channelDimension < shape.count, areClustered(weights) else { return false }
    let perChannel = WeightLayout(shape: shape, channelDimension: channelDimension)
    return WeightLayout.perTensor.storedCount(weights) < perChannel.storedCount(weights)
}

/// Few values, each used often.
func areClustered(_ weights: [Float]) -> Bool {
    let limit = min(256, weights.count / 4)
    var values: [Float] = []
    for weight in weights {
        var (low, high) = (0, values.count)
        while low < high {
            let middle = (low + high) / 2
            if values[middle] < weight { low = middle + 1 } else { high = middle }
        }
        if low < values.count, values[low] == weight { continue }
        guard values.count < limit else { return false }
        values.insert(weight, at: low)
    }
    return true
}

/// The elements of a weight tensor, seen as [outer, channels, inner] around the channel dimension.
struct WeightLayout {
    let channels: Int
    let inner: Int

    /// One channel for the whole tensor.
    static let perTensor = WeightLayout(channels: 1, inner: Int.max)

    init(shape: [Int], channelDimension: Int) {
        channels = shape[channelDimension]
        inner = shape[(channelDimension + 1)...].reduce(1, *)
    }

    private init(channels: Int, inner: Int) {
        self.channels = channels
        self.inner = inner
    }

    func channel(of element: Int) -> Int { channels == 1 ? 0 : element / inner % channels }

    /// The largest magnitude in each channel; nil if a value is not finite.
    func largest(_ values: [Float]) -> [Float]? {
        var largest = [Float](repeating: 0, count: channels)
        for (index, value) in values.enumerated() {
            guard value.isFinite else { return nil }
            let channel = channel(of: index)
            largest[channel] = Swift.max(largest[channel], value.magnitude)
        }
        return largest
    }

    /// How many different numbers are stored for these weights.
    func storedCount(_ values: [Float]) -> Int {
        guard let largest = largest(values) else { return 256 }
        var isUsed = [Bool](repeating: false, count: 256)
        for number in quantize(values, scales: symmetricScales(largest: largest)) { isUsed[Int(number) + 128] = true }
        return isUsed.reduce(0) { $1 ? $0 + 1 : $0 }
    }

    /// The nearest of the numbers from -`steps` to `steps`.
    func quantize(_ values: [Float], scales: [Float], steps: Int = 127) -> [Int8] {
        var stored = [Int8](repeating: 0, count: values.count)
        let limit = Float(steps)
        for index in values.indices {
            let value = quantizationSteps(values[index], scale: scales[channel(of: index)])
            stored[index] = Int8(Swift.min(Swift.max(value, -limit), limit))
        }
        return stored
    }
}

/// The scales that let each channel's largest magnitude be `steps`.
func symmetricScales(largest: [Float], steps: Int = 127) -> [Float] {
    let widest = largest.max() ?? 0
    return largest.map { symmetricScale(largest: $0, widest: widest, steps: Float(steps)) }
}

/// Numbers of `bits` bits, several in a byte, the first in the lowest bits.
func packed(_ values: [Int8], bits: Int) -> [UInt8] {
    let perByte = 8 / bits
    var bytes = [UInt8](repeating: 0, count: (values.count + perByte - 1) / perByte)
    let mask = UInt8(truncatingIfNeeded: (1 << bits) - 1)
    for index in values.indices {
        let place = UInt8(truncatingIfNeeded: index % perByte * bits)
        bytes[index / perByte] |= (UInt8(bitPattern: values[index]) & mask) << place
    }
    return bytes
}
