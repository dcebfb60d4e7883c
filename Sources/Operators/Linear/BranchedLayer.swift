import Kernels
import Model

/// A layer whose result is read twice, once by a product and a sum with constants of each channel: those make a second
/// result in one pass over the memory. So it is with the residual sums of networks that normalize before each block.
/// Inputs: those of the layer. The bits are those of the operators by themselves.
package struct BranchedLayer: Sendable {
    private let layer: LayerPart
    private let finish: Finish

    /// nil: the scale and shift, whose inputs are `inputs`, is none that the layer can do. The channels of grouped
    /// convolutions come in groups that constants of bytes may not begin with. `layerInputs`: of the layer.
    package init?(
        _ layer: LayerPart, layerInputs: [TensorInfo?], _ second: LayerPart, inputs: [TensorInfo?], output: TensorInfo,
        weights: PackedWeightCache
    ) {
        let preparation = Preparation(
            name: second.name, version: second.version, options: second.options, inputs: inputs, outputs: [output],
            weights: weights)
        do throws(Failure) { _ = try second.definition.prepare(preparation) } catch { return nil }
        guard let finish = preparation.finish, finish.hasSecond, layerInputs.count >= 2, let x = layerInputs[0],
            let filter = layerInputs[1],
            layer.definition.code != .conv2D || x.shape.last == filter.shape.last
        else { return nil }
        (self.layer, self.finish) = (layer, finish)
    }

    package var definition: OperatorDefinition {
        OperatorDefinition(layer.definition.code, custom: "BRANCHED", maxVersion: layer.version) { op throws(Failure) in
            op.statedOutputShapes
        } prepare: { op throws(Failure) in
            let inner = Preparation(
                name: layer.name, version: layer.version, options: layer.options, inputs: op.inputs,
                outputs: [try op.output()], arithmetic: op.arithmetic, precision: op.precision,
                threadCount: op.threadCount, autotune: op.autotune, weights: op.weights)
            inner.wantsRounding = op.wantsRounding
            inner.quantizedBefore = op.quantizedBefore
            let finish = finish.roundingSecond(try op.output(1).type == .bfloat16)
            inner.follow(with: finish, operand: -1)
            let kernel = try layer.definition.prepare(inner)
            let isTaken = inner.isFinishTaken
            _ = inner.takeFinish()
            op.adopt(inner)
            return isTaken ? kernel : finish.after(kernel, operand: -1)
        }
    }
}
