import Kernels
import Model

/// An operator with what it is prepared from.
package struct LayerPart: Sendable {
    let definition: OperatorDefinition
    let name: String
    let version: Int
    let options: Options

    package init(_ definition: OperatorDefinition, name: String, version: Int, options: Options) {
        (self.definition, self.name, self.version, self.options) = (definition, name, version, options)
    }
}

/// A layer and the operator that treats each element of its result alone or with that of another tensor (a residual
/// sum, an activation that is no clamp), in one pass over the memory. Inputs: those of the layer, then the other tensor.
/// The bits are those of the two operators.
package struct FinishedLayer: Sendable {
    /// Tells such layers from plain ones.
    package static let name = "FINISHED"
    private let layer: LayerPart
    private let middle: TensorInfo
    private let finish: Finish
    private let layerInputs: Int

    /// nil: the second operator is none that a layer can do, or is not prepared. `middle`: the tensor in between, input
    /// `place` of the second operator, whose inputs are `inputs`.
    package init?(
        _ layer: LayerPart, inputCount: Int, _ second: LayerPart, middle: TensorInfo, place: Int, inputs: [TensorInfo?],
        output: TensorInfo, weights: PackedWeightCache
    ) {
        guard middle.shape == output.shape, middle.type.bits == output.type.bits, middle.count > 0 else { return nil }
        let preparation = Preparation(
            name: second.name, version: second.version, options: second.options, inputs: inputs, outputs: [output],
            weights: weights)
        do throws(Failure) { _ = try second.definition.prepare(preparation) } catch { return nil }
        guard let finish = preparation.finish, !finish.hasSecond, finish.hasOperand == (inputs.count == 2) else {
            return nil
        }
        (self.layer, self.middle, layerInputs) = (layer, middle, inputCount)
        self.finish = place == 0 ? finish : finish.swapped
    }

    package var definition: OperatorDefinition {
        OperatorDefinition(layer.definition.code, custom: FinishedLayer.name, maxVersion: layer.version) {
            op throws(Failure) in
            [middle.shape]
        } prepare: { op throws(Failure) in
            let operand = finish.hasOperand ? layerInputs : -1
            let inner = Preparation(
                name: layer.name, version: layer.version, options: layer.options,
                inputs: [TensorInfo?](op.inputs.prefix(layerInputs)), outputs: [middle], arithmetic: op.arithmetic,
                precision: op.precision, threadCount: op.threadCount,
                autotune: op.autotune, weights: op.weights)
            op.pass(to: inner)
            let finish = finish.followed(by: inner.takeFinish().finish)
            inner.follow(with: finish, operand: operand)
            let kernel = try layer.definition.prepare(inner)
            let isTaken = inner.isFinishTaken
            _ = inner.takeFinish()
            op.adopt(inner)
            op.rounding.output = false
            if isTaken { return kernel }
            op.stage = nil
            return finish.after(kernel, operand: operand)
        }
    }
}

extension Finish {
    /// With the tensors of `io`; `operand`: the input that is the other operand, -1: there is none.
    func on(_ io: borrowing Invocation, operand: Int) -> Finish {
        let finish = operand < 0 ? self : with(io.input(operand))
        guard hasSecond else { return finish }
        var second = io.output(1, as: UInt8.self)
        return finish.with(second: &second)
    }

    /// `kernel`, and this when it has run.
    func after(_ kernel: @escaping Kernel, operand: Int) -> Kernel {
        { io throws(Failure) in
            try kernel(io)
            var y = io.output(as: UInt8.self)
            on(io, operand: operand).run(&y, pool: io.pool)
        }
    }
}
