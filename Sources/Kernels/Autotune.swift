import CKernels
import CPlatform
import Model

/// A layer of micro-kernels with everything decided but where its tensors lie.
package protocol KernelLayer: AnyObject {
    associatedtype Input: BitwiseCopyable
    associatedtype Output: BitwiseCopyable
    var scratchByteCount: Int { get }
    func run(
        _ input: Span<Input>, _ output: inout MutableSpan<Output>, scratch: inout MutableSpan<UInt8>, finish: Finish,
        pool: ThreadPool)
}

extension FloatConvolution: KernelLayer {}
extension FloatDepthwise: KernelLayer {
    package typealias Input = UInt8
    package typealias Output = UInt8
}
extension ByteConvolution: KernelLayer {}
extension ByteDepthwise: KernelLayer {}

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

    init(_ form: Sentence, _ shape: ConvolutionShape, cache: PackedWeightCache, threads: Int) {
        (self.cache, self.threads) = (cache, threads)
        (inputCount, outputCount) = (shape.inputCount, shape.outputCount)
        question = Self.question(form, shape, threads: threads)
    }

    /// Under which name a choice is kept.
    static func question(_ form: Sentence, _ shape: ConvolutionShape, threads: Int) -> Sentence {
        "\(form) of \(shape.described) by \(threads)"
    }

    /// The layer by the fastest of `candidates`. `make`: by a candidate, its weights packed into the cache given.
    func layer<Layer: KernelLayer>(
        _ candidates: [Int], _ make: (Int, PackedWeightCache) throws(Failure) -> Layer
    ) throws(Failure) -> Layer {
        try make(candidates.count == 1 ? candidates[0] : fastest(candidates, make), cache)
    }

    private func fastest<Layer: KernelLayer>(
        _ candidates: [Int], _ make: (Int, PackedWeightCache) throws(Failure) -> Layer
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
    private func nanoseconds<Layer: KernelLayer>(_ layer: Layer, _ pool: ThreadPool) throws(Failure) -> UInt64 {
        // Layers take images as what they are or as bytes.
        let (inputBytes, outputBytes) = (inputCount * 4, outputCount * 4)
        let (input, output) = (try zeros(inputBytes), try zeros(outputBytes))
        let scratch = try zeros(layer.scratchByteCount)
        var (fastest, total) = (UInt64.max, UInt64(0))
        for run in 0..<Self.mostRuns where total < Self.longest {
            var y = MutableSpan<Layer.Output>(
                _unsafeStart: elements(output), count: outputBytes / MemoryLayout<Layer.Output>.stride)
            var work = MutableSpan<UInt8>(_unsafeStart: elements(scratch), count: layer.scratchByteCount)
            let start = platform_nanoseconds()
            layer.run(
                Span<Layer.Input>(_unsafeStart: elements(input), count: inputBytes / MemoryLayout<Layer.Input>.stride),
                &y, scratch: &work,
                finish: Finish(), pool: pool)
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
    /// Ways to the same sums but for rounding; the number is that of the way in a file of choices.
    package enum Method: Int, Sendable {
        /// By the definition: products of floats, or of their parts on tiles.
        case floats = 0
        case parts = 1
        /// Winograd's filtering by tiles of 2x2 or 4x4.
        case tiles2 = 2
        case tiles4 = 4

        /// Sides of the tile; 0: no filtering.
        var tile: Int { self == .tiles2 ? 2 : self == .tiles4 ? 4 : 0 }
    }

    /// The layer by the method that is fastest on this machine, found by trying.
    package static func tuned(
        _ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, minimum: Float, maximum: Float,
        cache: PackedWeightCache, threads: Int
    ) throws(Failure) -> FloatConvolution {
        try shape.check()
        var window = shape.window
        var methods: [Method] = [.floats]
        if eo_winograd_fits(&window) { methods += [.tiles2, .tiles4] }
        if shape.suitsParts { methods.append(.parts) }
        return try Autotune("f32_gemm", shape, cache: cache, threads: threads).layer(methods.map { $0.rawValue }) {
            method, cache throws(Failure) in
            try FloatConvolution(
                shape, weights: weights, bias: bias, minimum: minimum, maximum: maximum, cache: cache,
                threads: threads, method: methods.count > 1 ? Method(rawValue: method) : nil)
        }
    }
}

extension FloatDepthwise {
    /// The same: rectangles of the image, or pixel after pixel.
    package static func tuned(
        _ shape: ConvolutionShape, weights: Bytes, bias: Bytes?, minimum: Float, maximum: Float,
        cache: PackedWeightCache, threads: Int
    ) throws(Failure) -> FloatDepthwise {
        try shape.checkDepthwise()
        var window = shape.window
        let isDirect = shape.outputChannels == shape.inputChannels
        let forms = isDirect && eo_f32_depthwise_fits_lines(&window) ? [1, 0] : [0]
        return try Autotune("f32_depthwise", shape, cache: cache, threads: threads).layer(forms) {
            form, cache throws(Failure) in
            try FloatDepthwise(
                shape, weights: weights, bias: bias, minimum: minimum, maximum: maximum, cache: cache,
                threads: threads, byLines: form == 1)
        }
    }
}

extension ByteConvolution {
    /// The same: the two richest kernels, tiles with rows gathered or straight from the image, Winograd's filtering. The
    /// bits do not depend on it.
    package static func tuned(
        _ shape: ConvolutionShape, weights: Bytes, weightsAreSigned: Bool, bias: [Int32]?,
        requantization: Requantization, activationsAreSigned: Bool, cache: PackedWeightCache, threads: Int
    ) throws(Failure) -> ByteConvolution {
        try shape.check()
        return try Autotune("u8_gemm", shape, cache: cache, threads: threads).layer(forms(shape)) {
            form, cache throws(Failure) in
            try ByteConvolution(
                shape, weights: weights, weightsAreSigned: weightsAreSigned, bias: bias,
                requantization: requantization, activationsAreSigned: activationsAreSigned, cache: cache,
                threads: threads, form: form)
        }
    }

    /// Kernels by their instruction set; odd: rows are gathered where the kernel need not.
    static func forms(_ shape: ConvolutionShape) -> [Int] {
        var count: Int32 = 0
        let table = eo_u8_gemm_rows(&count)
        var forms: [Int] = []
        for row in 0..<Int(count) where forms.count < 2 && kernels_isa_available(table[row].isa) {
            forms.append(2 * Int(table[row].isa.rawValue))
        }
        if forms[0] == 2 * Int(ISA_AMX.rawValue), shape.pieces > 0 { forms.append(forms[0] + 1) }
        var window = shape.window
        if eo_winograd_fits(&window), eo_u8_winograd_best().pointee.isa != ISA_SCALAR { forms.append(filtered) }
        return forms
    }

    static func kernel(_ form: Int?) -> UnsafePointer<eo_u8_gemm_kernel> {
        var count: Int32 = 0
        let table = eo_u8_gemm_rows(&count)
        let row = (0..<Int(count)).first { form != filtered && 2 * Int(table[$0].isa.rawValue) == (form ?? -2) & ~1 }
        return row.map { table + $0 } ?? eo_u8_gemm_best()
    }
}

extension ByteDepthwise {
    /// The same: the two richest kernels.
    package static func tuned(
        _ shape: ConvolutionShape, weights: Bytes, weightsAreSigned: Bool, bias: [Int32]?,
        requantization: Requantization, activationsAreSigned: Bool, cache: PackedWeightCache, threads: Int
    ) throws(Failure) -> ByteDepthwise {
        try shape.checkDepthwise()
        var count: Int32 = 0
        let table = eo_u8_depthwise_rows(&count)
        let rows = (0..<Int(count)).filter { kernels_isa_available(table[$0].isa) }
        let most = shape.outputChannels == shape.inputChannels ? 2 : 1
        return try Autotune("u8_depthwise", shape, cache: cache, threads: threads).layer([Int](rows.prefix(most))) {
            row, cache throws(Failure) in
            try ByteDepthwise(
                shape, weights: weights, weightsAreSigned: weightsAreSigned, bias: bias,
                requantization: requantization, activationsAreSigned: activationsAreSigned, cache: cache,
                threads: threads, row: row)
        }
    }
}
