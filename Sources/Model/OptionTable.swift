/// A member of the schema's unions BuiltinOptions (1...126) or BuiltinOptions2 (256 + 1...23).
package enum OptionTable: UInt16, Sendable, CaseIterable {
    case none = 0
    case conv2D = 1, depthwiseConv2D, concatEmbeddings, lshProjection, pool2D, svdf, rnn, fullyConnected, softmax
    case concatenation, add, l2Norm, localResponseNormalization, lstm, resizeBilinear, call, reshape, skipGram
    case spaceToDepth, embeddingLookupSparse, mul, pad, gather, batchToSpaceND, spaceToBatchND, transpose, reducer
    case sub, div, squeeze, sequenceRNN, stridedSlice, exp, topKV2, split, logSoftmax, cast, dequantize
    case maximumMinimum, argMax, less, neg, padV2, greater, greaterEqual, lessEqual, select, slice, transposeConv
    case sparseToDense, tile, expandDims, equal, notEqual, shape, pow, argMin, fakeQuant, pack, logicalOr, oneHot
    case logicalAnd, logicalNot, unpack, floorDiv, square, zerosLike, fill, bidirectionalSequenceLSTM
    case bidirectionalSequenceRNN, unidirectionalSequenceLSTM, floorMod, range, resizeNearestNeighbor, leakyRelu
    case squaredDifference, mirrorPad, abs, splitV, unique, reverseV2, addN, gatherNd, cos, `where`, rank
    case reverseSequence, matrixDiag, quantize, matrixSetDiag, hardSwish, `if`, `while`, depthToSpace
    case nonMaxSuppressionV4, nonMaxSuppressionV5, scatterNd, selectV2, densify, segmentSum, batchMatMul, cumsum
    case callOnce, broadcastTo, rfft2d, conv3D, hashtable, hashtableFind, hashtableImport, hashtableSize, varHandle
    case readVariable, assignVariable, random, bucketize, gelu, dynamicUpdateSlice, unsortedSegmentProd
    case unsortedSegmentMax, unsortedSegmentMin, unsortedSegmentSum, atan2, sign, bitcast, bitwiseXor, rightShift
    case stablehloConcatenate = 257, stablehloBroadcastInDim, stablehloSlice, stablehloConvolution
    case stablehloCustomCall, stablehloReduce, stablehloScatter, stablehloCompare, stablehloDynamicSlice
    case stablehloPad, stablehloIota, stablehloDotGeneral, stablehloReduceWindow, stablehloSort, stablehloWhile
    case stablehloGather, stablehloTranspose, dilate, stablehloRngBitGenerator, reduceWindow, stablehloComposite
    case stablehloShiftLeft, stablehloCase
}
