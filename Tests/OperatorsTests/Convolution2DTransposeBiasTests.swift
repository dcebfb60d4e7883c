import Kernels
import Model
import Testing

@testable import Operators

@Test func transposedConvolutionScattersEveryPixel() throws {
    for (padding, kernel, stride) in [(1, 2, 2), (1, 3, 2), (1, 3, 1), (2, 2, 2), (2, 3, 2), (2, 3, 1)] {
        let (height, width, depth, channels) = (3, 2, 2, 3)
        let x = (0..<height * width * depth).map { Float($0 % 5) - 2 }
        let w = (0..<channels * kernel * kernel * depth).map { Float($0 % 7) - 3 }
        let bias: [Float] = [10, 20, 30]
        let sizes = [height, width].map { padding == 1 ? $0 * stride : ($0 - 1) * stride + kernel }
        let before = padding == 1 ? max(0, (kernel - stride) / 2) : 0
        var expected = (0..<sizes[0] * sizes[1] * channels).map { bias[$0 % channels] }
        for c in coordinates([height, width, depth, kernel, kernel, channels]) {
            let (row, column) = (c[0] * stride + c[3] - before, c[1] * stride + c[4] - before)
            guard row >= 0, row < sizes[0], column >= 0, column < sizes[1] else { continue }
            let weight = w[place([c[5], c[3], c[4], c[2]], [channels, kernel, kernel, depth])]
            expected[(row * sizes[1] + column) * channels + c[5]] +=
                weight * x[place([c[0], c[1], c[2]], [height, width, depth])]
        }
        let evaluation = Evaluation(
            Convolution2DTransposeBias.definition,
            customOptions: try Bytes(copying: [Int32(padding), Int32(stride), Int32(stride)]),
            pool: try ThreadPool(threads: 1), weights: try PackedWeightCache())
        let y = try #require(
            try evaluation.checked(
                [
                    tensor(x, [1, height, width, depth], .float32),
                    tensor(w, [channels, kernel, kernel, depth], .float32), tensor(bias, [channels], .float32),
                ], outputs: [TensorInfo(type: .float32, shape: [])]))
        #expect(y[0].shape == [1, sizes[0], sizes[1], channels])
        #expect(
            y[0].constant?.array(of: Float.self) == expected, "padding \(padding), kernel \(kernel), stride \(stride)")
    }
}
