import Model

/// All operators the library can run: one row each.
package enum OperatorRegistry {
    /// nil: there is no such operator here.
    package static func definition(_ code: OperatorCode) -> OperatorDefinition? {
        code.builtin == .custom ? custom(code.custom ?? "") : builtin(code.builtin)
    }

    private static func custom(_ name: String) -> OperatorDefinition? { nil }

    private static func builtin(_ code: BuiltinOperator) -> OperatorDefinition? {
        switch code {
        case .abs: Abs.definition
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
