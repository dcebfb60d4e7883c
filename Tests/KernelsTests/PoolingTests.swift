import Testing

@testable import Kernels

/// Pooling against its definition, over windows that reach across every border.
@Suite struct PoolingTests {
    static let shapes: [PoolShape] = {
        var shapes: [PoolShape] = []
        for (height, width, channels) in [(1, 1, 1), (4, 5, 3), (7, 7, 100), (12, 11, 70)] {
            for (filterHeight, filterWidth) in [(1, 1), (2, 2), (3, 2), (3, 3), (7, 7), (12, 11)] {
                for stride in 1...2 {
                    for padding in 0...1 {
                        var shape = PoolShape()
                        shape.batch = 2
                        (shape.inputHeight, shape.inputWidth, shape.channels) = (height, width, channels)
                        (shape.filterHeight, shape.filterWidth) = (filterHeight, filterWidth)
                        (shape.strideHeight, shape.strideWidth) = (stride, stride)
                        (shape.paddingTop, shape.paddingLeft) = (
                            padding * (filterHeight / 2), padding * (filterWidth / 2)
                        )
                        (shape.outputHeight, shape.outputWidth) = (height, (width + stride - 1) / stride)
                        shapes.append(shape)
                    }
                }
            }
        }
        return shapes
    }()

    /// The elements under each window, output by output.
    func windows(_ shape: PoolShape) -> [[Int]] {
        var windows: [[Int]] = []
        for image in 0..<shape.batch {
            for y in 0..<shape.outputHeight {
                for x in 0..<shape.outputWidth {
                    for channel in 0..<shape.channels {
                        var window: [Int] = []
                        for tapY in 0..<shape.filterHeight {
                            for tapX in 0..<shape.filterWidth {
                                let row = y * shape.strideHeight - shape.paddingTop + tapY
                                let column = x * shape.strideWidth - shape.paddingLeft + tapX
                                guard (0..<shape.inputHeight).contains(row), (0..<shape.inputWidth).contains(column)
                                else { continue }
                                window.append(
                                    ((image * shape.inputHeight + row) * shape.inputWidth + column) * shape.channels
                                        + channel)
                            }
                        }
                        windows.append(window)
                    }
                }
            }
        }
        return windows
    }

    @Test(arguments: shapes, [1, 2]) func poolsByDefinition(_ shape: PoolShape, _ threads: Int) throws {
        let pool = try ThreadPool(threads: threads)
        let windows = windows(shape)
        var random = SplitMix(UInt64(shape.inputCount))
        let x = (0..<shape.inputCount).map { _ in Int8(truncatingIfNeeded: random.next() >> 9) }
        let real = x.map { Float($0) / 8 }
        var bytes = [Int8](repeating: 77, count: windows.count)
        var floats = [Float](repeating: .nan, count: windows.count)
        var byteSpan = bytes.mutableSpan
        Pooling.maximum(shape, x.span, &byteSpan, clamp: (-100, 90), pool: pool)
        #expect(bytes == windows.map { window in min(90, window.reduce(-100) { max($0, x[$1]) }) })

        byteSpan = bytes.mutableSpan
        Pooling.average(shape, x.span, &byteSpan, clamp: (-100, 90), pool: pool)
        let means = windows.map { window in window.reduce(0.0) { $0 + Double(x[$1]) } / Double(max(1, window.count)) }
        #expect(bytes == means.map { Int8(min(90, max(-100, $0.rounded(.toNearestOrAwayFromZero)))) })

        var floatSpan = floats.mutableSpan
        Pooling.maximum(shape, real.span, &floatSpan, clamp: (-10, 10), pool: pool)
        #expect(floats == windows.map { window in min(10, window.reduce(-10) { max($0, real[$1]) }) })

        floatSpan = floats.mutableSpan
        Pooling.average(shape, real.span, &floatSpan, clamp: (-10, 10), pool: pool)
        #expect(zip(floats, means).allSatisfy { abs(Double($0) - min(10, max(-10, $1 / 8))) < 1e-5 })
    }
}
