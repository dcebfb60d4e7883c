import Model
import Testing

@testable import Quantization

@Suite struct FuseActivationsTests {
    static let activations: [(BuiltinOperator, FusedActivation)] = [
        (.relu, .relu), (.relu6, .relu6), (.reluN1To1, .reluN1To1),
    ]

    @Test(arguments: [BuiltinOperator.add, .sub, .mul, .div, .fullyConnected, .conv2D, .averagePool2D])
    func becomesAnOptionOfTheProducer(_ code: BuiltinOperator) throws {
        for (activation, fused) in Self.activations {
            var builder = GraphBuilder()
            let x = builder.input("x", [1, 4])
            let y = builder.op(code, [x, x], "y", [1, 4])
            let z = builder.op(activation, [y], "z", [1, 4])
            builder.output(z)
            var model = builder.model
            model.fuseActivations()
            #expect(model.names() == [code.name])
            #expect(model.subgraphs[0].operators[0].activation(code) == fused)
            #expect(model.subgraphs[0].operators[0].outputs == [z])
            #expect(model.subgraphs[0].operators[0].options.table == FusedActivation.place(in: code)?.table)
        }
    }

    @Test func transposeConvolutionGetsTheVersionThatHasActivations() throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 2, 2, 1])
        let size = try builder.integers("size", [1, 3, 3, 1])
        let weights = try builder.constant("w", [1, 2, 2, 1], noise(4))
        let y = builder.op(
            .transposeConv, [size, weights, x], "y", [1, 3, 3, 1], options: GraphBuilder.transposeConvolution)
        builder.output(builder.op(.relu, [y], "z", [1, 3, 3, 1]))
        var model = builder.model
        model.fuseActivations()
        #expect(model.names() == ["TRANSPOSE_CONV"])
        #expect(model.version(0) == 4)
    }

    enum Obstacle: CaseIterable { case readTwice, isOutput, hasActivation, cannot, input }

    @Test(arguments: Obstacle.allCases) func leavesAlone(_ obstacle: Obstacle) throws {
        var builder = GraphBuilder()
        let x = builder.input("x", [1, 4])
        let options = Options(.add, obstacle == .hasActivation ? [.int(1)] : [])
        let y =
            switch obstacle {
            case .cannot: builder.op(.logistic, [x], "y", [1, 4])
            case .input: x
            default: builder.op(.add, [x, x], "y", [1, 4], options: options)
            }
        if obstacle == .readTwice { builder.output(builder.op(.tanh, [y], "t", [1, 4])) }
        if obstacle == .isOutput { builder.output(y) }
        builder.output(builder.op(.relu6, [y], "z", [1, 4]))
        var model = builder.model
        model.fuseActivations()
        #expect(model == builder.model)
    }
}
