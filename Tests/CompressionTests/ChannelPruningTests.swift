import Model
import Testing

@testable import Compression

@Suite struct ChannelPruningTests {
    /// Makes the given output channels of a layer's filter and bias small, so that they are the first to go and their
    /// going changes nothing: with zero they give zero.
    private func silence(_ model: inout Model, _ layer: String, _ channels: [Int], dimension: Int = 0) throws {
        for (suffix, dimension) in [("/w", dimension), ("/b", 0)] {
            let index = model.subgraphs[0].tensors.firstIndex { $0.name == layer + suffix }!
            let tensor = model.subgraphs[0].tensors[index]
            var values = model.values(layer + suffix)
            let inner = tensor.shape[(dimension + 1)...].reduce(1, *)
            for place in values.indices where channels.contains(place / inner % tensor.shape[dimension]) {
                values[place] = 0
            }
            model.buffers[tensor.buffer] = Buffer(try Bytes(copying: values))
        }
    }

    /// Cuts, checks that the results stay the same, and gives the smaller model.
    private func cut(
        _ model: Model, input: Int, _ change: (inout ChannelPruningOptions) -> Void = { _ in }
    ) throws -> Model {
        var options = ChannelPruningOptions()
        change(&options)
        let smaller = try model.withoutChannels(options)
        try smaller.validate()
        #expect(try Model.read(smaller.serialized(), origin: "again").subgraphs == smaller.subgraphs)
        let values = noise(input, seed: 77)
        let (expected, found) = (try model.evaluate(values), try smaller.evaluate(values))
        #expect(expected.count == found.count)
        #expect(zip(expected, found).allSatisfy { abs($0 - $1) < 1e-5 })
        #expect(expected.contains { $0 != 0 })
        return smaller
    }

    private func endOfPicture(_ builder: inout GraphBuilder, _ x: Int, channels: Int) throws {
        let axes = try builder.integers("axes", [1, 2])
        let mean = builder.op(.mean, [x, axes], "mean", [1, channels], options: Options(.reducer, [.int(0)]))
        builder.output(try builder.product(mean, "scores", inputs: channels, outputs: 3))
    }

