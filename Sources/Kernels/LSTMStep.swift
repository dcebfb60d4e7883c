import CKernels
import Model

/// A time step of an integer LSTM layer, from the sums of its products to its states, in fixed point (`lstm.h`).
package struct LSTMStep: @unchecked Sendable {
    /// significand * 2^(shift - 31)
    package struct Factor: Sendable {
        let significand: Int32
        let shift: Int
        package init(significand: Int32, shift: Int) {
            self.significand = significand
            self.shift = shift
        }

        fileprivate var raw: eo_fixed_factor { eo_fixed_factor(significand: significand, shift: Int32(shift)) }
    }

    /// Where a step finds the sums and states of the first sample, and how far those of the next are.
    package struct Places: Sendable {
        package var input = 0
        package var inputStride: Int
        package init(inputStride: Int) { self.inputStride = inputStride }
    }

    private var layer = eo_lstm()
    private let kernel: eo_lstm_step_kernel
    private var cells: Int { layer.cells }
    /// Sums of a sample.
    package var width: Int { layer.cells * (4 - Int(layer.first_gate)) }
    package var kernelName: String { String(cString: kernel.name) }

    /// `isCoupled`: there is no input gate. The cell state counts in steps of 2^`cellExponent`, -15 to -9, and is
    /// limited to `cellLimit`; `hidden`: from Q0.30 to steps of the output.
    package init(
        cells: Int, isCoupled: Bool, cellExponent: Int, cellLimit: ClosedRange<Int32>, hidden: Factor
    ) {
        layer.cells = cells
        layer.first_gate = isCoupled ? 1 : 0
        layer.cell_exponent = Int32(cellExponent)
        (layer.cell_low, layer.cell_high) = (cellLimit.lowerBound, cellLimit.upperBound)
        layer.hidden = hidden.raw
        kernel = eo_lstm_step_best().pointee
    }

    /// From accumulator steps to Q3.12. `inputSteps` and `recurrentSteps` bring the sums to accumulator steps.
    package mutating func set(
        gate: Int, input: Factor, recurrent: Factor, peephole: Factor, inputSteps: Float = 1, recurrentSteps: Float = 1
    ) {
        let made = eo_lstm_gate(
            input_steps: inputSteps, recurrent_steps: recurrentSteps, input: input.raw, recurrent: recurrent.raw,
            peephole: peephole.raw, peepholes: nil)
        switch gate {
        case 0: layer.gate.0 = made
        case 1: layer.gate.1 = made
        case 2: layer.gate.2 = made
        default: layer.gate.3 = made
        }
    }

    /// Moves the states of all samples on by one step. `input`: sums of each sample, `width` at its place; `recurrent`:
    /// the same [samples, width], empty for zeros; `peepholes`: of the input, forget and output gates, [cells] or empty;
    /// `cell`: [samples, cells]; `output`: [samples, cells], steps of the output less its zero point.
    package func run(
        samples: Int, _ places: Places, input: Span<Float>, recurrent: Span<Float>, peepholes first: Span<Int16>,
        _ second: Span<Int16>, _ third: Span<Int16>, cell: inout MutableSpan<Int16>, output: inout MutableSpan<Int32>,
        pool: ThreadPool
    ) {
        guard samples > 0 else { return }
        precondition(
            places.input >= 0 && places.inputStride >= 0
                && input.count - places.input >= (samples - 1) * places.inputStride + width)
        precondition(recurrent.isEmpty || recurrent.count >= samples * width)
        precondition(cell.count >= samples * cells && output.count >= samples * cells)
        var layer = layer
        first.withUnsafeBufferPointer { layer.gate.0.peepholes = $0.count >= cells ? $0.baseAddress : nil }
        second.withUnsafeBufferPointer { layer.gate.1.peepholes = $0.count >= cells ? $0.baseAddress : nil }
        third.withUnsafeBufferPointer { layer.gate.3.peepholes = $0.count >= cells ? $0.baseAddress : nil }
        let (sums, before) = (
            input.withUnsafeBufferPointer { $0.baseAddress! + places.input },
            recurrent.withUnsafeBufferPointer { $0.isEmpty ? nil : $0.baseAddress }
        )
        let job = Job(
            layer: layer, run: kernel.run, width: width, input: sums, inputStride: places.inputStride,
            recurrent: before, cell: cell.withUnsafeMutableBufferPointer { $0.baseAddress! },
            output: output.withUnsafeMutableBufferPointer { $0.baseAddress! })
        withUnsafePointer(to: job) { job in
            guard samples > 1 else { return job.pointee.step(0) }
            pool.run(samples, job) { context, sample, _ in
                context.assumingMemoryBound(to: Job.self).pointee.step(sample)
            }
        }
    }

    private struct Job {
        var layer: eo_lstm
        let run: eo_lstm_step_function
        let width: Int
        let input: UnsafePointer<Float>
        let inputStride: Int
        let recurrent: UnsafePointer<Float>?
        let cell: UnsafeMutablePointer<Int16>
        let output: UnsafeMutablePointer<Int32>

        func step(_ sample: Int) {
            withUnsafePointer(to: layer) { layer in
                run(
                    layer, input + sample * inputStride, recurrent.map { $0 + sample * width },
                    cell + sample * layer.pointee.cells, output + sample * layer.pointee.cells)
            }
        }
    }

    private typealias eo_lstm_step_function =
        @convention(c) (
            UnsafePointer<eo_lstm>, UnsafePointer<Float>, UnsafePointer<Float>?, UnsafeMutablePointer<Int16>,
            UnsafeMutablePointer<Int32>
        ) -> Void
}
