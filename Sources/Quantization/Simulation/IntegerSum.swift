import Kernels
import Model
import Operators

/// What the integer kernel of an operator sums up in its accumulator before it scales and rounds the result.
struct IntegerSum {
    /// nil: the kernel itself runs, and gives steps of the result.
    let form: FakeRequantization.Form?
    /// Tensors: the scale of the first factor, and those of the second if there is one.
    let scales: [Int]
    var activation = FusedActivation.none
}

extension Model {
    /// `scales`: tensors with the scales of an operator's activations, then of its weights. nil: its kernel has no exact
    /// sum, but a float function of its inputs.
    func sum(_ graph: Int, _ index: Int, _ scales: [Int]) -> IntegerSum? {
        let op = subgraphs[graph].operators[index]
        guard let input = op.inputs.first, let output = op.outputs.first, input >= 0, output >= 0,
            !scales.isEmpty, scales.allSatisfy({ $0 >= 0 })
        else { return nil }
        let (x, y) = (subgraphs[graph].tensors[input].shape, subgraphs[graph].tensors[output].shape)
        let code = code(graph, index).builtin
        switch code {
        case _ where LinearOperator(code) != nil, .batchMatmul:
            return scales.count == 2 ? IntegerSum(form: .linear, scales: scales) : nil
        case .mul: return scales.count == 2 ? IntegerSum(form: .product, scales: scales) : nil
        case .mean:
            let (before, after) = (x.reduce(1, &*), y.reduce(1, &*))
            guard after > 0, before >= after else { return nil }
            return IntegerSum(form: .mean(count: before / after), scales: scales)
        case .averagePool2D:
            guard let count = windowSize(op.options, x, y) else { return nil }
            return IntegerSum(form: .average(count: count), scales: scales)
        default: return nil
        }
    }

    /// The elements of a pooling window; nil if some windows are cut at the borders.
    private func windowSize(_ options: Options, _ x: [Int], _ y: [Int]) -> Int? {
        guard x.count == 4, y.count == 4 else { return nil }
        let (strides, sizes) = ([options.int(2), options.int(1)], [options.int(4), options.int(3)])
        for axis in 0..<2 {
            let needed = (y[axis + 1] - 1).multipliedReportingOverflow(by: strides[axis])
            guard sizes[axis] > 0, !needed.overflow, needed.partialValue <= x[axis + 1] - sizes[axis] else {
                return nil
            }
        }
        return sizes[0] * sizes[1]
    }
}
