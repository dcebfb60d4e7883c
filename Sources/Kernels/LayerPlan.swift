import CKernels
import Model

/// A layer with everything decided but the addresses.
protocol LayerPlan {
    var inputBytes: Int { get }
    var outputBytes: Int { get }

    /// Runs on the threads of `pool`, on as many as there is scratch memory for. `parameters`: of the kernel.
    func run(
        input: UnsafeRawPointer?, output: UnsafeMutableRawPointer?, weights: UnsafeRawPointer,
        parameters: UnsafeRawPointer, finish: eo_finish, scratch: UnsafeMutableRawBufferPointer, pool: ThreadPool)
}

extension LayerPlan {
    /// The same with addresses taken. `input` and `output`: NHWC, of at least `inputBytes` and `outputBytes`, whatever
    /// their elements are called. `packed`: the weights. `scratch`: room for at least one thread.
    func run<Input: BitwiseCopyable, Output: BitwiseCopyable, Parameters>(
        _ input: Span<Input>, _ output: inout MutableSpan<Output>, _ packed: Storage, _ parameters: Parameters,
        scratch: inout MutableSpan<UInt8>, finish: Finish = Finish(), pool: ThreadPool
    ) {
        input.withUnsafeBytes { input in
            output.withUnsafeMutableBytes { output in
                precondition(input.count >= inputBytes && output.count >= outputBytes)
                scratch.withUnsafeMutableBytes { scratch in
                    withUnsafePointer(to: parameters) { parameters in
                        run(
                            input: input.baseAddress, output: output.baseAddress, weights: Bytes(packed).baseAddress,
                            parameters: parameters, finish: finish.raw, scratch: scratch, pool: pool)
                    }
                }
            }
        }
    }
}
