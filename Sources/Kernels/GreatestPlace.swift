import CKernels

/// Where lines have their greatest or their least number; of several, the first. A NaN loses to any number.
package struct GreatestPlace: Sendable {
    package enum Element: Sendable {
        case int8, uint8, int16, int32, int64, float32, float64

        fileprivate var number: eo_number {
            switch self {
            case .int8: EO_S8
            case .uint8: EO_U8
            case .int16: EO_S16
            case .int32: EO_S32
            case .int64: EO_S64
            case .float32: EO_F32
            case .float64: EO_F64
            }
        }

        fileprivate var size: Int {
            switch self {
            case .int8, .uint8: 1
            case .int16: 2
            case .int32, .float32: 4
            case .int64, .float64: 8
            }
        }

        /// Of lines without gaps. The bytes' has no sign: what turns the order of the numbers into that of the kernel.
        fileprivate func kernel(least: Bool) -> (flip: UInt32, run: eo_greatest_place_function)? {
            let table = kernelTable.pointee
            return switch self {
            case .float32: (least ? 1 << 31 : 0, table.f32_greatest_place)
            case .int8: (least ? 0x7f : 0x80, table.x8_greatest_place)
            case .uint8: (least ? 0xff : 0, table.x8_greatest_place)
            default: nil
            }
        }
    }

    private let element: Element
    private let inner: Int
    private let least: Bool
    private let search: eo_greatest_place

    /// The numbers are [rows][count][inner], `count` at least 1, rows `stride` apart; places have 32 bits, or 64.
    package init(
        _ element: Element, least: Bool, rows: Int, count: Int, inner: Int = 1, stride: Int, wide: Bool
    ) {
        (self.element, self.inner, self.least) = (element, inner, least)
        search = eo_greatest_place(
            rows: inner == 0 ? 0 : rows, n: count, stride: stride, flip: element.kernel(least: least)?.flip ?? 0,
            wide: wide)
    }

    /// The first row begins `start` elements behind the first of `x`. Large tensors are shared among the threads of
    /// `pool`. Nothing is allocated.
    package func run(
        _ x: Span<UInt8>, from start: Int = 0, to places: inout MutableSpan<UInt8>, pool: ThreadPool
    ) {
        let (size, width) = (element.size, search.wide ? 8 : 4)
        guard search.rows > 0 else { return }
        precondition(x.count >= size * (start + (search.rows - 1) * search.stride + search.n * inner))
        precondition(places.count >= width * search.rows * inner)
        x.withUnsafeBytes { x in
            places.withUnsafeMutableBytes { places in
                guard let x = x.baseAddress, let places = places.baseAddress else { return }
                var job = Job(
                    search: search, element: element.number, inner: inner, least: least,
                    kernel: inner == 1 ? element.kernel(least: least)?.run : nil, x: x + size * start,
                    rowBytes: size * search.stride, places: places, placeBytes: width * inner,
                    cut: Pieces(search.rows, atMost: max(1, elementsPerPiece / search.n / inner), pool: pool))
                pool.run(job.cut.count, &job) { context, piece, _ in
                    context.assumingMemoryBound(to: Job.self).pointee.run(piece)
                }
            }
        }
    }

    private struct Job {
        let search: eo_greatest_place
        let element: eo_number
        let inner: Int
        let least: Bool
        let kernel: eo_greatest_place_function?
        let x: UnsafeRawPointer
        let rowBytes: Int
        let places: UnsafeMutableRawPointer
        let placeBytes: Int
        let cut: Pieces

        func run(_ piece: Int) {
            let rows = cut[piece]
            var part = search
            part.rows = rows.count
            let (from, to) = (x + rows.lowerBound * rowBytes, places + rows.lowerBound * placeBytes)
            if let kernel { kernel(&part, from, to) } else { eo_place(&part, element, inner, least, from, to) }
        }
    }
}

private typealias eo_greatest_place_function =
    @convention(c) (UnsafePointer<eo_greatest_place>, UnsafeRawPointer, UnsafeMutableRawPointer) -> Void
