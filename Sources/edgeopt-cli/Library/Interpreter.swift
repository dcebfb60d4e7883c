import CEdgeOpt
import Glibc

/// An interpreter, through edgeopt.h.
final class Interpreter {
    let handle: OpaquePointer

    struct Options {
        var threads: Int32 = 1
        var reference = false
        var profile = false
        var signature: String?
        var weightCache: String?
        var precision = Precision.float32
        var autotune = false
    }

    init(_ model: Model, _ options: Options = Options()) throws {
        var values = eo_interpreter_options()
        values.struct_size = MemoryLayout<eo_interpreter_options>.size
        values.num_threads = options.threads
        values.arithmetic = options.reference ? EO_ARITHMETIC_REFERENCE : EO_ARITHMETIC_FAST
        values.profile = options.profile
        values.autotune = options.autotune
        values.precision = options.precision.number
        var handle: OpaquePointer?
        let (signature, weightCache) = (options.signature.map { strdup($0) }, options.weightCache.map { strdup($0) })
        defer {
            free(signature ?? nil)
            free(weightCache ?? nil)
        }
        values.signature = signature.flatMap { UnsafePointer($0) }
        values.weight_cache = weightCache.flatMap { UnsafePointer($0) }
        try check(eo_interpreter_create(model.handle, &values, &handle))
        self.handle = handle!
    }

    deinit { eo_interpreter_destroy(handle) }

    var inputCount: Int { Int(eo_interpreter_input_count(handle)) }
    var outputCount: Int { Int(eo_interpreter_output_count(handle)) }
    var arenaSize: Int { eo_interpreter_arena_size(handle) }

    func inputs() throws -> [Tensor] { try (0..<inputCount).map(input) }
    func outputs() throws -> [Tensor] { try (0..<outputCount).map(output) }

    func input(_ index: Int) throws -> Tensor {
        var found = eo_tensor()
        try check(eo_interpreter_input(handle, Int32(index), &found))
        return Tensor(found)
    }

    func output(_ index: Int) throws -> Tensor {
        var found = eo_tensor()
        try check(eo_interpreter_output(handle, Int32(index), &found))
        return Tensor(found)
    }

    /// Names by which inputs are addressed: the signature's, else the tensors'.
    func inputName(_ index: Int) -> String { string(eo_interpreter_input_name(handle, Int32(index))) }
    func outputName(_ index: Int) -> String { string(eo_interpreter_output_name(handle, Int32(index))) }

    /// Gives all inputs new shapes at once; does nothing if they have them already.
    func resizeInputs(to shapes: [[Int]]) throws {
        guard try shapes != inputs().map(\.shape) else { return }
        let sizes = try shapes.flatMap { $0 }.map { size in
            guard let narrow = Int32(exactly: size) else { throw Failure("a dimension is \(size): too large") }
            return narrow
        }
        let ranks = shapes.map { Int32($0.count) }
        try check(eo_interpreter_resize_inputs(handle, sizes, ranks, Int32(ranks.count)))
    }

    func setInput(_ index: Int, _ bytes: [UInt8]) throws {
        let tensor = try input(index)
        guard bytes.count == tensor.size else {
            throw Failure("input \(tensor.described) takes \(tensor.size) bytes, given: \(bytes.count)")
        }
        tensor.bytes.copyBytes(from: bytes)
    }

    func invoke() throws { try check(eo_interpreter_invoke(handle)) }

    func setProfile(_ on: Bool) { eo_interpreter_set_profile(handle, on) }

    func operators() throws -> [OperatorReport] {
        try (0..<eo_interpreter_operator_count(handle)).map { index in
            var found = eo_operator_report()
            try check(eo_interpreter_operator(handle, index, &found))
            return OperatorReport(
                index: Int(found.index), name: string(found.name), runner: string(found.runner),
                kernel: string(found.kernel), reason: string(found.reason), partition: Int(found.partition),
                outputOffset: found.output_offset == Int(bitPattern: UInt.max) ? nil : found.output_offset,
                calls: found.calls, nanoseconds: found.nanoseconds)
        }
    }
}

/// What was decided for an operator, and what it cost.
struct OperatorReport: Encodable {
    let index: Int
    let name: String
    let runner: String
    let kernel: String
    let reason: String
    let partition: Int
    let outputOffset: Int?
    let calls: UInt64
    let nanoseconds: UInt64
}
