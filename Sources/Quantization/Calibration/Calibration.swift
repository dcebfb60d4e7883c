import Model

/// The ranges of a graph's float32 tensors over the samples seen so far. Its size does not depend on their number.
package struct Calibration {
    package private(set) var sampleCount = 0
    /// For each tensor; nil until it has been seen.
    package private(set) var ranges: [ValueRange?]
    private let method: CalibrationMethod
    private let momentum: Float

    /// `momentum`: share of the old range that a moving average keeps.
    package init(tensorCount: Int, method: CalibrationMethod, momentum: Float) {
        ranges = [ValueRange?](repeating: nil, count: tensorCount)
        self.method = method
        self.momentum = momentum
    }

    /// Notes the ranges of one sample, all or none: a sample whose run failed must leave no trace.
    package mutating func add(_ sample: [ValueRange?]) {
        for index in sample.indices {
            guard let new = sample[index] else { continue }
            ranges[index] = ranges[index].map { joined($0, new) } ?? new
        }
        sampleCount += 1
    }

    private func joined(_ old: ValueRange, _ new: ValueRange) -> ValueRange {
        switch method {
        case .minMax: ValueRange(min(old.min, new.min), max(old.max, new.max))
        case .movingAverage:
            ValueRange(
                old.min * momentum + new.min * (1 - momentum), old.max * momentum + new.max * (1 - momentum))
        }
    }
}

extension ValueRange {
    /// The range of a tensor's values; nil if there is a NaN or an infinity.
    package init?(of values: Span<Float>) {
        var (least, most, wrong): (Float, Float, Float) = (0, 0, 0)
        for index in values.indices {
            let value = values[index]
            if value < least { least = value }
            if value > most { most = value }
            // 0 for finite numbers only.
            wrong += value - value
        }
        guard wrong == 0 else { return nil }
        self.init(least, most)
    }
}