    @Test func depthwiseFiltersGoWithTheirChannels() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 8, filter: 3)
        let d = try builder.depthwise(a, "d")
        let b = try builder.convolution(d, "b", channels: 6)
        try endOfPicture(&builder, b, channels: 6)
        var model = builder.model
        try silence(&model, "a", [0, 3, 4, 7])
        try silence(&model, "d", [0, 3, 4, 7], dimension: 3)
        try silence(&model, "b", [1, 2, 5])
        let smaller = try cut(model, input: 48)
        #expect(smaller.shape("a/w") == [4, 3, 3, 3] && smaller.shape("d/w") == [1, 3, 3, 4])
        #expect(smaller.shape("d/b") == [4] && smaller.shape("b/w") == [3, 1, 1, 4])
        #expect(smaller.shape("scores/w") == [3, 3] && smaller.shape("mean") == [1, 3])
    }

    @Test func aDepthMultiplierRepeatsChannels() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 4)
        let d = try builder.depthwise(a, "d", multiplier: 2)
        try endOfPicture(&builder, d, channels: 8)
        var model = builder.model
        try silence(&model, "a", [1, 2])
        try silence(&model, "d", [2, 3, 4, 5], dimension: 3)
        let smaller = try cut(model, input: 48)
        #expect(smaller.shape("d/w") == [1, 3, 3, 4] && smaller.shape("scores/w") == [3, 4])
    }

    @Test func sumsShareChannels() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 8)
        let b = try builder.convolution(a, "b", channels: 8)
        let sum = builder.op(.add, [a, b], "sum", [1, 4, 4, 8], options: Options(.add))
        let c = try builder.convolution(sum, "c", channels: 8)
        let next = builder.op(.add, [c, sum], "next", [1, 4, 4, 8], options: Options(.add))
        try endOfPicture(&builder, next, channels: 8)
        var model = builder.model
        for layer in ["a", "b", "c"] { try silence(&model, layer, [2, 5]) }
        let smaller = try cut(model, input: 48) { $0.ratio = 0.25 }
        #expect(["a", "b", "c"].allSatisfy { smaller.shape($0 + "/w")[0] == 6 })
        #expect(smaller.shape("b/w") == [6, 1, 1, 6] && smaller.shape("next") == [1, 4, 4, 6])
    }

    @Test func joinedChannelsAreFoundAgain() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 4)
        let b = try builder.convolution(x, "b", channels: 6)
        let joined = builder.op(
            .concatenation, [a, b], "joined", [1, 4, 4, 10], options: Options(.concatenation, [.int(3), .int(0)]))
        // Batch normalization that was not folded.
        let scale = try builder.constant("scale", [10])
        let scaled = builder.op(.mul, [joined, scale], "scaled", [1, 4, 4, 10], options: Options(.mul))
        let c = try builder.convolution(scaled, "c", channels: 4)
        try endOfPicture(&builder, c, channels: 4)
        var model = builder.model
        try silence(&model, "a", [0, 1])
        try silence(&model, "b", [1, 3, 5])
        let smaller = try cut(model, input: 48) { $0.rules = [LayerTarget("c*", 0)] }
        #expect(smaller.shape("joined") == [1, 4, 4, 5] && smaller.shape("scale") == [5])
        #expect(smaller.values("scale") == [2, 3, 4, 6, 8].map { model.values("scale")[$0] })
        #expect(smaller.shape("c/w") == [4, 1, 1, 5])
    }

    @Test func flattenedPicturesLoseEachPointsChannels() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 4)
        let pool = builder.op(
            .maxPool2D, [a], "pool", [1, 2, 2, 4],
            options: Options(.pool2D, [.int(1), .int(2), .int(2), .int(2), .int(2), .int(0)]))
        let shape = try builder.integers("shape", [-1, 16])
        let flat = builder.op(
            .reshape, [pool, shape], "flat", [1, 16], options: Options(.reshape, [.ints([-1, 16])]))
        let p = try builder.product(flat, "p", inputs: 16, outputs: 8)
        let r = builder.op(.relu, [p], "r", [1, 8])
        builder.output(try builder.product(r, "q", inputs: 8, outputs: 2))
        var model = builder.model
        try silence(&model, "a", [0, 2])
        try silence(&model, "p", [0, 1, 6, 7])
        let smaller = try cut(model, input: 48)
        #expect(smaller.shape("flat") == [1, 8] && smaller.shape("p/w") == [4, 8] && smaller.shape("q/w") == [2, 4])
    }

    @Test func gatesAreCutLikeWhatTheyScale() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 8)
        let axes = try builder.integers("axes", [1, 2])
        let mean = builder.op(.mean, [a, axes], "squeeze", [1, 1, 1, 8], options: Options(.reducer, [.int(1)]))
        let low = try builder.convolution(mean, "low", channels: 4)
        let high = try builder.convolution(low, "high", channels: 8, activation: .none)
        let gate = builder.op(.logistic, [high], "gate", [1, 1, 1, 8])
        let scaled = builder.op(.mul, [a, gate], "scaled", [1, 4, 4, 8], options: Options(.mul))
        let shape = try builder.integers("shape", [1, 128])
        let flat = builder.op(.reshape, [scaled, shape], "flat", [1, 128])
        builder.output(try builder.product(flat, "q", inputs: 128, outputs: 2))
        var model = builder.model
        try silence(&model, "a", [0, 1, 2, 3])
        try silence(&model, "high", [0, 1, 2, 3])
        try silence(&model, "low", [1, 3])
        let smaller = try cut(model, input: 48)
        #expect(smaller.shape("high/w") == [4, 1, 1, 2] && smaller.shape("low/w") == [2, 1, 1, 4])
        #expect(smaller.shape("scaled") == [1, 4, 4, 4] && smaller.shape("q/w") == [2, 64])
    }

    @Test func splitsStayEven() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 8)
        let axis = try builder.integers("axis", [3], shape: [])
        _ = axis
        var model = builder.model
        // SPLIT has two outputs, which the builder cannot say.
        model.operatorCodes.append(OperatorCode(.split))
        for name in ["left", "right"] {
            model.subgraphs[0].tensors.append(Tensor(name: name, type: .float32, shape: [1, 4, 4, 4]))
        }
        let left = model.subgraphs[0].tensors.count - 2
        model.subgraphs[0].operators.append(
            Operator(
                opcode: model.operatorCodes.count - 1, inputs: [axis, a], outputs: [left, left + 1],
                options: Options(.split, [.int(2)])))
        model.subgraphs[0].tensors.append(Tensor(name: "sum", type: .float32, shape: [1, 4, 4, 4]))
        model.operatorCodes.append(OperatorCode(.mul))
        model.subgraphs[0].operators.append(
            Operator(
                opcode: model.operatorCodes.count - 1, inputs: [left, left + 1], outputs: [left + 2],
                options: Options(.mul)))
        let w = try Bytes(copying: noise(8))
        model.buffers.append(Buffer(w))
        model.subgraphs[0].tensors.append(
            Tensor(name: "q/w", type: .float32, shape: [2, 4], buffer: model.buffers.count - 1))
        model.subgraphs[0].tensors.append(Tensor(name: "q", type: .float32, shape: [16, 2]))
        model.operatorCodes.append(OperatorCode(.fullyConnected))
        model.subgraphs[0].operators.append(
            Operator(
                opcode: model.operatorCodes.count - 1, inputs: [left + 2, left + 3], outputs: [left + 4],
                options: Options(.fullyConnected)))
        model.subgraphs[0].outputs = [left + 4]
        try silence(&model, "a", [1, 2, 5, 6])
        let smaller = try cut(model, input: 48)
        #expect(smaller.shape("left") == [1, 4, 4, 2] && smaller.shape("right") == [1, 4, 4, 2])
        #expect(smaller.shape("a/w")[0] == 4 && smaller.shape("q/w") == [2, 2])
    }

    @Test func whatCannotBeCutIsNamed() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 4)
        let b = try builder.convolution(a, "b", channels: 4)
        let order = try builder.integers("order", [0, 3, 1, 2])
        let moved = builder.op(.transpose, [b, order], "moved", [1, 4, 4, 4])
        let c = try builder.convolution(moved, "c", channels: 2)
        builder.output(c)
        var remarks: [String] = []
        let smaller = try cut(
            {
                var model = builder.model; try silence(&model, "a", [0, 1]); return model
            }(), input: 48
        ) { $0.log = { remarks.append($0) } }
        #expect(smaller.shape("a/w")[0] == 2 && smaller.shape("b/w") == [4, 1, 1, 2])
        #expect(remarks.contains("CONV_2D 'b' keeps its channels: TRANSPOSE 'moved' moves channels"))
        #expect(remarks.contains("CONV_2D 'c' keeps its channels: 'c' is an output of the model"))
        #expect(throws: Failure.self) {
            try builder.model.withoutChannels(
                {
                    var o = ChannelPruningOptions(); o.rules = [LayerTarget("a*", 0)]; return o
                }())
        }
    }

    @Test func multiplesAndTheLastChannelStay() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 10)
        let b = try builder.convolution(a, "b", channels: 3)
        try endOfPicture(&builder, b, channels: 3)
        var options = ChannelPruningOptions()
        (options.ratio, options.multiple) = (0.5, 8)
        #expect(try builder.model.withoutChannels(options).shape("a/w")[0] == 8)
        (options.ratio, options.multiple) = (0.99, 1)
        let least = try builder.model.withoutChannels(options)
        #expect(least.shape("a/w")[0] == 1 && least.shape("b/w") == [1, 1, 1, 1])
        _ = try least.evaluate(noise(48))
        options.ratio = 1
        #expect(throws: Failure.self) { try builder.model.withoutChannels(options) }
    }

    @Test func addedZerosAreCutWithWhatIsAddedToThem() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let a = try builder.convolution(x, "a", channels: 4)
        let paddings = try builder.integers("paddings", [0, 0, 0, 0, 0, 0, 0, 4], shape: [4, 2])
        let wide = builder.op(.pad, [a, paddings], "wide", [1, 4, 4, 8])
        let b = try builder.convolution(a, "b", channels: 8)
        let sum = builder.op(.add, [b, wide], "sum", [1, 4, 4, 8], options: Options(.add))
        let c = try builder.convolution(sum, "c", channels: 4)
        // The same paddings, but other channels go.
        let wider = builder.op(.pad, [c, paddings], "wider", [1, 4, 4, 8])
        try endOfPicture(&builder, wider, channels: 8)
        var model = builder.model
        try silence(&model, "a", [1])
        try silence(&model, "b", [1, 6, 7])
        try silence(&model, "c", [0, 3])
        let smaller = try cut(model, input: 48) {
            $0.rules = [LayerTarget("[ab]*", 0.375), LayerTarget("a*", 0.375), LayerTarget("b*", 0.375)]
        }
        #expect(smaller.shape("a/w")[0] == 3 && smaller.shape("b/w")[0] == 5 && smaller.shape("wide") == [1, 4, 4, 5])
        #expect(smaller.shape("c/w")[0] == 2)
    }

    @Test func constantsThatLayersShareAreCutForEach() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let bias = try builder.constant("bias", [8], [Float](repeating: 0, count: 8))
        let options = Options(.conv2D, [.int(0), .int(1), .int(1), .int(1), .int(1), .int(1)])
        let v = try builder.constant("a/w", [8, 1, 1, 3])
        let a = builder.op(.conv2D, [x, v, bias], "a", [1, 4, 4, 8], options: options)
        let w = try builder.constant("b/w", [8, 1, 1, 8])
        let b = builder.op(.conv2D, [a, w, bias], "b", [1, 4, 4, 8], options: options)
        try endOfPicture(&builder, b, channels: 8)
        var model = builder.model
        for (name, channels) in [("a/w", [0, 1, 2, 3]), ("b/w", [4, 5, 6, 7])] {
            let tensor = model.subgraphs[0].tensors.first { $0.name == name }!
            let inner = tensor.shape[3]
            let values = model.values(name).enumerated().map { channels.contains($0 / inner) ? 0 : $1 }
            model.buffers[tensor.buffer] = Buffer(try Bytes(copying: values))
        }
        let smaller = try cut(model, input: 48)
        #expect(smaller.shape("a/w") == [4, 1, 1, 3] && smaller.shape("b/w") == [4, 1, 1, 4])
    }

    /// Nobody could list them all.
    @Test(.timeLimit(.minutes(1))) func tensorsOfBillionsOfChannelsAreLeftAlone() throws {
        var builder = GraphBuilder()
        let x = builder.input([1, 4, 4, 3])
        let b = try builder.convolution(builder.convolution(x, "a", channels: 8), "b", channels: 6)
        try endOfPicture(&builder, b, channels: 6)
        let wide = builder.input([1, Int(Int32.max)])
        builder.output(builder.op(.relu, [wide], "wide", [1, Int(Int32.max)]))
        let pads = try builder.integers("pads", [0, 0, 0, .max], shape: [2, 2])
        builder.output(builder.op(.pad, [builder.input([1, 2]), pads], "padded", [1, Int(Int32.max)]))
        let smaller = try builder.model.withoutChannels(ChannelPruningOptions())
        #expect(smaller.shape("a/w") == [4, 1, 1, 3] && smaller.shape("wide") == [1, Int(Int32.max)])
    }

    /// The format says that it is empty; tensors without data name it.
    @Test func whatLiesInBufferZeroIsNoConstant() throws {
        var builder = GraphBuilder()
        let b = try builder.convolution(
            builder.convolution(builder.input([1, 4, 4, 3]), "a", channels: 8), "b", channels: 6)
        let pooled = builder.op(
            .maxPool2D, [b], "pooled", [1, 2, 2, 6],
            options: Options(.pool2D, [.int(1), .int(2), .int(2), .int(2), .int(2), .int(0)]))
        try endOfPicture(&builder, pooled, channels: 6)
        var model = builder.model
        model.buffers[0] = Buffer(try Bytes(copying: [1 as Float]))
        #expect(try model.withoutChannels(ChannelPruningOptions()).shape("a/w") == [4, 1, 1, 3])
    }
}
