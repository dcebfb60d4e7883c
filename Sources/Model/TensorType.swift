/// Element types; raw values are the schema's.
package enum TensorType: UInt8, Sendable {
    case float32 = 0, float16, int32, uint8, int64, string, bool, int16, complex64, int8, float64, complex128
    case uint64, resource, variant, uint32, uint16, int4, bfloat16, int2, uint4, float8e4m3fn, float8e5m2

    /// As .tflite tools print it.
    package var name: String {
        switch self {
        case .float32: "FLOAT32"
        case .float16: "FLOAT16"
        case .int32: "INT32"
        case .uint8: "UINT8"
        case .int64: "INT64"
        case .string: "STRING"
        case .bool: "BOOL"
        case .int16: "INT16"
        case .complex64: "COMPLEX64"
        case .int8: "INT8"
        case .float64: "FLOAT64"
        case .complex128: "COMPLEX128"
        case .uint64: "UINT64"
        case .resource: "RESOURCE"
        case .variant: "VARIANT"
        case .uint32: "UINT32"
        case .uint16: "UINT16"
        case .int4: "INT4"
        case .bfloat16: "BFLOAT16"
        case .int2: "INT2"
        case .uint4: "UINT4"
        case .float8e4m3fn: "FLOAT8_E4M3FN"
        case .float8e5m2: "FLOAT8_E5M2"
        }
    }

    /// Bits of one element; nil where elements have no fixed size.
    package var bits: Int? {
        switch self {
        case .int2: 2
        case .int4, .uint4: 4
        case .uint8, .int8, .bool, .float8e4m3fn, .float8e5m2: 8
        case .float16, .bfloat16, .int16, .uint16: 16
        case .float32, .int32, .uint32: 32
        case .int64, .uint64, .float64, .complex64: 64
        case .complex128: 128
        case .string, .resource, .variant: nil
        }
    }

    /// Bytes of `count` elements, the last byte filled up; nil if the size is not fixed or overflows.
    package func byteCount(_ count: Int) -> Int? {
        guard let bits else { return nil }
        let (total, overflow) = count.multipliedReportingOverflow(by: bits)
        return overflow ? nil : (total + 7) / 8
    }
}

/// Number of elements of a shape; nil if a dimension is negative or the product overflows.
package func elementCount(_ shape: [Int]) -> Int? {
    var product = 1
    for dimension in shape {
        guard dimension >= 0 else { return nil }
        let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
        guard !overflow else { return nil }
        product = next
    }
    return product
}
