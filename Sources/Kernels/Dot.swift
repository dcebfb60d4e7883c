/// The sum of a[i + k] * b[j + k] over k in 0..<count, in four interleaved partial sums: the same bits everywhere.
@inline(never) package func dot(_ a: Span<Float>, _ i: Int, _ b: Span<Float>, _ j: Int, count: Int) -> Float {
    precondition(i >= 0 && j >= 0 && count <= a.count - i && count <= b.count - j)
    return a.withUnsafeBufferPointer { a in
        b.withUnsafeBufferPointer { b in
            guard count > 0, let first = a.baseAddress, let second = b.baseAddress else { return 0 }
            let (x, y) = (first + i, second + j)
            var sums = SIMD4<Float>.zero
            var k = 0
            while k + 4 <= count {
                let u = UnsafeRawPointer(x + k).loadUnaligned(as: SIMD4<Float>.self)
                sums += u * UnsafeRawPointer(y + k).loadUnaligned(as: SIMD4<Float>.self)
                k += 4
            }
            var total = (sums[0] + sums[1]) + (sums[2] + sums[3])
            while k < count {
                total += x[k] * y[k]
                k += 1
            }
            return total
        }
    }
}

/// The sum of a[i + k] * (b[j + k] - zeroPoint) over k in 0..<count, modulo 2^32. The zero point is an int8 number.
@inline(never) package func dot(
    _ a: Span<Int8>, _ i: Int, _ b: Span<Int8>, _ j: Int, count: Int, zeroPoint: Int32 = 0
) -> Int32 {
    precondition(i >= 0 && j >= 0 && count <= a.count - i && count <= b.count - j)
    return a.withUnsafeBufferPointer { a in
        b.withUnsafeBufferPointer { b in
            guard count > 0, let first = a.baseAddress, let second = b.baseAddress else { return 0 }
            let (x, y) = (first + i, second + j)
            // Products fit 16 bits.
            let zero = Int16(truncatingIfNeeded: zeroPoint)
            var sums = SIMD8<Int32>.zero
            var k = 0
            while k + 8 <= count {
                let u = UnsafeRawPointer(x + k).loadUnaligned(as: SIMD8<Int8>.self)
                let v = UnsafeRawPointer(y + k).loadUnaligned(as: SIMD8<Int8>.self)
                let shifted = SIMD8<Int16>(truncatingIfNeeded: v) &- zero
                sums &+= SIMD8<Int32>(truncatingIfNeeded: SIMD8<Int16>(truncatingIfNeeded: u) &* shifted)
                k += 8
            }
            var total = sums.wrappedSum()
            while k < count {
                total &+= Int32(x[k]) &* (Int32(y[k]) &- zeroPoint)
                k += 1
            }
            return total
        }
    }
}
