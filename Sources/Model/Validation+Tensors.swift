extension Validator {
    func checkTensors(_ subgraph: Int) throws(Failure) {
        soundScales = []
        for (index, tensor) in model.subgraphs[subgraph].tensors.enumerated() {
            let part = Part.tensor(subgraph: subgraph, index: index)
            try checkShape(tensor, part)
            try checkIndex(tensor.buffer, model.buffers.count, part, "buffer")
            try checkData(tensor, stored: try storedCount(tensor, part), part)
            if let quantization = tensor.quantization { try check(quantization, tensor, part) }
        }
        // Details name other tensors, whose shapes are only now known to be sound.
        for (index, tensor) in model.subgraphs[subgraph].tensors.enumerated() {
            if let details = tensor.quantization?.details {
                try check(details, tensor, model.subgraphs[subgraph], .tensor(subgraph: subgraph, index: index))
            }
        }
    }

    private func checkShape(_ tensor: Tensor, _ part: Part) throws(Failure) {
        guard tensor.shape.count <= 64 else {
            throw invalid(part, "at most 64 dimensions were expected, found \(tensor.shape.count)")
        }
        for dimension in tensor.shape where dimension < 0 || dimension > Int(Int32.max) {
            throw invalid(part, "a shape of sizes from 0 to 2^31 - 1 was expected, found \(tensor.shape.listed)")
        }
        // Sizes of 0 count as 1, so that no product of some of the sizes can overflow either.
        guard let count = elementCount(tensor.shape.map { max($0, 1) }), count <= Int.max / 32 else {
            throw invalid(part, "the elements of shape \(tensor.shape.listed) are more than can be counted")
        }
        guard let signature = tensor.shapeSignature, !signature.isEmpty else { return }
        guard signature.count == tensor.shape.count else {
            throw invalid(
                part, "a shape signature of rank \(tensor.shape.count) was expected, found \(signature.count)")
        }
        for dimension in signature where dimension < -1 || dimension > Int(Int32.max) {
            throw invalid(part, "a shape signature of sizes, or -1, was expected, found \(signature)")
        }
    }

    /// The data of a constant must be as long as its shape says; more is tolerated, as LiteRT does.
    private func checkData(_ tensor: Tensor, stored: Int, _ part: Part) throws(Failure) {
        let elements = elementCount(tensor.shape) ?? 0
        if tensor.externalBuffer != 0 {
            guard let index = externalBuffers[tensor.externalBuffer] else {
                throw invalid(part, "external buffer \(tensor.externalBuffer) is not in the model's list")
            }
            let external = model.externalBuffers[index]
            guard let needed = tensor.type.byteCount(elements), external.length >= needed else {
                throw invalid(part, "its external buffer of \(external.length) bytes is too short for its shape")
            }
        }
        guard let data = model.data(of: tensor) else { return }
        guard !tensor.isVariable else { throw invalid(part, "a variable was found with \(data.count) bytes of data") }
        if tensor.type == .string { return try checkStrings(data, tensor, elements, part) }
        guard let needed = tensor.type.byteCount(stored) else {
            throw invalid(part, "a constant cannot have type \(tensor.type.name)")
        }
        guard data.count >= needed else {
            throw invalid(
                part,
                "\(needed) bytes were expected for \(tensor.type.name)\(tensor.shape.listed), found \(data.count)"
                    + " in buffer \(tensor.buffer)")
        }
    }

    /// Elements that the buffer holds: all of them, or those that the sparsity keeps.
    private func storedCount(_ tensor: Tensor, _ part: Part) throws(Failure) -> Int {
        guard let sparsity = tensor.sparsity else { return elementCount(tensor.shape) ?? 0 }
        switch sparsity.layout(shape: tensor.shape) {
        case .sound(let layout): return layout.storedCount
        case .unsound(let problem): throw invalid(part, "sparsity: \(problem)")
        }
    }

    private func checkStrings(_ data: Bytes, _ tensor: Tensor, _ elements: Int, _ part: Part) throws(Failure) {
        if stringCounts[tensor.buffer] == nil {
            try spend(data.count / 4, part)
            guard let count = StringTensor.validCount(data) else {
                throw invalid(part, "the offsets of its strings lead outside buffer \(tensor.buffer)")
            }
            stringCounts[tensor.buffer] = count
        }
        guard stringCounts[tensor.buffer] == elements else {
            throw invalid(
                part,
                "\(elements) strings were expected, found \(stringCounts[tensor.buffer] ?? 0)"
                    + " in buffer \(tensor.buffer)")
        }
    }

    private func check(_ quantization: Quantization, _ tensor: Tensor, _ part: Part) throws(Failure) {
        let scales = quantization.scales
        // The schema: with details, the other parameters are ignored.
        guard quantization.details == nil, !scales.isEmpty else { return }
        guard quantization.zeroPoints.count == scales.count else {
            throw invalid(part, "\(scales.count) zero points were expected, found \(quantization.zeroPoints.count)")
        }
        let dimension = quantization.dimension
        if scales.count > 1 {
            guard dimension >= 0, dimension < tensor.shape.count else {
                throw invalid(part, "quantized dimension \(dimension) is not in shape \(tensor.shape.listed)")
            }
            guard tensor.shape[dimension] == scales.count else {
                throw invalid(
                    part,
                    "\(tensor.shape[dimension]) scales were expected along dimension \(dimension),"
                        + " found \(scales.count)")
            }
        }
        guard let range = tensor.type.integerRange else { return }
        for scale in scales where !(scale > 0 && scale.isFinite) {
            throw invalid(part, "a quantization scale that is finite and above 0 was expected, found \(scale)")
        }
        for zeroPoint in quantization.zeroPoints where !range.contains(zeroPoint) {
            throw invalid(
                part, "a zero point within \(tensor.type.name) was expected, found \(zeroPoint)")
        }
    }

    private func check(
        _ details: QuantizationDetails, _ tensor: Tensor, _ subgraph: Subgraph, _ part: Part
    ) throws(Failure) {
        switch details {
        case .custom: return
        case .blockwise(let scales, let zeroPoints, let blockSize):
            guard let last = tensor.shape.last, blockSize > 0, last % blockSize == 0 else {
                throw invalid(
                    part, "blocks of \(blockSize) do not divide the last dimension of shape \(tensor.shape.listed)")
            }
            let blocks = (elementCount(tensor.shape) ?? 0) / blockSize
            try checkScales(scales, zeroPoints, blocks, subgraph, part)
        case .multiAxis(let scales, let zeroPoints, let blockSize, let dimensions):
            for dimension in dimensions where dimension < 0 || dimension >= tensor.shape.count {
                throw invalid(part, "quantized dimension \(dimension) is not in shape \(tensor.shape.listed)")
            }
            guard Set(dimensions).count == dimensions.count, blockSize >= 0 else {
                throw invalid(part, "dimensions \(dimensions.listed) with blocks of \(blockSize) are no quantization")
            }
            try checkScales(scales, zeroPoints, nil, subgraph, part)
        }
    }

    private func checkScales(
        _ scales: Int, _ zeroPoints: Int, _ count: Int?, _ subgraph: Subgraph, _ part: Part
    ) throws(Failure) {
        try checkIndex(scales, subgraph.tensors.count, part, "scale tensor")
        try checkIndex(zeroPoints, subgraph.tensors.count, part, "zero point tensor", optional: true)
        let tensor = subgraph.tensors[scales]
        guard tensor.type == .float32 || tensor.type == .float16 || tensor.type == .bfloat16 else {
            throw invalid(part, "scales of a float type were expected in tensor \(scales), found \(tensor.type.name)")
        }
        let found = elementCount(tensor.shape) ?? 0
        if let count, count != found {
            throw invalid(part, "\(count) scales, one per block, were expected in tensor \(scales), found \(found)")
        }
        // An absent index reads as 0: tensor 0 stands for zero points only if it can be them.
        if zeroPoints > 0, (elementCount(subgraph.tensors[zeroPoints].shape) ?? 0) != found {
            throw invalid(part, "as many zero points as scales were expected in tensor \(zeroPoints)")
        }
        guard soundScales.insert(scales).inserted, let data = model.data(of: tensor) else { return }
        try spend(found, part)
        for scale in FloatValues.read(data, tensor.type).prefix(found) where !(scale > 0 && scale.isFinite) {
            throw invalid(part, "scales that are finite and above 0 were expected in tensor \(scales), found \(scale)")
        }
    }
}

extension TensorType {
    /// Values of a quantized or integer type; nil for other types.
    package var integerRange: ClosedRange<Int>? {
        switch self {
        case .int2: -2...1
        case .int4: -8...7
        case .uint4: 0...15
        case .int8: -128...127
        case .uint8: 0...255
        case .int16: -32768...32767
        case .uint16: 0...65535
        case .int32: Int(Int32.min)...Int(Int32.max)
        case .uint32: 0...Int(UInt32.max)
        case .int64: Int.min...Int.max
        case .uint64: 0...Int.max
        case .float16, .float32, .float64, .bfloat16, .float8e4m3fn, .float8e5m2, .complex64, .complex128, .bool,
            .string, .resource, .variant:
            nil
        }
    }
}
