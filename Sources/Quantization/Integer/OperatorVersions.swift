import Model

/// The lowest versions of the schema's operators whose kernels take quantized int8 or int16 tensors. A file's own
/// version stays if it is higher: it stands for something else that the operator uses.
enum OperatorVersions {
    static func lowest(_ code: BuiltinOperator, _ type: TensorType) -> Int {
        for row in table where row.codes.contains(code) { return type == .int16 ? row.int16 : row.int8 }
        return 1
    }

    /// For weights of fewer than 8 bits.
    static func lowest(_ code: BuiltinOperator, _ type: TensorType, weights: TensorType) -> Int {
        switch (code, weights) {
        case (.fullyConnected, .int2): 14
        case (.fullyConnected, .int4): type == .int16 ? 13 : 10
        case (.conv2D, .int4), (.depthwiseConv2D, .int4): 7
        default: 1
        }
    }

    /// int8 MUL from version 3 on may have scale(a) * scale(b) / scale(output) >= 1.
    static let mulWithLargeScale = 3

    private struct Row: Sendable {
        let codes: [BuiltinOperator]
        let int8: Int
        let int16: Int
    }

    private static let table: [Row] = [
        Row(codes: [.conv2D], int8: 3, int16: 4),
        Row(codes: [.depthwiseConv2D], int8: 3, int16: 5),
        Row(codes: [.fullyConnected], int8: 4, int16: 7),
        Row(codes: [.transposeConv], int8: 2, int16: 3),
        Row(codes: [.batchMatmul], int8: 2, int16: 3),
        Row(codes: [.add], int8: 2, int16: 3),
        Row(codes: [.sub], int8: 2, int16: 5),
        Row(codes: [.mul, .minimum, .maximum, .gather, .split, .slice, .unpack, .resizeBilinear], int8: 2, int16: 4),
        Row(codes: [.resizeNearestNeighbor, .spaceToBatchNd, .batchToSpaceNd], int8: 2, int16: 4),
        Row(codes: [.averagePool2D, .maxPool2D, .tanh, .logistic, .softmax, .concatenation, .pack], int8: 2, int16: 3),
        Row(
            codes: [.pad, .padv2, .mirrorPad, .mean, .reduceMax, .reduceMin, .relu, .relu6, .rsqrt], int8: 2, int16: 3),
        Row(codes: [.abs, .less, .greaterEqual, .topkV2], int8: 2, int16: 3),
        Row(codes: [.transpose], int8: 2, int16: 5),
        Row(codes: [.exp, .log, .sqrt, .reduceProd], int8: 2, int16: 2),
        Row(codes: [.stridedSlice, .argMax, .argMin, .splitV, .spaceToDepth, .depthToSpace], int8: 2, int16: 2),
        Row(codes: [.sum, .logSoftmax, .squaredDifference, .l2Normalization, .gelu, .select], int8: 2, int16: 2),
        Row(codes: [.greater, .lessEqual, .floorMod], int8: 2, int16: 2),
        Row(codes: [.equal], int8: 2, int16: 5),
        Row(codes: [.notEqual], int8: 2, int16: 4),
        Row(codes: [.leakyRelu], int8: 1, int16: 2),
        Row(codes: [.broadcastTo, .tile, .reverseV2, .floorDiv, .fill], int8: 3, int16: 3),
        Row(codes: [.gatherNd], int8: 1, int16: 3),
        Row(codes: [.dynamicUpdateSlice], int8: 1, int16: 4),
        Row(codes: [.dequantize], int8: 2, int16: 3),
        Row(codes: [.quantize], int8: 1, int16: 2),
    ]
}
