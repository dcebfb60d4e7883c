import CKernels
import CPlatform
import Model

/// Which of several forms of a layer is the fastest, found by running each on the layer's own shape. The answer is kept
/// with the packed weights, in their file too, and asked for again only if that is gone.
struct Autotune {
    let cache: PackedWeightCache
    /// What the answer depends on, besides the instruction set.
    let question: Sentence
    let inputCount: Int
    let outputCount: Int
    let threads: Int

    /// Runs of a candidate, and nanoseconds after which it gets no more.
    private static let mostRuns = 9
    private static let longest: UInt64 = 20_000_000

    /// One of `candidates`. `make`: the layer by a candidate, its weights packed into the cache given.
    func fastest(
        _ candidates: [Int], _ make: (Int, PackedWeightCache) throws(Failure) -> FloatConvolution
    ) throws(Failure) -> Int {
        if let known = cache.choice(question), candidates.contains(known) { return known }
        let pool = try ThreadPool(threads: threads)
        var best = (candidate: candidates[0], time: UInt64.max)
        for candidate in candidates {
            let layer = try make(candidate, PackedWeightCache())
            let time = try nanoseconds(layer, pool)
            if time < best.time { best = (candidate, time) }
        }
        try cache.choose(best.candidate, for: question)
        return best.candidate
    }

    /// Of the fastest run.
    private func nanoseconds(_ layer: FloatConvolution, _ pool: ThreadPool) throws(Failure) -> UInt64 {
        let input = try zeros(inputCount * 4)
        let output = try zeros(outputCount * 4)
        let scratch = try zeros(layer.scratchByteCount)
        var (fastest, total) = (UInt64.max, UInt64(0))
        for run in 0..<Self.mostRuns where total < Self.longest {
            var y = MutableSpan<Float>(_unsafeStart: elements(output), count: outputCount)
            var work = MutableSpan<UInt8>(_unsafeStart: elements(scratch), count: layer.scratchByteCount)
            let start = platform_nanoseconds()
            layer.run(
                Span<Float>(_unsafeStart: elements(input), count: inputCount), &y, scratch: &work, pool: pool)
            let time = platform_nanoseconds() - start
            // The first one meets memory that is not there yet.
            if run > 0 { (fastest, total) = (min(fastest, time), total + time) }
        }
        return fastest
    }

    private func elements<T>(_ storage: Storage) -> UnsafeMutablePointer<T> {
        UnsafeMutableRawPointer(mutating: Bytes(storage).baseAddress).assumingMemoryBound(to: T.self)
    }

    private func zeros(_ count: Int) throws(Failure) -> Storage { try Storage.allocate(max(64, count)) }
}

extension FloatConvolution {
    /// Under which name the tile of Winograd's filtering is kept.
    static func tuningQuestion(_ shape: ConvolutionShape, threads: Int) -> Sentence {
        "winograd of \(shape.described) by \(threads)"
    }

    /// The layer in the form that is fastest on this machine, found by trying.
    package static func tuned(
        _ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, minimum: Float, maximum: Float,
        cache: PackedWeightCache, threads: Int
    ) throws(Failure) -> FloatConvolution {
        try shape.check()
        var window = shape.window
        let make: (Int?, PackedWeightCache) throws(Failure) -> FloatConvolution = { tile, cache throws(Failure) in
            try FloatConvolution(
                shape, weights: weights, bias: bias, minimum: minimum, maximum: maximum, cache: cache,
                threads: threads, tile: tile)
        }
        guard eo_winograd_fits(&window) else { return try make(nil, cache) }
        let autotune = Autotune(
            cache: cache, question: tuningQuestion(shape, threads: threads), inputCount: shape.inputCount,
            outputCount: shape.outputCount, threads: threads)
        let tile = try autotune.fastest([0, 2, 4]) { tile, cache throws(Failure) in try make(tile, cache) }
        return try make(tile, cache)
    }
}
