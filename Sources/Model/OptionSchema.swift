/// One options table of the schema: what reading, writing, defaults, printing and validation derive from.
package struct OptionSchema: Sendable {
    package struct Field: Sendable {
        package let name: String
        package let type: FieldType
        package let isVector: Bool
        /// What an absent scalar means.
        package let defaultValue: Int64
    }

    package let name: String
    /// Index = field id.
    package let fields: [Field]

    fileprivate init(name: String, fields: [Field]) {
        self.name = name
        self.fields = fields
    }
}

/// The type of a field: how it is stored, and what its numbers mean.
package struct FieldType: Sendable {
    package enum Storage: Sendable { case bool, int8, uint8, int32, uint32, int64, float, string }
    package enum Meaning: Sendable {
        case plain, tensorType
        /// An index into `Model.subgraphs`.
        case subgraph
        /// Names of the values 0, 1, ...
        case enumeration([String])
    }
    package let storage: Storage
    package let meaning: Meaning

    /// Bytes of one element on the wire.
    var width: Int {
        switch storage {
        case .bool, .int8, .uint8: 1
        case .int32, .uint32, .float, .string: 4
        case .int64: 8
        }
    }
}

extension OptionTable {
    package var schema: OptionSchema { self == .none ? Self.noFields : OptionSchemas.tables.schemas[ordinal] }

    func defaultValue(_ field: Int) -> Int64 {
        let fields = schema.fields
        return field < fields.count ? fields[field].defaultValue : 0
    }

    private static let noFields = OptionSchema(name: "", fields: [])

    private var ordinal: Int {
        rawValue < 256 ? Int(rawValue) - 1 : Int(rawValue) - 257 + OptionSchemas.firstUnionCount
    }
}

extension BuiltinOperator {
    /// The options table that goes with the operator; `.none` for one without options.
    package var optionTable: OptionTable {
        guard isKnown else { return .none }
        return OptionSchemas.tables.expected[Int(rawValue)]
    }
}

/// The rows below, parsed once, when the first of them is asked for.
private enum OptionSchemas {
    static let firstUnionCount = 126

    static let tables = parse()

    private static func parse() -> (schemas: [OptionSchema], expected: [OptionTable]) {
        let types = parseTypes()
        var schemas: [OptionSchema] = []
        var expected = [OptionTable](repeating: .none, count: 256)
        for line in lines(rows) {
            let words = line.split(separator: UInt8(ascii: " "))
            guard words.count >= 2 else { continue }
            let index = schemas.count
            let code = index < firstUnionCount ? index + 1 : index - firstUnionCount + 257
            let table = OptionTable(rawValue: UInt16(code)) ?? .none
            for number in words[0].split(separator: UInt8(ascii: ",")) {
                if let builtin = Int(text(number)), builtin < expected.count { expected[builtin] = table }
            }
            schemas.append(OptionSchema(name: text(words[1]), fields: words[2...].map { field($0, types) }))
        }
        return (schemas, expected)
    }

    /// `name:type`, `name:[type]` or `name:type=default`.
    private static func field(
        _ word: ArraySlice<UInt8>, _ types: [(name: [UInt8], type: FieldType)]
    ) -> OptionSchema.Field {
        let colon = word.firstIndex(of: UInt8(ascii: ":")) ?? word.endIndex
        let value = word.dropFirst(colon + 1 - word.startIndex)
        let equals = value.firstIndex(of: UInt8(ascii: "=")) ?? value.endIndex
        let isVector = value.first == UInt8(ascii: "[")
        let typeName = isVector ? value[..<equals].dropFirst().dropLast() : value[..<equals]
        let type = types.first { $0.name[...] == typeName }?.type
        return OptionSchema.Field(
            name: text(word[..<colon]), type: type ?? FieldType(storage: .int32, meaning: .plain), isVector: isVector,
            defaultValue: equals < value.endIndex ? Int64(text(value[(equals + 1)...])) ?? 0 : 0)
    }

