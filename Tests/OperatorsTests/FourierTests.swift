import Foundation
import Model
import Testing

@testable import Operators

/// RFFT2D against the sum that it is.
@Suite struct FourierTests {
    /// Single points, lengths of an even and an odd power of two, more lines than a vector has, inputs that are shorter
    /// or longer than the transform, by whole rows too.
    @Test(arguments: [
        (1, 1, 5, 1, 1), (3, 1, 2, 1, 2), (11, 1, 7, 1, 8), (9, 2, 40, 1, 16), (17, 1, 30, 1, 32), (2, 3, 9, 4, 8),
        (1, 20, 33, 16, 32), (2, 5, 1, 2, 1), (1, 9, 3, 32, 4), (0, 1, 8, 1, 8), (2, 0, 8, 1, 8),
    ])
    func halfSpectra(images: Int, inputRows: Int, inputColumns: Int, rows: Int, columns: Int) throws {
        let count = images * inputRows * inputColumns
        let x = (0..<count).map { Float(($0 * 7919) % 101) / 50 - 1 }
        let bins = columns / 2 + 1
        for threads in [1, 3] {
            let y = try MovementCase(definition: Rfft2D.definition, threads: threads).output(
                [tensor(x, [images, inputRows, inputColumns], .float32), indices([rows, columns])],
                like: TensorInfo(type: .complex64, shape: []))
            #expect(y.shape == [images, rows, bins])
            let result = try #require(y.constant?.array(of: Float.self))
            for c in coordinates([images, rows, bins]) {
                var (real, imaginary) = (0.0, 0.0)
                for i in 0..<min(rows, inputRows) {
                    for j in 0..<min(columns, inputColumns) {
                        let turns = Double(c[1] * i) / Double(rows) + Double(c[2] * j) / Double(columns)
                        let angle = -2 * Double.pi * turns
                        let value = Double(x[(c[0] * inputRows + i) * inputColumns + j])
                        real += value * cos(angle)
                        imaginary += value * sin(angle)
                    }
                }
                let at = 2 * place(c, [images, rows, bins])
                #expect(abs(Double(result[at]) - real) < 1e-4 && abs(Double(result[at + 1]) - imaginary) < 1e-4, "\(c)")
            }
        }
    }
}
