import CKernels
import Model

/// The input of convolutions rounded to bfloat16, with as many zeros around it as they ask for, so that kernels read
/// their rows from it as they lie.
struct BfloatImage {
    private let shape: ConvolutionShape
    private let height: Int
    private let width: Int
    private let top: Int
    private let left: Int

    /// `shape`: whose input it is; `parts`: the convolutions that read it. nil: zeros would take far more memory than
    /// the images themselves.
    init?(_ shape: ConvolutionShape, for parts: [ConvolutionShape]) {
        self.shape = shape
        top = parts.reduce(0) { max($0, $1.paddingTop) }
        left = parts.reduce(0) { max($0, $1.paddingLeft) }
        let below = parts.reduce(shape.inputHeight) {
            max(
                $0,
                ($1.outputHeight - 1) * $1.strideHeight + ($1.kernelHeight - 1) * $1.dilationHeight + 1 - $1.paddingTop)
        }
        let right = parts.reduce(shape.inputWidth) {
            max(
                $0, ($1.outputWidth - 1) * $1.strideWidth + ($1.kernelWidth - 1) * $1.dilationWidth + 1 - $1.paddingLeft
            )
        }
        (height, width) = (top + below, left + right)
        let most = 16 * (shape.inputCount + shape.outputCount) + 1 << 16
        guard let count = elementCount([shape.batch, height, width, shape.inputChannels]), count <= most else {
            return nil
        }
    }

    var byteCount: Int { (shape.batch * height * width * shape.inputChannels * 2 + 63) / 64 * 64 }

    /// A convolution that begins to read at `origin(of:)` and needs no padding.
    func framed(_ part: ConvolutionShape) -> ConvolutionShape {
        var framed = part
        (framed.inputHeight, framed.inputWidth, framed.paddingTop, framed.paddingLeft) = (height, width, 0, 0)
        return framed
    }

    func origin(of part: ConvolutionShape) -> Int {
        ((top - part.paddingTop) * width + left - part.paddingLeft) * shape.inputChannels
    }

    /// In 1 to 3 `parts`, `byteCount` bytes each. `scale`: null, or what each number of a line is multiplied by; not of
    /// one part.
    @inline(never) func cut(
        _ input: UnsafePointer<Float>, parts: Int, scale: UnsafePointer<Float>?, _ to: UnsafeMutablePointer<UInt16>,
        _ pool: ThreadPool
    ) {
        var window = shape.window
        withUnsafePointer(to: &window) { window in
            let image = eo_bf16_image(
                window: window, from: input, to: to, height: height, width: width, top: top, left: left)
            let count = shape.batch * height
            let lines = max(1, elementsPerPiece / (width * shape.inputChannels))
            let job = Job(
                image: image, lines: lines, count: count, parts: parts, part: byteCount / 2, scale: scale)
            withUnsafePointer(to: job) { job in
                pool.run((count + lines - 1) / lines, job) { context, piece, _ in
                    let job = context.assumingMemoryBound(to: Job.self)
                    job.pointee.run(piece)
                }
            }
        }
    }

    private struct Job {
        var image: eo_bf16_image
        let lines: Int
        let count: Int
        let parts: Int
        let part: Int
        let scale: UnsafePointer<Float>?

        func run(_ piece: Int) {
            withUnsafePointer(to: image) { image in
                for line in piece * lines..<min(count, (piece + 1) * lines) {
                    if parts > 1 {
                        eo_bf16_image_parts(image, parts, part, scale, line)
                    } else {
                        eo_bf16_image_line(image, line)
                    }
                }
            }
        }
    }
}
