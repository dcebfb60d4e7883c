import Model

/// What the numbers of a constant tensor look like.
package struct WeightStatistics: Sendable {
    package let elements: Int
    /// Elements that stand for the number 0.
    package let zeros: Int
    /// Different numbers that are stored.
    package let distinct: Int
    package let least: Float
    package let greatest: Float
    package let mean: Double
    package let deviation: Double

    /// NaN are left out of all but `elements` and `distinct`.
    package init(_ tensor: WeightValues) {
        let values = tensor.real
        var (sum, squares, zeros, count) = (0.0, 0.0, 0, 0)
        var (least, greatest): (Float, Float) = (.infinity, -.infinity)
        for value in values where !value.isNaN {
            count += 1
            if value == 0 { zeros += 1 }
            least = min(least, value)
            greatest = max(greatest, value)
            sum += Double(value)
            squares += Double(value) * Double(value)
        }
        elements = values.count
        self.zeros = zeros
        distinct = distinctCount(tensor.stored)
        self.least = count > 0 ? least : 0
        self.greatest = count > 0 ? greatest : 0
        mean = count > 0 ? sum / Double(count) : 0
        deviation = count > 0 ? max(0, squares / Double(count) - mean * mean).squareRoot() : 0
    }

    /// How many values fall into each of `bins` equal parts of the range from the least to the greatest.
    package func histogram(_ values: [Float], bins: Int) -> [Int64] {
        var counts = [Int64](repeating: 0, count: bins)
        let width = Double(greatest) - Double(least)
        for value in values where value.isFinite {
            let share = width > 0 ? (Double(value) - Double(least)) / width : 0
            // Infinite ends give a share that is no number.
            let bin = share.isFinite ? Int(min(max(share * Double(bins), 0), Double(bins - 1))) : 0
            counts[bin] += 1
        }
        return counts
    }
}

/// The numbers of a constant tensor: as stored, and what they stand for.
package struct WeightValues: Sendable {
    package let stored: [Float]
    package let real: [Float]

    /// nil for a tensor without values in this file, or whose elements are no numbers of at most 32 bits.
    package init?(_ model: Model, _ graph: Int, _ tensor: Int) {
        let tensor = model.subgraphs[graph].tensors[tensor]
        guard var data = model.data(of: tensor) else { return nil }
        if let sparsity = tensor.sparsity {
            guard case .sound(let layout) = sparsity.layout(shape: tensor.shape) else { return nil }
            do throws(Failure) { data = try layout.densify(data, type: tensor.type) } catch { return nil }
        }
        switch tensor.type {
        case .float32, .float16, .bfloat16: stored = FloatValues.read(data, tensor.type)
        case .int8: stored = data.array(of: Int8.self).map { Float($0) }
        case .uint8: stored = data.array(of: UInt8.self).map { Float($0) }
        case .int16: stored = data.array(of: Int16.self).map { Float($0) }
        case .int32: stored = data.array(of: Int32.self).map { Float($0) }
        case .int4, .uint4, .int2:
            guard let count = elementCount(tensor.shape),
                let values = PackedIntegers.unpack(data, type: tensor.type, count: count)
            else { return nil }
            stored = values.map { Float($0) }
        default: return nil
        }
        real = Self.real(stored, tensor)
    }

    private static func real(_ stored: [Float], _ tensor: Tensor) -> [Float] {
        guard let quantization = tensor.quantization, quantization.details == nil, !quantization.scales.isEmpty else {
            return stored
        }
        let scales = quantization.scales
        var inner = 1
        if scales.count > 1 {
            guard quantization.dimension >= 0, quantization.dimension < tensor.shape.count else { return stored }
            inner = max(1, tensor.shape[(quantization.dimension + 1)...].reduce(1, *))
        }
        return stored.indices.map { index in
            let channel = index / inner % scales.count
            let zero = channel < quantization.zeroPoints.count ? quantization.zeroPoints[channel] : 0
            return scales[channel] * (stored[index] - Float(zero))
        }
    }
}
