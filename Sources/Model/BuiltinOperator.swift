/// Builtin operator codes; raw values are the schema's.
package struct BuiltinOperator: RawRepresentable, Hashable, Sendable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }

    /// As .tflite tools print it; "BUILTIN_500" for a code the schema does not have.
    package var name: String {
        guard rawValue >= 0, rawValue < Int32(Self.names.count) else { return "BUILTIN_\(rawValue)" }
        return Self.names[Int(rawValue)]
    }

    /// Codes of the schema: 0 to `count` - 1.
    package static var count: Int { names.count }

    /// True if the schema has this code.
    package var isKnown: Bool { rawValue >= 0 && rawValue < Int32(Self.names.count) }

    private static let names: [String] = [
        "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE",
        "EMBEDDING_LOOKUP", "FLOOR", "FULLY_CONNECTED", "HASHTABLE_LOOKUP", "L2_NORMALIZATION", "L2_POOL_2D",
        "LOCAL_RESPONSE_NORMALIZATION", "LOGISTIC", "LSH_PROJECTION", "LSTM", "MAX_POOL_2D", "MUL", "RELU",
        "RELU_N1_TO_1", "RELU6", "RESHAPE", "RESIZE_BILINEAR", "RNN", "SOFTMAX", "SPACE_TO_DEPTH", "SVDF", "TANH",
        "CONCAT_EMBEDDINGS", "SKIP_GRAM", "CALL", "CUSTOM", "EMBEDDING_LOOKUP_SPARSE", "PAD",
        "UNIDIRECTIONAL_SEQUENCE_RNN", "GATHER", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "TRANSPOSE", "MEAN",
        "SUB", "DIV", "SQUEEZE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "BIDIRECTIONAL_SEQUENCE_RNN",
        "EXP", "TOPK_V2", "SPLIT", "LOG_SOFTMAX", "DELEGATE", "BIDIRECTIONAL_SEQUENCE_LSTM", "CAST", "PRELU",
        "MAXIMUM", "ARG_MAX", "MINIMUM", "LESS", "NEG", "PADV2", "GREATER", "GREATER_EQUAL", "LESS_EQUAL", "SELECT",
        "SLICE", "SIN", "TRANSPOSE_CONV", "SPARSE_TO_DENSE", "TILE", "EXPAND_DIMS", "EQUAL", "NOT_EQUAL", "LOG",
        "SUM", "SQRT", "RSQRT", "SHAPE", "POW", "ARG_MIN", "FAKE_QUANT", "REDUCE_PROD", "REDUCE_MAX", "PACK",
        "LOGICAL_OR", "ONE_HOT", "LOGICAL_AND", "LOGICAL_NOT", "UNPACK", "REDUCE_MIN", "FLOOR_DIV", "REDUCE_ANY",
        "SQUARE", "ZEROS_LIKE", "FILL", "FLOOR_MOD", "RANGE", "RESIZE_NEAREST_NEIGHBOR", "LEAKY_RELU",
        "SQUARED_DIFFERENCE", "MIRROR_PAD", "ABS", "SPLIT_V", "UNIQUE", "CEIL", "REVERSE_V2", "ADD_N", "GATHER_ND",
        "COS", "WHERE", "RANK", "ELU", "REVERSE_SEQUENCE", "MATRIX_DIAG", "QUANTIZE", "MATRIX_SET_DIAG", "ROUND",
        "HARD_SWISH", "IF", "WHILE", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "SCATTER_ND", "SELECT_V2",
        "DENSIFY", "SEGMENT_SUM", "BATCH_MATMUL", "PLACEHOLDER_FOR_GREATER_OP_CODES", "CUMSUM", "CALL_ONCE",
        "BROADCAST_TO", "RFFT2D", "CONV_3D", "IMAG", "REAL", "COMPLEX_ABS", "HASHTABLE", "HASHTABLE_FIND",
        "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "REDUCE_ALL", "CONV_3D_TRANSPOSE", "VAR_HANDLE", "READ_VARIABLE",
        "ASSIGN_VARIABLE", "BROADCAST_ARGS", "RANDOM_STANDARD_NORMAL", "BUCKETIZE", "RANDOM_UNIFORM", "MULTINOMIAL",
        "GELU", "DYNAMIC_UPDATE_SLICE", "RELU_0_TO_1", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX",
        "UNSORTED_SEGMENT_SUM", "ATAN2", "UNSORTED_SEGMENT_MIN", "SIGN", "BITCAST", "BITWISE_XOR", "RIGHT_SHIFT",
        "STABLEHLO_LOGISTIC", "STABLEHLO_ADD", "STABLEHLO_DIVIDE", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM",
        "STABLEHLO_RESHAPE", "STABLEHLO_CLAMP", "STABLEHLO_CONCATENATE", "STABLEHLO_BROADCAST_IN_DIM",
        "STABLEHLO_CONVOLUTION", "STABLEHLO_SLICE", "STABLEHLO_CUSTOM_CALL", "STABLEHLO_REDUCE", "STABLEHLO_ABS",
        "STABLEHLO_AND", "STABLEHLO_COSINE", "STABLEHLO_EXPONENTIAL", "STABLEHLO_FLOOR", "STABLEHLO_LOG",
        "STABLEHLO_MINIMUM", "STABLEHLO_NEGATE", "STABLEHLO_OR", "STABLEHLO_POWER", "STABLEHLO_REMAINDER",
        "STABLEHLO_RSQRT", "STABLEHLO_SELECT", "STABLEHLO_SUBTRACT", "STABLEHLO_TANH", "STABLEHLO_SCATTER",
        "STABLEHLO_COMPARE", "STABLEHLO_CONVERT", "STABLEHLO_DYNAMIC_SLICE", "STABLEHLO_DYNAMIC_UPDATE_SLICE",
        "STABLEHLO_PAD", "STABLEHLO_IOTA", "STABLEHLO_DOT_GENERAL", "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SORT",
        "STABLEHLO_WHILE", "STABLEHLO_GATHER", "STABLEHLO_TRANSPOSE", "DILATE", "STABLEHLO_RNG_BIT_GENERATOR",
        "REDUCE_WINDOW", "STABLEHLO_COMPOSITE", "STABLEHLO_SHIFT_LEFT", "STABLEHLO_CBRT", "STABLEHLO_CASE",
    ]
}

