import Kernels
import Model

/// A layer as a part of a `Cascade`, and the input of its operator that holds the other operand of what follows (-1:
/// none).
package struct LayerStage: Sendable {
    package let stage: CascadeStage
    package let operand: Int
}

extension LayerPart {
    /// Which images of the layer can be bfloat16 in memory.
    package func rounding(
        inputs: [TensorInfo?], outputs: [TensorInfo], weights: PackedWeightCache
    ) -> RoundedImages {
        let preparation = Preparation(
            name: name, version: version, options: options, inputs: inputs, outputs: outputs, precision: .bfloat16,
            weights: weights)
        preparation.wantsRounding = true
        do throws(Failure) { _ = try definition.prepare(preparation) } catch { return RoundedImages() }
        return preparation.rounding
    }

    /// The layer prepared as a part of a cascade; nil: it cannot be one.
    package func stage(
        inputs: [TensorInfo?], output: TensorInfo, precision: Precision, threadCount: Int, autotune: Bool,
        weights: PackedWeightCache
    ) -> LayerStage? {
        let preparation = Preparation(
            name: name, version: version, options: options, inputs: inputs, outputs: [output], precision: precision,
            threadCount: threadCount, autotune: autotune, weights: weights)
        preparation.wantsStage = true
        do throws(Failure) { _ = try definition.prepare(preparation) } catch { return nil }
        return preparation.stage
    }
}

/// Layers one after the other, a few lines of the last one's output at a time. Inputs: that of the first layer, then the
/// other operand of what follows the last one. The bits are those of the layers by themselves.
package struct CascadedLayers: Sendable {
    private let cascade: Cascade
    private let hasOperand: Bool
    private let count: Int

    /// nil: the layers cannot be joined, or what they keep does not fit the cache.
    package init?(_ stages: [CascadeStage], threadCount: Int) {
        guard let last = stages.last, let cascade = Cascade.of(stages, threads: threadCount) else { return nil }
        (self.cascade, hasOperand, count) = (cascade, last.hasOperand, stages.count)
    }

    package var definition: OperatorDefinition {
        OperatorDefinition(.custom, custom: "CASCADE", maxVersion: 1) { op throws(Failure) in
            op.statedOutputShapes
        } prepare: { op throws(Failure) in
            op.kernelName = "cascade of \(count)"
            let scratch = op.scratch(bytes: cascade.scratchByteCount)
            let operand = hasOperand ? 1 : 0
            return { [cascade] io in
                var y = io.output(as: UInt8.self)
                var work = io.scratch(scratch, as: UInt8.self)
                cascade.run(io.input(0), &y, operand: io.input(operand), scratch: &work, pool: io.pool)
            }
        }
    }
}
