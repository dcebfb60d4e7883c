import CEdgeOpt
import CPlatform
import Model

/// C strings and arrays that a handle hands out; they live as long as it.
@safe final class CMemory {
    private var blocks: [UnsafeMutableRawPointer] = unsafe []
    private var interned: [String: UnsafePointer<CChar>] = unsafe [:]

    deinit { unsafe blocks.forEach { unsafe platform_free($0) } }

    /// nil only if there is no memory left.
    private func block(_ count: Int) -> UnsafeMutableRawPointer? {
        guard let block = unsafe platform_aligned_alloc(16, max(1, count)) else { return nil }
        unsafe blocks.append(block)
        return unsafe block
    }

    func array<T: BitwiseCopyable>(_ elements: [T]) -> UnsafePointer<T>? {
        guard let copy = unsafe block(elements.count * MemoryLayout<T>.stride) else { return nil }
        unsafe elements.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            unsafe copy.copyMemory(from: base, byteCount: source.count)
        }
        return unsafe UnsafePointer(copy.assumingMemoryBound(to: T.self))
    }

    func string(_ text: String) -> UnsafePointer<CChar>? { unsafe array(Array(text.utf8CString)) }

    /// The same pointer for the same text, so that asking again and again costs no memory.
    func intern(_ text: String) -> UnsafePointer<CChar>? {
        if let known = unsafe interned[text] { return unsafe known }
        let made = unsafe string(text)
        unsafe interned[text] = made
        return unsafe made
    }

    func indices(_ numbers: [Int]) -> UnsafePointer<Int32>? { unsafe array(numbers.map { Int32(clamping: $0) }) }
}

/// The C description of a tensor; data and size are the caller's business.
func describe(
    _ index: Int, _ tensor: Tensor, shape: [Int], in memory: CMemory
) -> eo_tensor {
    var result = unsafe eo_tensor()
    unsafe result.index = Int32(count: index)
    unsafe result.name = memory.string(tensor.name)
    unsafe result.type = eo_type(rawValue: UInt32(tensor.type.rawValue))
    unsafe result.rank = Int32(count: shape.count)
    unsafe result.shape = memory.indices(shape)
    if let signature = tensor.shapeSignature { unsafe result.shape_signature = memory.indices(signature) }
    unsafe result.is_variable = tensor.isVariable
    unsafe result.is_sparse = tensor.sparsity != nil
    if let quantization = tensor.quantization {
        unsafe result.quantization_count = Int32(count: quantization.scales.count)
        unsafe result.scales = memory.array(quantization.scales)
        unsafe result.zero_points = memory.array(quantization.zeroPoints.map { Int64($0) })
        unsafe result.quantized_dimension = Int32(count: quantization.dimension)
        if case .blockwise(_, _, let size) = quantization.details { unsafe result.block_size = Int32(count: size) }
    }
    return unsafe result
}
