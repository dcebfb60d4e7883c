import Model
import Testing

@testable import Quantization

@Suite struct CalibrationTests {
    private func ranges(_ method: CalibrationMethod, _ samples: [[ValueRange?]]) -> [ValueRange?] {
        var calibration = Calibration(tensorCount: samples[0].count, method: method, momentum: 0.75)
        for sample in samples { calibration.add(sample) }
        #expect(calibration.sampleCount == samples.count)
        return calibration.ranges
    }

    @Test func minMax() {
        let samples: [[ValueRange?]] = [
            [ValueRange(-1, 2), nil, nil], [ValueRange(-3, 1), ValueRange(0, 5), nil], [ValueRange(0, 4), nil, nil],
        ]
        #expect(ranges(.minMax, samples) == [ValueRange(-3, 4), ValueRange(0, 5), nil])
    }

    @Test func movingAverage() {
        let samples: [[ValueRange?]] = [[ValueRange(-1, 2)], [ValueRange(-3, 6)], [ValueRange(0, 1)]]
        // -1 -> -1 * 0.75 - 3 * 0.25 = -1.5 -> -1.125; 2 -> 3 -> 2.5
        #expect(ranges(.movingAverage, samples) == [ValueRange(-1.125, 2.5)])
    }
}
