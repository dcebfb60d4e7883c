import Kernels
import Model

extension Model {
    /// Brings MAX_POOL_2D of the main subgraph nearer to the convolutions whose results it reads: rounding that keeps the
    /// order of numbers is done to the maxima instead, which are fewer, and a convolution of few products, of images that
    /// need no gradient, finds the maxima itself. The maxima are the same numbers; where several pixels of a window round
    /// to the same one, the gradient goes to the one that was largest before. For training: some results are not computed
    /// any more. `trained`: tensors that are. Windows must lie side by side.
    package mutating func poolEarly(trained: [Int]) {
        var operators = subgraphs[0].operators
        var depends = [Bool](repeating: false, count: subgraphs[0].tensors.count)
        for tensor in trained { depends[tensor] = true }
        var dropped: [Int] = []
        for index in operators.indices {
            var pool = operators[index]
            for input in pool.inputs where input >= 0 && depends[input] {
                for output in pool.outputs { depends[output] = true }
            }
            let options = pool.options
            guard operatorCodes[pool.opcode].builtin == .maxPool2D, options.int(5) == 0,
                options.int(1) == options.int(3), options.int(2) == options.int(4),
                var before = onlyProducer(pool.inputs[0], operators)
            else { continue }
            let (maxima, results) = (shape(pool.outputs[0]), shape(pool.inputs[0]))
            let (lines, columns) = (maxima[1] * options.int(4), maxima[2] * options.int(3))
            if isMonotonous(operators[before], lines >= results[1] && columns >= results[2]) {
                // The two change places, and the tensor between them its shape.
                let (rounding, between) = (operators[before], pool.inputs[0])
                guard let convolution = onlyProducer(rounding.inputs[0], operators) else { continue }
                subgraphs[0].tensors[between].shape = maxima
                operators[index] = rounding.moved(from: between, to: pool.outputs[0])
                pool = pool.moved(from: rounding.inputs[0], to: between)
                operators[before] = pool
                before = convolution
            }
            var convolution = operators[before]
            guard lines <= results[1], columns <= results[2], findsMaxima(convolution, windows: maxima[2], depends)
            else { continue }
            convolution = convolution.moved(from: convolution.inputs[0], to: pool.outputs[0])
            let code = OperatorCode(.custom, custom: ConvolutionMaximum.name)
            if operatorCodes.last != code { operatorCodes.append(code) }
            convolution.opcode = operatorCodes.count - 1
            convolution.customOptions = nil
            operators[before] = convolution
            dropped.append(pool.outputs[0])
        }
        let codes = operatorCodes
        subgraphs[0].operators = operators.filter {
            codes[$0.opcode].builtin != .maxPool2D || !dropped.contains($0.outputs[0])
        }
    }

    private func shape(_ tensor: Int) -> [Int] { subgraphs[0].tensors[tensor].shape }

    /// The operator that computes a tensor which is read once.
    private func onlyProducer(_ tensor: Int, _ operators: [Operator]) -> Int? {
        var readers = subgraphs[0].outputs.contains(tensor) ? 2 : 0
        for op in operators { for input in op.inputs where input == tensor { readers += 1 } }
        return readers == 1 ? operators.firstIndex { $0.outputs.first == tensor } : nil
    }

    /// Rounding that can be done to the maxima. The range that it tells of, if it does, is theirs too, if no pixel is left
    /// out: its least number, or 0, is that of the activation.
    private func isMonotonous(_ op: Operator, _ areAllPixels: Bool) -> Bool {
        guard operatorCodes[op.opcode].custom == FakeRequantize.name,
            let settings = FakeQuantizationSettings(op.customOptions)
        else { return false }
        return op.outputs.count == 1 || areAllPixels && settings.activation.floatRange.minimum >= 0
    }

    private func findsMaxima(_ op: Operator, windows: Int, _ depends: [Bool]) -> Bool {
        guard operatorCodes[op.opcode].builtin == .conv2D, op.inputs.count == 3, op.inputs[2] >= 0,
            !depends[op.inputs[0]], depends[op.inputs[1]], op.options.int(3) <= FusedActivation.relu6.rawValue
        else { return false }
        let (x, filter) = (shape(op.inputs[0]), shape(op.inputs[1]))
        return x[3] == filter[3] && op.options.int(4) == 1 && op.options.int(5) == 1
            && PooledConvolution.suits(rows: filter[1], products: filter[2] * filter[3], windows: windows)
    }
}

extension Operator {
    /// The same with another first input and output.
    @inline(never) fileprivate func moved(from input: Int, to output: Int) -> Operator {
        var op = self
        op.inputs[0] = input
        op.outputs[0] = output
        return op
    }
}
