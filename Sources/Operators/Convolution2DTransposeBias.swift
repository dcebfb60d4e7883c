import Kernels
import Model

/// The custom operator Convolution2DTransposeBias: a transposed convolution whose output size follows from the stride.
/// Inputs are images, filter (OHWI) and bias; the options are three little-endian int32: padding (1 SAME, 2 VALID),
/// stride along the width, stride along the height.
enum Convolution2DTransposeBias {
    static let name = "Convolution2DTransposeBias"

    static var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: name, maxVersion: 1) { op throws(Failure) in
            let shape = try geometry(op)
            return [[shape.batch, shape.outputHeight, shape.outputWidth, shape.outputChannels]]
        } prepare: { op throws(Failure) in
            guard try op.input(0).type == .float32 else { throw op.unsupportedTypes() }
            return try LinearLayer(
                op, Windows(geometry(op.inference), .transposed), roles: .init(input: 0, filter: 1, bias: 2),
                activation: .none
            ).kernel()
        }.gradient { g throws(Failure) in
            guard let given = g.customOptions?.array(of: Int32.self), given.count >= 3 else { return [] }
            let convolution = Options(
                .conv2D, [.int(given[0] == 1 ? 0 : 1), .int(Int64(given[1])), .int(Int64(given[2]))])
            let (dx, dw) = try TransposeConv.gradients(g.x, g.b, g.dy, convolution)
            return [dx, dw, try g.dy]
        }
    }

    private static func geometry(_ op: ShapeInference) throws(Failure) -> ConvolutionShape {
        let (input, filter) = (try op.input(0), try op.input(1))
        guard let options = op.customOptions?.array(of: Int32.self), options.count >= 3, (1...2).contains(options[0]),
            (1...1024).contains(options[1]), (1...1024).contains(options[2])
        else { throw op.invalid("its options are not padding and strides") }
        guard input.rank == 4, filter.rank == 4, input.shape[3] == filter.shape[3], !input.shape.contains(0),
            !filter.shape.contains(0)
        else { throw op.invalid("\(input.described) and \(filter.described) do not go together") }
        let isSame = options[0] == 1
        let rows = extent(input.shape[1], filter.shape[1], Int(options[2]), isSame)
        let columns = extent(input.shape[2], filter.shape[2], Int(options[1]), isSame)
        _ = try op.checked([input.shape[0], rows.size, columns.size, filter.shape[0]])
        var shape = ConvolutionShape()
        shape.batch = input.shape[0]
        (shape.inputHeight, shape.inputWidth, shape.inputChannels) = (input.shape[1], input.shape[2], input.shape[3])
        (shape.outputHeight, shape.outputWidth, shape.outputChannels) = (rows.size, columns.size, filter.shape[0])
        (shape.kernelHeight, shape.kernelWidth) = (filter.shape[1], filter.shape[2])
        (shape.strideHeight, shape.strideWidth) = (Int(options[2]), Int(options[1]))
        (shape.paddingTop, shape.paddingLeft) = (rows.before, columns.before)
        return shape
    }

    private static func extent(_ input: Int, _ kernel: Int, _ stride: Int, _ isSame: Bool) -> (size: Int, before: Int) {
        let full = (input &- 1) &* stride &+ kernel
        let size = isSame ? input &* stride : max(full, input &* stride)
        return (size, isSame ? max(0, full &- size) / 2 : 0)
    }
}