extension BuiltinOperator {
    package static let add = Self(rawValue: 0)
    package static let averagePool2D = Self(rawValue: 1)
    package static let concatenation = Self(rawValue: 2)
    package static let conv2D = Self(rawValue: 3)
    package static let depthwiseConv2D = Self(rawValue: 4)
    package static let depthToSpace = Self(rawValue: 5)
    package static let dequantize = Self(rawValue: 6)
    package static let embeddingLookup = Self(rawValue: 7)
    package static let floor = Self(rawValue: 8)
    package static let fullyConnected = Self(rawValue: 9)
    package static let hashtableLookup = Self(rawValue: 10)
    package static let l2Normalization = Self(rawValue: 11)
    package static let l2Pool2D = Self(rawValue: 12)
    package static let localResponseNormalization = Self(rawValue: 13)
    package static let logistic = Self(rawValue: 14)
    package static let lshProjection = Self(rawValue: 15)
    package static let lstm = Self(rawValue: 16)
    package static let maxPool2D = Self(rawValue: 17)
    package static let mul = Self(rawValue: 18)
    package static let relu = Self(rawValue: 19)
    package static let reluN1To1 = Self(rawValue: 20)
    package static let relu6 = Self(rawValue: 21)
    package static let reshape = Self(rawValue: 22)
    package static let resizeBilinear = Self(rawValue: 23)
    package static let rnn = Self(rawValue: 24)
    package static let softmax = Self(rawValue: 25)
    package static let spaceToDepth = Self(rawValue: 26)
    package static let svdf = Self(rawValue: 27)
    package static let tanh = Self(rawValue: 28)
    package static let concatEmbeddings = Self(rawValue: 29)
    package static let skipGram = Self(rawValue: 30)
    package static let call = Self(rawValue: 31)
    package static let custom = Self(rawValue: 32)
    package static let embeddingLookupSparse = Self(rawValue: 33)
    package static let pad = Self(rawValue: 34)
    package static let unidirectionalSequenceRnn = Self(rawValue: 35)
    package static let gather = Self(rawValue: 36)
    package static let batchToSpaceNd = Self(rawValue: 37)
    package static let spaceToBatchNd = Self(rawValue: 38)
    package static let transpose = Self(rawValue: 39)
    package static let mean = Self(rawValue: 40)
    package static let sub = Self(rawValue: 41)
    package static let div = Self(rawValue: 42)
    package static let squeeze = Self(rawValue: 43)
    package static let unidirectionalSequenceLstm = Self(rawValue: 44)
    package static let stridedSlice = Self(rawValue: 45)
    package static let bidirectionalSequenceRnn = Self(rawValue: 46)
    package static let exp = Self(rawValue: 47)
    package static let topkV2 = Self(rawValue: 48)
    package static let split = Self(rawValue: 49)
    package static let logSoftmax = Self(rawValue: 50)
    package static let delegate = Self(rawValue: 51)
    package static let bidirectionalSequenceLstm = Self(rawValue: 52)
    package static let cast = Self(rawValue: 53)
    package static let prelu = Self(rawValue: 54)
    package static let maximum = Self(rawValue: 55)
    package static let argMax = Self(rawValue: 56)
    package static let minimum = Self(rawValue: 57)
    package static let less = Self(rawValue: 58)
    package static let neg = Self(rawValue: 59)
    package static let padv2 = Self(rawValue: 60)
    package static let greater = Self(rawValue: 61)
    package static let greaterEqual = Self(rawValue: 62)
    package static let lessEqual = Self(rawValue: 63)
    package static let select = Self(rawValue: 64)
    package static let slice = Self(rawValue: 65)
    package static let sin = Self(rawValue: 66)
    package static let transposeConv = Self(rawValue: 67)
    package static let sparseToDense = Self(rawValue: 68)
    package static let tile = Self(rawValue: 69)
    package static let expandDims = Self(rawValue: 70)
    package static let equal = Self(rawValue: 71)
    package static let notEqual = Self(rawValue: 72)
    package static let log = Self(rawValue: 73)
    package static let sum = Self(rawValue: 74)
    package static let sqrt = Self(rawValue: 75)
    package static let rsqrt = Self(rawValue: 76)
    package static let shape = Self(rawValue: 77)
    package static let pow = Self(rawValue: 78)
    package static let argMin = Self(rawValue: 79)
    package static let fakeQuant = Self(rawValue: 80)
    package static let reduceProd = Self(rawValue: 81)
    package static let reduceMax = Self(rawValue: 82)
    package static let pack = Self(rawValue: 83)
    package static let logicalOr = Self(rawValue: 84)
    package static let oneHot = Self(rawValue: 85)
    package static let logicalAnd = Self(rawValue: 86)
    package static let logicalNot = Self(rawValue: 87)
    package static let unpack = Self(rawValue: 88)
    package static let reduceMin = Self(rawValue: 89)
    package static let floorDiv = Self(rawValue: 90)
    package static let reduceAny = Self(rawValue: 91)
    package static let square = Self(rawValue: 92)
    package static let zerosLike = Self(rawValue: 93)
    package static let fill = Self(rawValue: 94)
    package static let floorMod = Self(rawValue: 95)
    package static let range = Self(rawValue: 96)
    package static let resizeNearestNeighbor = Self(rawValue: 97)
    package static let leakyRelu = Self(rawValue: 98)
    package static let squaredDifference = Self(rawValue: 99)
    package static let mirrorPad = Self(rawValue: 100)
    package static let abs = Self(rawValue: 101)
    package static let splitV = Self(rawValue: 102)
    package static let unique = Self(rawValue: 103)
    package static let ceil = Self(rawValue: 104)
    package static let reverseV2 = Self(rawValue: 105)
    package static let addN = Self(rawValue: 106)
    package static let gatherNd = Self(rawValue: 107)
    package static let cos = Self(rawValue: 108)
    package static let `where` = Self(rawValue: 109)
    package static let rank = Self(rawValue: 110)
    package static let elu = Self(rawValue: 111)
    package static let reverseSequence = Self(rawValue: 112)
    package static let matrixDiag = Self(rawValue: 113)
    package static let quantize = Self(rawValue: 114)
    package static let matrixSetDiag = Self(rawValue: 115)
    package static let round = Self(rawValue: 116)
    package static let hardSwish = Self(rawValue: 117)
    package static let `if` = Self(rawValue: 118)
    package static let `while` = Self(rawValue: 119)
    package static let nonMaxSuppressionV4 = Self(rawValue: 120)
    package static let nonMaxSuppressionV5 = Self(rawValue: 121)
    package static let scatterNd = Self(rawValue: 122)
    package static let selectV2 = Self(rawValue: 123)
    package static let densify = Self(rawValue: 124)
    package static let segmentSum = Self(rawValue: 125)
    package static let batchMatmul = Self(rawValue: 126)
    package static let placeholderForGreaterOpCodes = Self(rawValue: 127)
    package static let cumsum = Self(rawValue: 128)
    package static let callOnce = Self(rawValue: 129)
    package static let broadcastTo = Self(rawValue: 130)
    package static let rfft2D = Self(rawValue: 131)
    package static let conv3D = Self(rawValue: 132)
    package static let imag = Self(rawValue: 133)
    package static let real = Self(rawValue: 134)
    package static let complexAbs = Self(rawValue: 135)
    package static let hashtable = Self(rawValue: 136)
    package static let hashtableFind = Self(rawValue: 137)
    package static let hashtableImport = Self(rawValue: 138)
    package static let hashtableSize = Self(rawValue: 139)
    package static let reduceAll = Self(rawValue: 140)
    package static let conv3DTranspose = Self(rawValue: 141)
    package static let varHandle = Self(rawValue: 142)
    package static let readVariable = Self(rawValue: 143)
    package static let assignVariable = Self(rawValue: 144)
    package static let broadcastArgs = Self(rawValue: 145)
    package static let randomStandardNormal = Self(rawValue: 146)
    package static let bucketize = Self(rawValue: 147)
    package static let randomUniform = Self(rawValue: 148)
    package static let multinomial = Self(rawValue: 149)
    package static let gelu = Self(rawValue: 150)
    package static let dynamicUpdateSlice = Self(rawValue: 151)
    package static let relu0To1 = Self(rawValue: 152)
    package static let unsortedSegmentProd = Self(rawValue: 153)
    package static let unsortedSegmentMax = Self(rawValue: 154)
    package static let unsortedSegmentSum = Self(rawValue: 155)
    package static let atan2 = Self(rawValue: 156)
    package static let unsortedSegmentMin = Self(rawValue: 157)
    package static let sign = Self(rawValue: 158)
    package static let bitcast = Self(rawValue: 159)
    package static let bitwiseXor = Self(rawValue: 160)
    package static let rightShift = Self(rawValue: 161)
    package static let stablehloLogistic = Self(rawValue: 162)
    package static let stablehloAdd = Self(rawValue: 163)
    package static let stablehloDivide = Self(rawValue: 164)
    package static let stablehloMultiply = Self(rawValue: 165)
    package static let stablehloMaximum = Self(rawValue: 166)
    package static let stablehloReshape = Self(rawValue: 167)
    package static let stablehloClamp = Self(rawValue: 168)
    package static let stablehloConcatenate = Self(rawValue: 169)
    package static let stablehloBroadcastInDim = Self(rawValue: 170)
    package static let stablehloConvolution = Self(rawValue: 171)
    package static let stablehloSlice = Self(rawValue: 172)
    package static let stablehloCustomCall = Self(rawValue: 173)
    package static let stablehloReduce = Self(rawValue: 174)
    package static let stablehloAbs = Self(rawValue: 175)
    package static let stablehloAnd = Self(rawValue: 176)
    package static let stablehloCosine = Self(rawValue: 177)
    package static let stablehloExponential = Self(rawValue: 178)
    package static let stablehloFloor = Self(rawValue: 179)
    package static let stablehloLog = Self(rawValue: 180)
    package static let stablehloMinimum = Self(rawValue: 181)
    package static let stablehloNegate = Self(rawValue: 182)
    package static let stablehloOr = Self(rawValue: 183)
    package static let stablehloPower = Self(rawValue: 184)
    package static let stablehloRemainder = Self(rawValue: 185)
    package static let stablehloRsqrt = Self(rawValue: 186)
    package static let stablehloSelect = Self(rawValue: 187)
    package static let stablehloSubtract = Self(rawValue: 188)
    package static let stablehloTanh = Self(rawValue: 189)
    package static let stablehloScatter = Self(rawValue: 190)
    package static let stablehloCompare = Self(rawValue: 191)
    package static let stablehloConvert = Self(rawValue: 192)
    package static let stablehloDynamicSlice = Self(rawValue: 193)
    package static let stablehloDynamicUpdateSlice = Self(rawValue: 194)
    package static let stablehloPad = Self(rawValue: 195)
    package static let stablehloIota = Self(rawValue: 196)
    package static let stablehloDotGeneral = Self(rawValue: 197)
    package static let stablehloReduceWindow = Self(rawValue: 198)
    package static let stablehloSort = Self(rawValue: 199)
    package static let stablehloWhile = Self(rawValue: 200)
    package static let stablehloGather = Self(rawValue: 201)
    package static let stablehloTranspose = Self(rawValue: 202)
    package static let dilate = Self(rawValue: 203)
    package static let stablehloRngBitGenerator = Self(rawValue: 204)
    package static let reduceWindow = Self(rawValue: 205)
    package static let stablehloComposite = Self(rawValue: 206)
    package static let stablehloShiftLeft = Self(rawValue: 207)
    package static let stablehloCbrt = Self(rawValue: 208)
    package static let stablehloCase = Self(rawValue: 209)
}