    private static func parseTypes() -> [(name: [UInt8], type: FieldType)] {
        let own: [(name: String, type: FieldType)] = [
            ("bool", FieldType(storage: .bool, meaning: .plain)),
            ("ubyte", FieldType(storage: .uint8, meaning: .plain)),
            ("int", FieldType(storage: .int32, meaning: .plain)), ("long", FieldType(storage: .int64, meaning: .plain)),
            ("float", FieldType(storage: .float, meaning: .plain)),
            ("string", FieldType(storage: .string, meaning: .plain)),
            ("subgraph", FieldType(storage: .int32, meaning: .subgraph)),
            ("TensorType", FieldType(storage: .int8, meaning: .tensorType)),
        ]
        var types = own.map { (name: [UInt8]($0.name.utf8), type: $0.type) }
        for line in lines(enumerations) {
            let words = line.split(separator: UInt8(ascii: " "))
            let storage: FieldType.Storage =
                switch text(words[0]) {
                case "int": .int32
                case "uint": .uint32
                default: .int8
                }
            let meaning = FieldType.Meaning.enumeration(words[2...].map { text($0) })
            types.append((name: [UInt8](words[1]), type: FieldType(storage: storage, meaning: meaning)))
        }
        return types
    }

    /// Views of a string's bytes would be several times slower.
    private static func lines(_ text: String) -> [ArraySlice<UInt8>] {
        [UInt8](text.utf8)[...].split(separator: UInt8(ascii: "\n"))
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Storage, name, names of the values from 0.
    private static let enumerations = """
        byte Padding SAME VALID
        byte Activation NONE RELU RELU_N1_TO_1 RELU6 TANH SIGN_BIT
        byte LSHProjection UNKNOWN SPARSE DENSE
        byte WeightsFormat DEFAULT SHUFFLED4x16INT8
        byte LSTMKernel FULL BASIC
        byte Combiner SUM MEAN SQRTN
        byte MirrorPadMode REFLECT SYMMETRIC
        byte RngAlgorithm DEFAULT PHILOX THREEFRY
        byte CustomOptionsFormat FLEXBUFFERS
        uint Precision DEFAULT HIGH HIGHEST
        uint ComparisonDirection EQ NE GE GT LE LT
        uint ComparisonType NOTYPE FLOAT FLOAT_TOTAL_ORDER SIGNED UNSIGNED
        int ReduceWindowFunction UNSUPPORTED ADD MUL MINIMUM MAXIMUM ALL ANY
        """

    /// Codes of the operators that take the table, its name, its fields by id. Rows stand in the order of the unions:
    /// 126 of BuiltinOptions, then 23 of BuiltinOptions2.
    private static let rows = """
        3 Conv2DOptions padding:Padding stride_w:int stride_h:int fused_activation_function:Activation \
          dilation_w_factor:int=1 dilation_h_factor:int=1 quantized_bias_type:TensorType
        4 DepthwiseConv2DOptions padding:Padding stride_w:int stride_h:int depth_multiplier:int \
          fused_activation_function:Activation dilation_w_factor:int=1 dilation_h_factor:int=1
        29 ConcatEmbeddingsOptions num_channels:int num_columns_per_channel:[int] embedding_dim_per_channel:[int]
        15 LSHProjectionOptions type:LSHProjection
        1,12,17 Pool2DOptions padding:Padding stride_w:int stride_h:int filter_width:int filter_height:int \
          fused_activation_function:Activation
        27 SVDFOptions rank:int fused_activation_function:Activation asymmetric_quantize_inputs:bool
        24 RNNOptions fused_activation_function:Activation asymmetric_quantize_inputs:bool
        9 FullyConnectedOptions fused_activation_function:Activation weights_format:WeightsFormat \
          keep_num_dims:bool asymmetric_quantize_inputs:bool quantized_bias_type:TensorType
        25 SoftmaxOptions beta:float
        2 ConcatenationOptions axis:int fused_activation_function:Activation
        0 AddOptions fused_activation_function:Activation pot_scale_int16:bool=1
        11 L2NormOptions fused_activation_function:Activation
        13 LocalResponseNormalizationOptions radius:int bias:float alpha:float beta:float
        16 LSTMOptions fused_activation_function:Activation cell_clip:float proj_clip:float kernel_type:LSTMKernel \
          asymmetric_quantize_inputs:bool
        23 ResizeBilinearOptions new_height:int new_width:int align_corners:bool half_pixel_centers:bool
        31 CallOptions subgraph:subgraph
        22 ReshapeOptions new_shape:[int]
        30 SkipGramOptions ngram_size:int max_skip_size:int include_all_ngrams:bool
        26 SpaceToDepthOptions block_size:int
        33 EmbeddingLookupSparseOptions combiner:Combiner
        18 MulOptions fused_activation_function:Activation
        34 PadOptions
        36 GatherOptions axis:int batch_dims:int
        37 BatchToSpaceNDOptions
        38 SpaceToBatchNDOptions
        39 TransposeOptions
        40,74,81,82,89,91,140 ReducerOptions keep_dims:bool
        41 SubOptions fused_activation_function:Activation pot_scale_int16:bool=1
        42 DivOptions fused_activation_function:Activation
        43 SqueezeOptions squeeze_dims:[int]
        35 SequenceRNNOptions time_major:bool fused_activation_function:Activation asymmetric_quantize_inputs:bool
        45 StridedSliceOptions begin_mask:int end_mask:int ellipsis_mask:int new_axis_mask:int shrink_axis_mask:int \
          offset:bool
        47 ExpOptions
        48 TopKV2Options
        49 SplitOptions num_splits:int
        50 LogSoftmaxOptions
        53 CastOptions in_data_type:TensorType out_data_type:TensorType
        6 DequantizeOptions
        55,57 MaximumMinimumOptions
        56 ArgMaxOptions output_type:TensorType
        58 LessOptions
        59 NegOptions
        60 PadV2Options
        61 GreaterOptions
        62 GreaterEqualOptions
        63 LessEqualOptions
        64 SelectOptions
        65 SliceOptions
        67 TransposeConvOptions padding:Padding stride_w:int stride_h:int fused_activation_function:Activation \
          quantized_bias_type:TensorType
        68 SparseToDenseOptions validate_indices:bool
        69 TileOptions
        70 ExpandDimsOptions
        71 EqualOptions
        72 NotEqualOptions
        77 ShapeOptions out_type:TensorType
        78 PowOptions
        79 ArgMinOptions output_type:TensorType
        80 FakeQuantOptions min:float max:float num_bits:int narrow_range:bool
        83 PackOptions values_count:int axis:int
        84 LogicalOrOptions
        85 OneHotOptions axis:int
        86 LogicalAndOptions
        87 LogicalNotOptions
        88 UnpackOptions num:int axis:int
        90 FloorDivOptions
        92 SquareOptions
        93 ZerosLikeOptions
        94 FillOptions
        52 BidirectionalSequenceLSTMOptions fused_activation_function:Activation cell_clip:float proj_clip:float \
          merge_outputs:bool time_major:bool=1 asymmetric_quantize_inputs:bool
        46 BidirectionalSequenceRNNOptions time_major:bool fused_activation_function:Activation merge_outputs:bool \
          asymmetric_quantize_inputs:bool
        44 UnidirectionalSequenceLSTMOptions fused_activation_function:Activation cell_clip:float proj_clip:float \
          time_major:bool asymmetric_quantize_inputs:bool diagonal_recurrent_tensors:bool
        95 FloorModOptions
        96 RangeOptions
        97 ResizeNearestNeighborOptions align_corners:bool half_pixel_centers:bool
        98 LeakyReluOptions alpha:float
        99 SquaredDifferenceOptions
        100 MirrorPadOptions mode:MirrorPadMode
        101 AbsOptions
        102 SplitVOptions num_splits:int
        103 UniqueOptions idx_out_type:TensorType=2
        105 ReverseV2Options
        106 AddNOptions
        107 GatherNdOptions
        108 CosOptions
        109 WhereOptions
        110 RankOptions
        112 ReverseSequenceOptions seq_dim:int batch_dim:int
        113 MatrixDiagOptions
        114 QuantizeOptions
        115 MatrixSetDiagOptions
        117 HardSwishOptions
        118 IfOptions then_subgraph_index:subgraph else_subgraph_index:subgraph
        119 WhileOptions cond_subgraph_index:subgraph body_subgraph_index:subgraph
        5 DepthToSpaceOptions block_size:int
        120 NonMaxSuppressionV4Options
        121 NonMaxSuppressionV5Options
        122 ScatterNdOptions
        123 SelectV2Options
        124 DensifyOptions
        125 SegmentSumOptions
        126 BatchMatMulOptions adj_x:bool adj_y:bool asymmetric_quantize_inputs:bool
        128 CumsumOptions exclusive:bool reverse:bool
        129 CallOnceOptions init_subgraph_index:subgraph
        130 BroadcastToOptions
        131 Rfft2dOptions
        132,141 Conv3DOptions padding:Padding stride_d:int stride_w:int stride_h:int \
          fused_activation_function:Activation dilation_d_factor:int=1 dilation_w_factor:int=1 \
          dilation_h_factor:int=1
        136 HashtableOptions table_id:int key_dtype:TensorType value_dtype:TensorType
        137 HashtableFindOptions
        138 HashtableImportOptions
        139 HashtableSizeOptions
        142 VarHandleOptions container:string shared_name:string
        143 ReadVariableOptions
        144 AssignVariableOptions
        146,148,149 RandomOptions seed:long seed2:long
        147 BucketizeOptions boundaries:[float]
        150 GeluOptions approximate:bool
        151 DynamicUpdateSliceOptions
        153 UnsortedSegmentProdOptions
        154 UnsortedSegmentMaxOptions
        157 UnsortedSegmentMinOptions
        155 UnsortedSegmentSumOptions
        156 ATan2Options
        158 SignOptions
        159 BitcastOptions
        160 BitwiseXorOptions
        161 RightShiftOptions
        169 StablehloConcatenateOptions dimension:long
        170 StablehloBroadcastInDimOptions broadcast_dimensions:[long]
        172 StablehloSliceOptions start_indices:[long] limit_indices:[long] strides:[long]
        171 StablehloConvolutionOptions window_strides:[long] padding:[long] lhs_dilation:[long] \
          rhs_dilation:[long] window_reversal:[bool] input_batch_dimension:long input_feature_dimension:long \
          input_spatial_dimensions:[long] kernel_input_feature_dimension:long kernel_output_feature_dimension:long \
          kernel_spatial_dimensions:[long] output_batch_dimension:long output_feature_dimension:long \
          output_spatial_dimensions:[long] feature_group_count:long batch_group_count:long \
          precision_config:[Precision]
        173 StablehloCustomCallOptions call_target_name:string has_side_effect:bool backend_config:string \
          api_version:int called_computations:[subgraph] custom_attributes:[ubyte]
        174 StablehloReduceOptions dimensions:[long] body_subgraph_index:subgraph
        190 StablehloScatterOptions indices_are_sorted:bool update_window_dims:[long] inserted_window_dims:[long] \
          scatter_dims_to_operand_dims:[long] index_vector_dim:long unique_indices:bool \
          update_computation_subgraph_index:subgraph
        191 StablehloCompareOptions comparison_direction:ComparisonDirection compare_type:ComparisonType
        193 StablehloDynamicSliceOptions slice_sizes:[long]
        195 StablehloPadOptions edge_padding_low:[long] edge_padding_high:[long] interior_padding:[long]
        196 StablehloIotaOptions iota_dimension:long
        197 StablehloDotGeneralOptions lhs_batching_dimensions:[long] rhs_batching_dimensions:[long] \
          lhs_contracting_dimensions:[long] rhs_contracting_dimensions:[long] precision_config:[Precision]
        198 StablehloReduceWindowOptions window_dimensions:[long] window_strides:[long] base_dilations:[long] \
          window_dilations:[long] padding:[long] body_subgraph_index:subgraph
        199 StablehloSortOptions dimension:long is_stable:bool comparator_subgraph_index:subgraph
        200 StablehloWhileOptions cond_subgraph_index:subgraph body_subgraph_index:subgraph
        201 StablehloGatherOptions offset_dims:[long] collapsed_slice_dims:[long] start_index_map:[long] \
          index_vector_dim:long slice_sizes:[long] indices_are_sorted:bool
        202 StablehloTransposeOptions permutation:[long]
        203 DilateOptions
        204 StablehloRngBitGeneratorOptions algorithm:RngAlgorithm
        205 ReduceWindowOptions reduce_function:ReduceWindowFunction
        206 StableHLOCompositeOptions name:string decomposition_subgraph_index:subgraph \
          composite_attributes:[ubyte] composite_attributes_format:CustomOptionsFormat version:int
        207 StablehloShiftLeftOptions
        209 StablehloCaseOptions branch_subgraph_indices:[subgraph]
        """
}
