import CKernels

/// Scale and zero point of a quantized tensor; the scale is positive, the zero point a value of the type.
package struct Quantizer: Equatable, Sendable {
    package var scale: Float
    package var zeroPoint: Int

    package init(scale: Float, zeroPoint: Int) {
        self.scale = scale
        self.zeroPoint = zeroPoint
    }

    func parameters<T: QuantizedInteger>(_ type: T.Type) -> eo_quantize_params {
        eo_quantize_params(
            offset: 0, zero: Int32(zeroPoint), scale: scale, low: Float(Int(T.min) - zeroPoint),
            high: Float(Int(T.max) - zeroPoint))
    }

    /// For the way from float: the kernels multiply.
    func inverseParameters<T: QuantizedInteger>(_ type: T.Type) -> eo_quantize_params {
        var parameters = parameters(type)
        parameters.scale = 1 / scale
        return parameters
    }
}

/// Quantized functions without an integer form of their own: to float, the function, and back, one rounding for each
/// operation, the last to nearest, ties to even. The bits are the same on every instruction set.
extension Elementwise {
    /// The function of all 256 values of an 8-bit type, for `lookUp`.
    package static func table<T: QuantizedInteger>(
        _ function: UnaryFunction, _ type: T.Type, from input: Quantizer, to output: Quantizer
    ) -> [UInt8] {
        var x = [T](repeating: 0, count: 256)
        for byte in 0..<256 { x[byte] = T(truncatingIfNeeded: byte) }
        var y = x
        let job = ThroughFloatJob(function, type, from: input, to: output)
        x.withUnsafeBytes { x in
            y.withUnsafeMutableBytes { y in job.run(256, x.baseAddress!, y.baseAddress!) }
        }
        return y.map { UInt8(truncatingIfNeeded: $0) }
    }

    /// y = quantize(f(dequantize(x))).
    package static func apply<T: QuantizedInteger>(
        _ function: UnaryFunction, _ x: Span<T>, _ y: inout MutableSpan<T>, from input: Quantizer,
        to output: Quantizer, pool: ThreadPool
    ) {
        var job = ThroughFloatJob(function, T.self, from: input, to: output)
        unary(
            { count, x, y, job in job!.assumingMemoryBound(to: ThroughFloatJob.self).pointee.run(count, x, y) },
            x, &y, &job, pool)
    }

    /// y = quantize(f(dequantize(a), dequantize(b))), clamped to `minimum`...`maximum`.
    package static func apply<T: QuantizedInteger, B: QuantizedInteger>(
        _ function: BinaryFunction, _ shape: Broadcast, _ a: Span<T>, _ b: Span<B>, _ y: inout MutableSpan<T>,
        from inputs: (a: Quantizer, b: Quantizer), to output: Quantizer, minimum: Int, maximum: Int, pool: ThreadPool
    ) {
        var job = BinaryThroughFloatJob(function, shape.kernelForm, T.self, B.self, inputs.a, inputs.b, output)
        job.output.low = Float(minimum - output.zeroPoint)
        job.output.high = Float(maximum - output.zeroPoint)
        let run: eo_binary_form = { count, a, b, y, job in
            job.assumingMemoryBound(to: BinaryThroughFloatJob.self).pointee.run(count, a, b, y)
        }
        binary(eo_binary(vv: run, vs: run, sv: run), shape, a, b, &y, &job, pool)
    }
}

/// Elements that are float at a time: the 1 KiB that Swift still puts on the stack.
private let block = 256

private struct ThroughFloatJob {
    let toFloat: eo_unary
    let function: eo_unary
    let fromFloat: eo_unary
    let parameters: eo_f32_params
    let input: eo_quantize_params
    let output: eo_quantize_params
    let size: Int

    init<T: QuantizedInteger>(
        _ function: UnaryFunction, _ type: T.Type, from input: Quantizer, to output: Quantizer
    ) {
        self.function = function.kernel
        parameters = function.parameters
        toFloat = T.kernels.toFloat
        fromFloat = T.kernels.fromFloat
        self.input = input.parameters(type)
        self.output = output.inverseParameters(type)
        size = MemoryLayout<T>.stride
    }

    func run(_ count: Int, _ x: UnsafeRawPointer, _ y: UnsafeMutableRawPointer) {
        var (input, parameters, output) = (input, parameters, output)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: block) { values in
            let values = values.baseAddress!
            for start in stride(from: 0, to: count, by: block) {
                let count = min(block, count - start)
                toFloat(count, x + start * size, values, &input)
                function(count, values, values, &parameters)
                fromFloat(count, values, y + start * size, &output)
            }
        }
    }
}

private struct BinaryThroughFloatJob {
    let floatA: eo_unary
    let floatB: eo_unary
    let function: eo_binary_form
    let fromFloat: eo_unary
    let a: eo_quantize_params
    let b: eo_quantize_params
    var output: eo_quantize_params
    let steps: (a: Int, b: Int)
    let sizeA: Int
    let sizeB: Int

    init<T: QuantizedInteger, B: QuantizedInteger>(
        _ function: BinaryFunction, _ form: Broadcast.Form, _ type: T.Type, _ typeB: B.Type, _ a: Quantizer,
        _ b: Quantizer, _ output: Quantizer
    ) {
        floatA = T.kernels.toFloat
        floatB = B.kernels.toFloat
        self.function = form.kernel(function.kernel)
        fromFloat = T.kernels.fromFloat
        self.a = a.parameters(type)
        self.b = b.parameters(typeB)
        self.output = output.inverseParameters(type)
        steps = form.steps
        sizeA = MemoryLayout<T>.stride
        sizeB = MemoryLayout<B>.stride
    }

    func run(_ count: Int, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ y: UnsafeMutableRawPointer) {
        var (parametersA, parametersB, output) = (self.a, self.b, output)
        var none = eo_f32_params(low: -.infinity, high: .infinity)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: block) { values in
            let (left, right) = (values.baseAddress!, values.baseAddress! + block / 2)
            for start in stride(from: 0, to: count, by: block / 2) {
                let count = min(block / 2, count - start)
                floatA(steps.a == 0 ? 1 : count, a + start * steps.a * sizeA, left, &parametersA)
                floatB(steps.b == 0 ? 1 : count, b + start * steps.b * sizeB, right, &parametersB)
                // A single operand stays where it is; the result goes to the other's place.
                let result = steps.a == 0 ? right : left
                function(count, left, right, result, &none)
                fromFloat(count, result, y + start * sizeA, &output)
            }
        }
    }
}
