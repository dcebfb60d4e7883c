import Model

/// All operators the library can run: one row each.
package enum OperatorRegistry {
    /// nil: there is no such operator here.
    package static func definition(_ code: OperatorCode) -> OperatorDefinition? {
        guard code.builtin == .custom else { return builtin(code.builtin) }
        let name = CustomName(name: code.custom ?? "")
        return custom(name) ?? (code.isForeign ? nil : ofTraining(name))
    }

    /// Compares by a call: what the standard library would inline for each case is larger than the case.
    private struct CustomName {
        let name: String
        @inline(never) static func ~= (pattern: String, value: CustomName) -> Bool { pattern == value.name }
    }

    private static func custom(_ name: CustomName) -> OperatorDefinition? {
        switch name {
        case Convolution2DTransposeBias.name: Convolution2DTransposeBias.definition
        case DetectionPostProcess.name: DetectionPostProcess.definition
        case MaxPoolingWithArgmax.name: MaxPoolingWithArgmax.definition
        case MaxPoolingWithArgmax.unpooling: MaxPoolingWithArgmax.inverse
        default: nil
        }
    }

    /// Their kernels trust the graphs that they are in.
    private static func ofTraining(_ name: CustomName) -> OperatorDefinition? {
        switch name {
        case FakeQuantize.name: FakeQuantize.definition
        case FakeRequantize.name: FakeRequantize.definition
        case SimulatedLSTMCell.name: SimulatedLSTMCell.definition
        case FakeQuantizeBias.name: FakeQuantizeBias.definition
        case FakeQuantizeGradient.name: FakeQuantizeGradient.definition
        case PassGradient.name: PassGradient.definition
        case RangeParameters.name: RangeParameters.definition
        case WeightScales.name: WeightScales.definition
        case Softplus.name: Softplus.definition
        case CTCLoss.name: CTCLoss.definition
        case ClampGradient.name: ClampGradient.definition
        case BatchNormalize.name: BatchNormalize.definition
        case ConvolutionMaximum.name: ConvolutionMaximum.definition
        case ConvolutionMaximum.filter: ConvolutionMaximum.ofFilter
        case ConvolutionGradient.filter: ConvolutionGradient.ofFilter
        case ConvolutionGradient.input: ConvolutionGradient.ofInput
        case DepthwiseGradient.filter: DepthwiseGradient.ofFilter
        case DepthwiseGradient.input: DepthwiseGradient.ofInput
        case GeluGradient.name: GeluGradient.definition
        case PoolGradient.average: PoolGradient.ofAverage
        case PoolGradient.maximum: PoolGradient.ofMaximum
        case ScatterAdd.name: ScatterAdd.definition
        default: nil
        }
    }

    private static func builtin(_ code: BuiltinOperator) -> OperatorDefinition? {
        switch code {
        case .abs: Abs.definition
        case .complexAbs: ComplexAbs.definition
        case .rfft2D: Rfft2D.definition
        case .unidirectionalSequenceLstm: UnidirectionalSequenceLSTM.definition
        case .svdf: SVDF.definition
        case .add: Addition.add
        case .sub: Addition.subtract
        case .mul: Multiply.definition
        case .div: Divide.definition
        case .floorDiv: FloorDivision.divide
        case .floorMod: FloorDivision.remainder
        case .minimum: Extremes.minimum
        case .maximum: Extremes.maximum
        case .squaredDifference: SquaredDifference.definition
        case .prelu: Prelu.definition
        case .pow: Power.definition
        case .atan2: Atan2.definition
        case .softmax: Softmax.definition
        case .logSoftmax: LogSoftmax.definition
        case .l2Normalization: L2Normalization.definition
        case .mean: Sums.mean
        case .sum: Sums.sum
        case .reduceMax: ReduceExtreme.maximum
        case .reduceMin: ReduceExtreme.minimum
        case .reduceProd: ReduceProduct.definition
        case .reduceAny: ReduceLogical.any
        case .reduceAll: ReduceLogical.all
        case .cumsum: CumulativeSum.definition
        case .addN: AddN.definition
        case .equal: Comparison.equal.definition
        case .notEqual: Comparison.notEqual.definition
        case .less: Comparison.less.definition
        case .lessEqual: Comparison.lessEqual.definition
        case .greater: Comparison.greater.definition
        case .greaterEqual: Comparison.greaterEqual.definition
        case .logicalAnd: Logical.and
        case .logicalOr: Logical.or
        case .logicalNot: Logical.not
        case .relu: Relu.relu
        case .relu6: Relu.relu6
        case .reluN1To1: Relu.reluN1To1
        case .relu0To1: Relu.relu0To1
        case .leakyRelu: LeakyRelu.definition
        case .hardSwish: HardSwish.definition
        case .logistic: Logistic.definition
        case .tanh: Tanh.definition
        case .exp: Exp.definition
        case .log: Log.definition
        case .elu: Elu.definition
        case .gelu: Gelu.definition
        case .sqrt: Sqrt.definition
        case .rsqrt: Rsqrt.definition
        case .square: Square.definition
        case .neg: Neg.definition
        case .sign: Sign.definition
        case .floor: Rounding.floor
        case .ceil: Rounding.ceil
        case .round: Rounding.round
        case .sin: Trigonometric.sin
        case .cos: Trigonometric.cos
        case .gather: Gather.definition
        case .gatherNd: GatherND.definition
        case .scatterNd: ScatterND.definition
        case .spaceToDepth: SpaceToDepth.definition
        case .depthToSpace: SpaceToDepth.inverse
        case .spaceToBatchNd: SpaceToBatchND.definition
        case .batchToSpaceNd: SpaceToBatchND.inverse
        case .cast: Cast.definition
        case .argMax: ArgMax.definition
        case .argMin: ArgMax.least
        case .shape: Shape.definition
        case .rank: Shape.rank
        case .fakeQuant: FakeQuant.definition
        case .fill: Fill.definition
        case .zerosLike: Fill.zerosLike
        case .tile: Tile.definition
        case .broadcastTo: BroadcastTo.definition
        case .broadcastArgs: BroadcastArgs.definition
        case .select: Select.definition
        case .selectV2: Select.version2
        case .range: RangeOperator.definition
        case .reverseV2: ReverseV2.definition
        case .embeddingLookup: EmbeddingLookup.definition
        case .densify: Densify.definition
        case .oneHot: OneHot.definition
        case .dynamicUpdateSlice: DynamicUpdateSlice.definition
        case .topkV2: TopK.definition
        case .batchMatmul: BatchMatmul.definition
        case .conv2D: Conv2D.definition
        case .depthwiseConv2D: DepthwiseConv2D.definition
        case .transposeConv: TransposeConv.definition
        case .fullyConnected: FullyConnected.definition
        case .averagePool2D: AveragePool2D.definition
        case .maxPool2D: MaxPool2D.definition
        case .l2Pool2D: L2Pool2D.definition
        case .reshape: Reshape.definition
        case .squeeze: Squeeze.definition
        case .expandDims: ExpandDims.definition
        case .transpose: Transpose.definition
        case .pad: Pad.definition
        case .padv2: Pad.version2
        case .mirrorPad: MirrorPad.definition
        case .concatenation: Concatenation.definition
        case .split: Split.definition
        case .splitV: Split.sized
        case .pack: Pack.definition
        case .unpack: Unpack.definition
        case .slice: Slice.definition
        case .stridedSlice: StridedSlice.definition
        case .quantize: Quantize.definition
        case .dequantize: Dequantize.definition
        case .resizeBilinear: ResizeBilinear.definition
        case .resizeNearestNeighbor: ResizeNearestNeighbor.definition
        default: nil
        }
    }
}
